//! HTTP by hyper, TLS by rustls with the platform's certificates; on Android with Mozilla's (docs/adr/0011-roots-on-android.md).
//!
//! Guarantees: a connection is kept for the next request, and left when it may have died in silence; what was sent on one is not
//! sent again on another. Never: follows a redirection, or asks a proxy, as little as the socket does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Response, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};
use tokio::time::Instant;

use super::Net;
use super::connect::connect;
use crate::Error;
use crate::driver::api::{ANSWER_BYTES, ANSWER_WITHIN_MS, Answer, Request};

/// Believes whom the platform believes.
#[cfg(not(target_os = "android"))]
fn trusting(
    tls: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    rustls_platform_verifier::BuilderVerifierExt::with_platform_verifier(tls)
}

/// Believes whom Mozilla believes: the platform can only be asked through Java, with an object that the app would have to bring.
#[cfg(target_os = "android")]
fn trusting(
    tls: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    Ok(tls.with_root_certificates(roots))
}

/// Devices have no certificates: what would read and use the keys of some is not shipped.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("devices have no certificates".into()))
    }
}

/// A connection without a request is taken for the next one this long. Routers forget idle ones after a minute or more.
const KEPT_FOR: Duration = Duration::from_secs(20);

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Sender = SendRequest<Full<Bytes>>;

#[derive(Debug)]
pub(in crate::driver) struct Http {
    is_secure: bool,
    tls: Arc<ClientConfig>,
    /// The connection of the last answer, and when that was.
    kept: Mutex<Option<(Sender, Instant)>>,
}

impl Http {
    /// A host in ASCII, maybe a port and a path: what requests and the socket can be sent to. No name and password.
    pub(in crate::driver) fn is_url(text: &str) -> bool {
        let Ok(address) = text.parse::<Uri>() else { return false };
        let (Some(_), Some(authority), Some(host)) = (address.scheme(), address.authority(), address.host()) else {
            return false;
        };
        let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        let behind_host = authority.as_str().strip_prefix(host);
        text.is_ascii() && !host.is_empty() && behind_host.is_some_and(|rest| rest.is_empty() || is_port(rest))
    }

    pub(in crate::driver) fn new(is_secure: bool) -> Result<Self, Error> {
        let internal = |error: rustls::Error| Error::Internal { detail: error.to_string() };
        let provider = CryptoProvider { key_provider: &NoKeys, ..rustls::crypto::ring::default_provider() };
        let tls = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let tls = tls.map_err(internal)?;
        // The platform's certificates are read only where they are needed.
        let tls = if is_secure {
            trusting(tls).map_err(internal)?.with_no_client_auth()
        } else {
            tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        };
        Ok(Self { is_secure, tls: Arc::new(tls), kept: Mutex::default() })
    }

