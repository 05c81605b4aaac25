//! A certificate of one's own for the node, and a generator that trusts it and nothing else.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Outcome;

const NAME: &str = "localhost";

/// How devices speak TLS to the node.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// Puts a certificate and its key into the folder; returns the lines of the node's configuration that name them.
    pub(crate) fn certify(folder: &Path) -> Outcome<(Self, String)> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // Thousands of devices, none of which was here before: each makes a whole handshake.
        config.resumption = Resumption::disabled();
        let lines = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        Ok((Self(TlsConnector::from(Arc::new(config))), lines))
    }

    pub(crate) async fn secure(&self, stream: TcpStream) -> Outcome<TlsStream<TcpStream>> {
        Ok(self.0.connect(ServerName::try_from(NAME)?, stream).await?)
    }
}
