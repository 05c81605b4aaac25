//! Traces of the real binary, sent to a collector that behaves, and to some that do not.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod collector;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use chasqui_wire::http::Enrolled;
use client::{Device, Node, node, raw_request, request};
use collector::{Collector, Manner, hex};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use tempfile::TempDir;

/// A node as a process, whose spans go to the collector.
struct Traced {
    child: Child,
    people: SocketAddr,
    operator: SocketAddr,
    realm: chasqui_wire::RealmId,
    _folder: TempDir,
}

impl Traced {
    fn start(endpoint: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("headers"), "authorization: Bearer of the collector\nx-team:7\n").unwrap();
        let file = folder.path().join("node.toml");
        let headers = folder.path().join("headers");
        let traces = format!("[traces]\nendpoint = \"{endpoint}\"\nheaders_file = {headers:?}\n{more}");
        std::fs::write(&file, format!("metrics_listen = \"127.0.0.1:0\"\n{traces}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chasqui-node"));
        command.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--config"]).arg(&file);
        command.arg("--data").arg(folder.path().join("data"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| listening[key].as_str().unwrap().parse().unwrap();
        let (people, operator) = (address("address"), address("metrics"));
        let realm = listening["realm"].as_str().unwrap().parse().unwrap();
        Self { child, people, operator, realm, _folder: folder }
    }

    /// Someone of this node; `any` is one in this process, which lends the shape.
    fn device(&self, any: &Node, byte: u8) -> Device {
        let mut device = Device::new(any, byte, byte);
        (device.node, device.realm) = (self.people, self.realm);
        device
    }

    async fn metric(&self, name: &str) -> f64 {
        let page = raw_request(self.operator, "GET", "/metrics", None, "").await;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    async fn until_above_zero(&self, name: &str) {
        while self.metric(name).await == 0.0 {
            tokio::task::yield_now().await;
        }
    }

    /// Asks it to stop, and waits for the end.
    async fn stop(mut self) {
        assert!(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap().success());
        let status = tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_traced_from_whoever_asked_to_the_disk() {
    let (collector, any) = (Collector::start(Manner::Takes).await, node().await);
    let node = Traced::start(&collector.url, "service_name = \"a node\"\n");
    let ana = node.device(&any, 1);
    let body = serde_json::to_string(&ana.register("ana")).unwrap();
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let answer = raw_request(node.people, "POST", "/v1/register", Some(("traceparent", &traceparent)), &body).await;
    let enrolled: Enrolled = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(enrolled.user, ana.user);
    // One that its sender does not want to be sampled, one that is nonsense.
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    raw_request(node.people, "GET", "/v1/realm", Some(("traceparent", &unsampled)), "").await;
    raw_request(node.people, "GET", "/healthz", Some(("traceparent", "00-nonsense")), "").await;
    let (socket, _) = ana.welcomed().await;
    drop(socket);
    collector.until(|spans| !named(spans, "connection").is_empty() && !named(spans, "commit").is_empty()).await;
    node.until_above_zero("chasqui_spans_exported_total").await;
    // The last one before the end: it is not lost.
    request(node.people, "INVENTED", "/v1/nothing", None, "").await;
    node.stop().await;

    let spans = collector.spans();
    let [register] = named(&spans, "POST /v1/register")[..] else { panic!("{spans:#?}") };
    assert_eq!((hex(&register.trace_id), hex(&register.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(register.kind, SpanKind::Server as i32);
    let attribute = |key: &str| {
        let found = register.attributes.iter().find(|attribute| attribute.key == key);
        format!("{:?}", found.unwrap_or_else(|| panic!("{register:#?}")).value)
    };
    assert!(attribute("http.response.status_code").contains("200"));
    assert!(attribute("http.route").contains("/v1/register"));
    // Within it, what it waited for.
    for name in ["hash", "relay_call"] {
        let inner = named(&spans, name);
        assert!(inner.iter().any(|span| span.parent_span_id == register.span_id), "{name}: {spans:#?}");
    }
    assert!(named(&spans, "GET /v1/realm").is_empty(), "it was not to be sampled");
    assert_eq!(named(&spans, "GET /healthz").len(), 1);
    let [last] = named(&spans, "HTTP")[..] else { panic!("the last one was not flushed: {spans:#?}") };
    assert!(!format!("{last:?}").contains("INVENTED"), "{last:#?}");
    let request = &collector.requests()[0];
    assert!(request.head.starts_with("post /v1/traces http/1.1\r\n"), "{}", request.head);
    for header in ["authorization: bearer of the collector", "x-team: 7", "content-type: application/x-protobuf"] {
        assert!(request.head.contains(header), "{}", request.head);
    }
    let all = format!("{:?}", collector.requests().iter().map(|request| &request.export).collect::<Vec<_>>());
    assert!(all.contains("\"service.name\"") && all.contains("\"a node\""), "{all}");
    // The name of a registered user, and ids, are nobody's business.
    for secret in ["\"ana\"", "correct horse", &ana.user.to_string(), &ana.device.to_string(), "127.0.0.1"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    any.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_hangs() {
    let (collector, any) = (Collector::start(Manner::Hangs).await, node().await);
    let node = Traced::start(&collector.url, "");
    // More than wait, and a batch.
    let mut asked = 0;
    while node.metric("chasqui_spans_dropped_total{reason=\"queue_full\"}").await == 0.0 {
        collector::ask_often(node.people, 500).await;
        asked += 500;
        assert!(asked <= 20_000, "the queue has no bound");
    }
    assert_eq!(node.device(&any, 1).post("/v1/register", &node.device(&any, 1).register("ana")).await.status, 200);
    // It ends all the same.
    node.stop().await;
    any.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_costs_spans_only() {
    let collector = Collector::start(Manner::Refuses).await;
    let node = Traced::start(&collector.url, "");
    assert_eq!(request(node.people, "GET", "/v1/realm", None, "").await.status, 200);
    node.until_above_zero("chasqui_spans_dropped_total{reason=\"not_taken\"}").await;
    assert_eq!(node.metric("chasqui_spans_exported_total").await, 0.0);
    collector.behaves(Manner::Takes);
    assert_eq!(request(node.people, "GET", "/v1/realm", None, "").await.status, 200);
    node.until_above_zero("chasqui_spans_exported_total").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_spans_only() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let node = Traced::start(&endpoint, "");
    assert_eq!(request(node.people, "GET", "/v1/realm", None, "").await.status, 200);
    node.until_above_zero("chasqui_spans_dropped_total{reason=\"not_taken\"}").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sampled_that_the_operator_does_not_want() {
    let collector = Collector::start(Manner::Takes).await;
    let node = Traced::start(&collector.url, "sample_ratio = 0\n");
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    raw_request(node.people, "GET", "/v1/realm", Some(("traceparent", &traceparent)), "").await;
    node.stop().await;
    assert!(collector.spans().is_empty(), "{:?}", collector.spans());
}