    pub(super) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.is_secure.then(|| Arc::clone(&self.tls))
    }

    pub(in crate::driver) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let within = Duration::from_millis(ANSWER_WITHIN_MS.into());
        let exchange = tokio::time::timeout(within, self.exchange(request)).await;
        let late = || Error::Offline { detail: "the node did not answer in time".into() };
        let (status, body) = exchange.map_err(|_| late())?.map_err(|error| unreachable(&*error))?;
        let too_long = || Error::Incompatible { detail: "the node's answer is too long".into() };
        Ok(Answer { status, body: body.ok_or_else(too_long)? })
    }

    /// The status and the body, if that has a length to be read.
    async fn exchange(&self, request: Request) -> Result<(u16, Option<Vec<u8>>), Failure> {
        let address: Uri = request.url.parse()?;
        let (mut sender, response) = self.respond(&address, written(request, &address)?).await?;
        let status = response.status().as_u16();
        let body = read(response).await?;
        if body.is_some() && sender.ready().await.is_ok() {
            *self.lock() = Some((sender, Instant::now()));
        }
        Ok((status, body))
    }

    async fn respond(
        &self,
        address: &Uri,
        mut request: hyper::Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), Failure> {
        if let Some(mut sender) = self.take_kept() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                // The node has closed it since. What may have reached it is not sent again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let stream = connect(address, self.tls()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Net(tokio::runtime::Handle::current()).spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        let response = sender.send_request(request).await?;
        Ok((sender, response))
    }

    fn take_kept(&self) -> Option<Sender> {
        let (sender, since) = self.lock().take()?;
        (since.elapsed() < KEPT_FOR && sender.is_ready()).then_some(sender)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Sender, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(request: Request, address: &Uri) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let host = address.authority().map_or("", |authority| authority.as_str());
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let mut written = hyper::Request::builder().method(request.method.name()).uri(path).header(header::HOST, host);
    if let Some(token) = request.bearer {
        written = written.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if request.body.is_some() {
        written = written.header(header::CONTENT_TYPE, "application/json");
    }
    Ok(written.body(Full::new(request.body.unwrap_or_default().into()))?)
}

/// What the answer holds; `None` if that is too long. One that breaks off is no answer.
async fn read(response: Response<Incoming>) -> Result<Option<Vec<u8>>, Failure> {
    let (mut incoming, mut body) = (response.into_body(), Vec::new());
    while let Some(frame) = incoming.frame().await {
        if let Ok(part) = frame?.into_data() {
            body.extend_from_slice(&part);
        }
        if body.len() > ANSWER_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Error {
    let detail = error.to_string();
    if is_about_time(error) { Error::WrongClock { detail } } else { Error::Offline { detail } }
}

/// Whether a certificate was refused because of when it is valid: more often the device's clock is wrong.
fn is_about_time(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::CertificateError as No;
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error hides what it wraps from its own list of causes.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let reason = match wrapped {
            Some(wrapped) => wrapped.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(reason)) = reason {
            return matches!(
                reason,
                No::Expired | No::NotValidYet | No::ExpiredContext { .. } | No::NotValidYetContext { .. }
            );
        }
        next = wrapped.map(|wrapped| wrapped as _).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::driver::api::Method;

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhola";

    /// Reads a request, which has no body.
    async fn hear(stream: &mut TcpStream) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            heard.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(heard).unwrap()
    }

    async fn ask(http: &Http, node: &TcpListener) -> Result<Answer, Error> {
        let url = format!("http://localhost:{}/v1/realm?peek", node.local_addr().unwrap().port());
        http.send(Request { method: Method::Get, url, bearer: Some("token".into()), body: None }).await
    }

    /// What comes of an answer, and the connection to the node.
    async fn answered(http: &Http, node: &TcpListener, answer: &str) -> (Result<Answer, Error>, TcpStream) {
        let answering = async {
            let (mut stream, _) = node.accept().await.unwrap();
            hear(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        tokio::join!(ask(http, node), answering)
    }

    async fn answered_again(http: &Http, node: &TcpListener, stream: &mut TcpStream) -> Result<Answer, Error> {
        let answering = async {
            hear(stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
        };
        tokio::join!(ask(http, node), answering).0
    }

    #[tokio::test]
    async fn a_request_says_where_it_goes_and_who_asks() {
        let (http, node) = (Http::new(false).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let hearing = async {
            let (mut stream, _) = node.accept().await.unwrap();
            let heard = hear(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            heard
        };
        let (answer, heard) = tokio::join!(ask(&http, &node), hearing);
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hola".as_slice()));
        let port = node.local_addr().unwrap().port();
        assert!(heard.starts_with("GET /v1/realm?peek HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{heard}");
        assert!(heard.contains("\r\nauthorization: Bearer token\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn the_next_request_takes_the_same_connection() {
        let (http, node) = (Http::new(false).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (first, mut stream) = answered(&http, &node, OK).await;
        first.unwrap();
        for _ in 0..3 {
            answered_again(&http, &node, &mut stream).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_node_has_closed_is_not_taken() {
        let (http, node) = (Http::new(false).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        for _ in 0..3 {
            let (answer, stream) = answered(&http, &node, OK).await;
            answer.unwrap();
            drop(stream);
            while http.lock().as_ref().is_some_and(|(sender, _)| !sender.is_closed()) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_long_is_not_taken() {
        let (http, node) = (Http::new(false).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (first, _stream) = answered(&http, &node, OK).await;
        first.unwrap();
        if let Some((_, since)) = http.lock().as_mut() {
            *since = since.checked_sub(KEPT_FOR).unwrap();
        }
        answered(&http, &node, OK).await.0.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error() {
        let (http, node) = (Http::new(false).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let breaks_off = async |answer: &str| {
            let answering = async {
                let (mut stream, _) = node.accept().await.unwrap();
                hear(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            tokio::join!(ask(&http, &node), answering).0
        };
        for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhola", "garbage\r\n\r\n"]
        {
            let refused = breaks_off(answer).await.map(|answer| answer.status);
            assert!(matches!(refused, Err(Error::Offline { .. })), "{answer:?}: {refused:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(ANSWER_BYTES + 1));
        let refused = breaks_off(&long).await.map(|answer| answer.status);
        assert!(matches!(refused, Err(Error::Incompatible { .. })), "{refused:?}");
    }

    #[test]
    fn an_address_has_a_host_and_nothing_before_it() {
        for usable in [
            "http://node",
            "https://node.example.org",
            "https://node.example.org:7400/chat",
            "https://xn--bcher-kva.example",
            "http://127.0.0.1:7400",
            "http://[::1]:7400",
        ] {
            assert!(Http::is_url(usable), "{usable}");
        }
        for unusable in [
            "",
            "garbage",
            "/v1",
            "http://",
            "http://:80",
            "http://a b",
            "http://a:99999",
            "http://a:b",
            "https://[::",
            "https://ana:secret@node",
            "https://b\u{fc}cher.example",
        ] {
            assert!(!Http::is_url(unusable), "{unusable}");
        }
    }

    #[test]
    fn a_certificate_of_another_time_points_at_the_clock() {
        #[track_caller]
        fn check(reason: rustls::CertificateError, is_about_the_clock: bool) {
            let refused = rustls::Error::InvalidCertificate(reason);
            let wrapped = std::io::Error::other(std::io::Error::other(refused));
            assert_eq!(is_about_time(&wrapped), is_about_the_clock);
        }
        check(rustls::CertificateError::Expired, true);
        check(rustls::CertificateError::NotValidYet, true);
        check(rustls::CertificateError::UnknownIssuer, false);
        assert!(!is_about_time(&std::io::Error::other("connection refused")));
    }
}
