//! The way to the node's host: TCP, and TLS above it. Requests and sockets take the same.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::http::Uri;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

pub(super) type Stream = MaybeTlsStream<TcpStream>;

/// Connects to the host of an address, by TLS if there is a configuration for it.
pub(super) async fn connect(address: &Uri, tls: Option<Arc<ClientConfig>>) -> io::Result<Stream> {
    let host = address.host().unwrap_or_default();
    // A literal of IPv6 stands in brackets there, and nowhere else.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = address.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = reach(host, port).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(MaybeTlsStream::Plain(stream)) };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(MaybeTlsStream::Rustls(TlsConnector::from(tls).connect(name, stream).await?))
}

/// The first of a host's addresses that answers: in many networks those of one family lead nowhere, and say so late.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut untried = tokio::net::lookup_host((host, port)).await?;
    let mut trying = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        match untried.next() {
            Some(address) => trying.push(TcpStream::connect(address)),
            None if trying.is_empty() => return Err(failed),
            None => {}
        }
        match tokio::time::timeout(HEAD_START, trying.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => failed = error,
            // None has answered yet.
            Ok(None) | Err(_) => {}
        }
    }
}
