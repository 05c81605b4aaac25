//! A collector of spans, in a few lines: OTLP over HTTP, protobuf.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    Takes,
    /// As a wrong header would be answered.
    Refuses,
    /// Reads it and says nothing.
    Hangs,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// In lower case.
    pub(crate) head: String,
    pub(crate) export: ExportTraceServiceRequest,
}

pub(crate) struct Collector {
    pub(crate) url: String,
    manner: watch::Sender<Manner>,
    requests: watch::Sender<Vec<Request>>,
}

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { url, manner: watch::Sender::new(manner), requests: watch::Sender::new(Vec::new()) };
        let (manner, requests) = (collector.manner.clone(), collector.requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner.clone(), requests.clone()));
            }
        });
        collector
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        spans(&self.requests.borrow())
    }

    /// Waits until it has such spans.
    pub(crate) async fn until(&self, has: impl Fn(&[Span]) -> bool) {
        drop(self.requests.subscribe().wait_for(|requests| has(&spans(requests))).await.unwrap());
    }
}

fn spans(requests: &[Request]) -> Vec<Span> {
    let resources = requests.iter().flat_map(|request| &request.export.resource_spans);
    resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
}

async fn serve(mut stream: TcpStream, manner: watch::Sender<Manner>, requests: watch::Sender<Vec<Request>>) {
    while let Some(request) = read(&mut stream).await {
        requests.send_modify(|requests| requests.push(request));
        let now = *manner.borrow();
        let answer = match now {
            Manner::Takes => "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
            Manner::Refuses => "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
            Manner::Hangs => std::future::pending().await,
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request, by its `content-length`.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if let Some(body) = bytes.get(end + 4..end + 4 + length?) {
                return Some(Request { head, export: ExportTraceServiceRequest::decode(body).unwrap() });
            }
        }
        let mut part = [0; 16 * 1024];
        match stream.read(&mut part).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&part[..count]),
            _ => return None,
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many small requests over one connection.
pub(crate) async fn ask_often(node: SocketAddr, times: usize) {
    let mut stream = TcpStream::connect(node).await.unwrap();
    let (mut answers, mut requests) = stream.split();
    let ask = async {
        for _ in 0..times {
            requests.write_all(b"GET /healthz HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
        }
        requests.write_all(b"GET /healthz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n").await.unwrap();
    };
    let mut all = Vec::new();
    let (_, read) = tokio::join!(ask, answers.read_to_end(&mut all));
    read.unwrap();
}
