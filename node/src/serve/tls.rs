//! TLS by certificate and key files, read anew when they change. A change that does not work leaves the old ones in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use chasqui_wire::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::certificate::{Age, Certificate};
use super::clock;

/// Between two looks at the files: two calls to the operating system.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate and its key lie.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain in PEM, the node's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should, in PEM.
    #[error("{}: {problem}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The key is not the certificate's.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library refuses them.
    #[error("the certificate cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// What the node proves itself with.
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<InUse>>,
}

/// A certificate with its key, as rustls wants both.
struct InUse {
    config: Arc<ServerConfig>,
    certificate: Certificate,
}

/// When and how large each file was.
type Look = [Option<(SystemTime, u64)>; 2];

impl Tls {
    pub(super) fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let in_use = read(&files)?;
        in_use.remark();
        Ok(Arc::new(Self { files, current: RwLock::new(Arc::new(in_use)) }))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.current().config).into()
    }

    /// When nobody accepts the certificate any more.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.current().certificate.ends_at
    }

    fn current(&self) -> Arc<InUse> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files anew whenever they change, for as long as the node runs.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut seen = self.look();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.look();
            if now != seen {
                self.reload();
                seen = now;
            }
        }
    }

    fn look(&self) -> Look {
        [&self.files.certificate, &self.files.key].map(|path| {
            let file = path.metadata().ok()?;
            Some((file.modified().ok()?, file.len()))
        })
    }

    fn reload(&self) {
        match read(&self.files) {
            Ok(in_use) => {
                in_use.remark();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_use);
                tracing::info!("a new certificate is in use");
            }
            Err(error) => tracing::error!(%error, "the new certificate is not used; the old one stays"),
        }
    }
}

impl InUse {
    /// Says in the log what an operator should know of its dates.
    fn remark(&self) {
        match self.certificate.age(clock::now()) {
            Age::Good(_) => {}
            age @ Age::Ending(_) => tracing::warn!("{age}"),
            age @ (Age::NotYet(_) | Age::Ended) => tracing::error!("{age}"),
        }
    }
}

/// Whether the files can be used, and what the certificate says, and where in its life it is now.
///
/// # Errors
/// [`TlsError`]: says which file, and why not.
pub fn check(files: &TlsFiles) -> Result<(Certificate, Age), TlsError> {
    let certificate = read(files)?.certificate;
    let age = certificate.age(clock::now());
    Ok((certificate, age))
}

fn read(files: &TlsFiles) -> Result<InUse, TlsError> {
    let TlsFiles { certificate, key } = files;
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unreadable(certificate, error))?;
    if chain.is_empty() {
        return Err(TlsError::Wrong { path: certificate.clone(), problem: "holds no certificate".to_owned() });
    }
    let unreadable_dates =
        || TlsError::Wrong { path: certificate.clone(), problem: "is no X.509 certificate".to_owned() };
    let said = Certificate::read(&chain).ok_or_else(unreadable_dates)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::Unusable)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, private).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate: certificate.clone(), key: key.clone() },
        other => TlsError::Unusable(other),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Thousands of sockets are idle: a returning one may resume without the node remembering anything of it.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(TlsError::Unusable)?;
    config.send_tls13_tickets = 1;
    Ok(InUse { config: Arc::new(config), certificate: said })
}

fn unreadable(path: &Path, error: PemError) -> TlsError {
    match error {
        PemError::Io(source) => TlsError::Unreadable { path: path.to_owned(), source },
        PemError::NoItemsFound => TlsError::Wrong { path: path.to_owned(), problem: "holds no such PEM".to_owned() },
        other => TlsError::Wrong { path: path.to_owned(), problem: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> TlsFiles {
        TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
    }

    fn certify(files: &TlsFiles) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(matches!(check(&files), Err(TlsError::Unreadable { .. })));
        certify(&files);
        let (certificate, age) = check(&files).unwrap();
        assert_eq!(certificate.names, ["localhost"]);
        assert!(matches!(age, Age::Good(_)), "{age}");
        let key = std::fs::read(&files.key).unwrap();
        certify(&files);
        std::fs::write(&files.key, key).unwrap();
        let error = check(&files).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        std::fs::write(&files.certificate, "no certificate").unwrap();
        let error = check(&files).unwrap_err();
        assert!(matches!(&error, TlsError::Wrong { path, .. } if *path == files.certificate), "{error}");
    }

    #[test]
    fn a_change_that_does_not_work_leaves_the_old_certificate_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        certify(&files);
        let tls = Tls::open(files.clone()).unwrap();
        let current = || Arc::as_ptr(&tls.current.read().unwrap());
        let first = current();
        std::fs::write(&files.key, "half a key").unwrap();
        tls.reload();
        assert_eq!(current(), first);
        certify(&files);
        tls.reload();
        assert_ne!(current(), first);
    }
}
