//! The door: accepts connections, turns away what is too much, and speaks TLS and HTTP with the rest, all within
//! time limits, so that nobody holds a place by doing nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower_service::Service as _;

use super::guests::{Full, Guests, Seat};
use super::proxies::Proxies;
use super::tls::Tls;
use super::transport::Transport;
use crate::http::ClientAddress;
use crate::metrics::Metrics;

/// For a TLS handshake, and for the head of a request, the first or a further one on the same connection.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How long to wait when the operating system has no more descriptors.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// Said to those who are turned away, where that needs no handshake.
const TURNED_AWAY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 10\r\n\
    connection: close\r\ncontent-length: 88\r\n\r\n\
    {\"error\":{\"code\":\"rate_limited\",\"detail\":\"too many connections\",\"retry_after_ms\":10000}}";

pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    pub(super) guests: Arc<Guests>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stopping: watch::Receiver<bool>,
}

/// What a connection's requests need of it, beside [`ConnectInfo`].
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) seat: Arc<Seat>,
}

impl Door {
    /// Accepts until the node stops.
    pub(super) async fn open(self) {
        let mut stopping = self.stopping.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stopped(&mut stopping) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        let address = (!self.proxies.include(peer.ip())).then(|| ClientAddress::of(peer.ip()));
        let seat = match self.guests.admit(address) {
            Ok(seat) => Arc::new(seat),
            Err(full) => return self.turn_away(&stream, full),
        };
        // Answers are small and someone waits for each. A socket that refuses is as good as gone.
        drop(stream.set_nodelay(true));
        let tls = self.tls.clone();
        let (router, stopping, metrics) = (self.router.clone(), self.stopping.clone(), Arc::clone(&self.metrics));
        tokio::spawn(async move {
            let transport = match tls {
                None => Transport::Plain(stream),
                Some(tls) => match tokio::time::timeout(HEAD_WITHIN, tls.acceptor().accept(stream)).await {
                    Ok(Ok(stream)) => Transport::Tls(Box::new(stream)),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        return metrics.refused("tls_failed");
                    }
                    Err(_) => return metrics.refused("tls_too_slow"),
                },
            };
            serve(transport, router, peer, Connection { seat }, stopping).await;
        });
    }

    fn turn_away(&self, stream: &TcpStream, full: Full) {
        self.metrics.refused(full.name());
        if self.tls.is_none() {
            // If it does not fit at once, the peer learns no more than that the connection ends.
            drop(stream.try_write(TURNED_AWAY));
        }
    }
}

async fn serve(
    transport: Transport,
    router: Router,
    peer: SocketAddr,
    connection: Connection,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(connection.clone());
        router.clone().call(request)
    });
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(transport), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(&mut stopping) => {
            // Whatever is being answered is still answered.
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Never, if whoever could stop the node was dropped.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Errors of a connection that was gone before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::TURNED_AWAY;

    #[test]
    fn those_who_are_turned_away_get_a_whole_answer() {
        let text = std::str::from_utf8(TURNED_AWAY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        let _: serde_json::Value = serde_json::from_str(body).unwrap();
    }
}
