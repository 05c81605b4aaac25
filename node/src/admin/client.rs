//! Asking a node that runs, through its admin socket.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{AdminError, Done, Order};

/// Its answer; `None` if no node listens.
pub(super) async fn ask(data: &Path, order: &Order) -> Result<Option<Done>, AdminError> {
    let socket = super::socket(data);
    let unreachable = |problem: String| AdminError::Unreachable { socket: socket.clone(), problem };
    let stream = match UnixStream::connect(&socket).await {
        Ok(stream) => stream,
        // Left by a crash, or never there.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        // A path that is too long for a socket has none.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
        Err(error) => return Err(unreachable(error.to_string())),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let driving = tokio::spawn(connection);
    let body = serde_json::to_vec(order).map_err(|error| unreachable(error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/order")
        .header(header::HOST, "node")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| unreachable(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| unreachable(error.to_string()))?.to_bytes();
    driving.abort();
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(|error| unreachable(error.to_string())),
        StatusCode::CONFLICT => Err(AdminError::Refused(String::from_utf8_lossy(&body).into_owned())),
        other => Err(unreachable(format!("it answered {other}"))),
    }
}
