//! Health, readiness, metrics and request ids of a node that runs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;

use std::net::SocketAddr;

use bytes::Bytes;
use chasqui_node::config::Config;
use chasqui_node::serve;
use chasqui_wire::{
    Ack, AckItem, AckOutcome, ClientFrame, ConversationKind, MessageId, NodeFrame, Protection, Send, StorageClass,
    direct_conversation,
};
use client::{Device, Node, config, raw_request, request};
use serde_json::json;

/// A node that also listens for its operator.
async fn watched(change: impl FnOnce(&mut Config)) -> (Node, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    change(&mut config);
    let running = serve::start(config).await.unwrap();
    let operator = running.metrics_address().unwrap();
    (Node { running, folder }, operator)
}

/// The value of a metric, with its labels.
async fn metric(operator: SocketAddr, name: &str) -> f64 {
    let page = raw_request(operator, "GET", "/metrics", None, "").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

async fn until(operator: SocketAddr, name: &str, wanted: f64) {
    let reached = async {
        while metric(operator, name).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    let reached = tokio::time::timeout(std::time::Duration::from_secs(30), reached).await;
    assert!(reached.is_ok(), "{name} is {}, not {wanted}", metric(operator, name).await);
}

fn send(from: &Device, to: &Device, number: u8) -> ClientFrame {
    ClientFrame::Send(Box::new(Send {
        message: MessageId::from_bytes([number; 16]),
        conversation: direct_conversation(from.user, to.user, Protection::NodeReadable),
        kind: ConversationKind::Direct,
        protection: Protection::NodeReadable,
        peer: Some(to.user),
        body: Bytes::from_static(b"text"),
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: false,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch: 0,
        commit: None,
        roster_checked: false,
    }))
}

#[tokio::test]
async fn a_message_is_counted_on_its_way() {
    let (node, operator) = watched(|_| {}).await;
    let (ana, bo) = (Device::registered(&node, 1, "ana").await, Device::registered(&node, 2, "bo").await);
    let (mut socket, _) = ana.welcomed().await;
    assert!(matches!(socket.frame().await, NodeFrame::Drained(_)));
    socket.send(send(&ana, &bo, 1)).await;
    assert!(matches!(socket.frame().await, NodeFrame::Accepted(_)));
    let mut wrong = send(&ana, &bo, 2);
    if let ClientFrame::Send(send) = &mut wrong {
        send.epoch = 1;
    }
    socket.send(wrong).await;
    assert!(matches!(socket.frame().await, NodeFrame::Rejected(_)));
    until(operator, "chasqui_sends_accepted_total", 1.0).await;
    until(operator, "chasqui_sends_rejected_total{code=\"not_supported\"}", 1.0).await;
    until(operator, "chasqui_entries_waiting", 1.0).await;
    until(operator, "chasqui_bodies_waiting_bytes", 4.0).await;
    until(operator, "chasqui_segments", 1.0).await;
    until(operator, "chasqui_devices_online", 1.0).await;
    let (mut other, _) = bo.welcomed().await;
    let NodeFrame::Deliver(deliver) = other.frame().await else { panic!("mail") };
    let items = vec![AckItem { number: deliver.entries[0].number, outcome: AckOutcome::Stored }];
    other.send(ClientFrame::Ack(Ack::from(items))).await;
    // The message and its receipt.
    until(operator, "chasqui_entries_delivered_total", 2.0).await;
    until(operator, "chasqui_entries_acknowledged_total", 1.0).await;
    until(operator, "chasqui_bodies_waiting", 0.0).await;
    drop(bo.welcomed().await);
    until(operator, "chasqui_goodbyes_total{reason=\"displaced\"}", 1.0).await;
    until(operator, "chasqui_http_requests_total{route=\"/v1/register\",status=\"200\"}", 2.0).await;
    until(operator, "chasqui_relay_queue", 0.0).await;
    assert!(metric(operator, "chasqui_commit_seconds_count").await >= 4.0);
    assert!(metric(operator, "chasqui_disk_free_bytes").await > 0.0);
    assert_eq!(metric(operator, "chasqui_failing").await, 0.0);
    let page = raw_request(operator, "GET", "/metrics", None, "").await;
    assert!(!page.contains(&ana.user.to_string()) && !page.contains(&ana.device.to_string()), "nobody is named");
    node.running.stop().await;
}

#[tokio::test]
async fn the_end_of_the_certificate_is_known() {
    let certificates = tempfile::tempdir().unwrap();
    let files = [certificates.path().join("cert.pem"), certificates.path().join("key.pem")];
    let certify = |year| {
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        std::fs::write(&files[0], parameters.self_signed(&key).unwrap().pem()).unwrap();
    };
    certify(2100);
    let (node, operator) = watched(|config| {
        config.tls.certificate = Some(files[0].clone());
        config.tls.key = Some(files[1].clone());
    })
    .await;
    until(operator, "chasqui_tls_certificate_expires_at_seconds", 4_102_444_800.0).await;
    certify(2101);
    until(operator, "chasqui_tls_certificate_expires_at_seconds", 4_133_980_800.0).await;
    node.running.stop().await;
    let (node, operator) = watched(|_| {}).await;
    assert_eq!(metric(operator, "chasqui_tls_certificate_expires_at_seconds").await, 0.0, "no TLS");
    node.running.stop().await;
}

#[tokio::test]
async fn what_people_reach_shows_health_and_no_metrics() {
    let (node, operator) = watched(|_| {}).await;
    let people = node.running.address();
    for listener in [people, operator] {
        assert_eq!(request(listener, "GET", "/healthz", None, "").await.status, 200);
        let ready = request(listener, "GET", "/readyz", None, "").await;
        assert_eq!((ready.status, ready.body), (200, json!({ "ready": true, "reasons": [] })));
    }
    assert_eq!(request(people, "GET", "/metrics", None, "").await.status, 404);
    node.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_is_not_ready() {
    let (node, operator) = watched(|config| config.drain_seconds = 30).await;
    let ana = Device::registered(&node, 1, "ana").await;
    // It is told goodbye and does not leave.
    let (mut socket, _) = ana.welcomed().await;
    let stopping = tokio::spawn(node.running.stop());
    while !matches!(socket.frame().await, NodeFrame::Goodbye(_)) {}
    let ready = request(operator, "GET", "/readyz", None, "").await;
    assert_eq!((ready.status, ready.body), (503, json!({ "ready": false, "reasons": ["draining"] })));
    drop(socket);
    stopping.await.unwrap();
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let (node, _) = watched(|_| {}).await;
    let people = node.running.address();
    let id = async |given: Option<&str>| {
        let given = given.map(|id| ("x-request-id", id));
        let answer = raw_request(people, "GET", "/v1/nothing", given, "").await;
        let line = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        line
    };
    assert_eq!(id(Some("from-the-proxy_1")).await, "from-the-proxy_1");
    let own = id(None).await;
    assert!(own.len() == 16 && own != id(None).await, "{own}");
    assert_ne!(id(Some("forged line")).await, "forged line");
    node.running.stop().await;
}
