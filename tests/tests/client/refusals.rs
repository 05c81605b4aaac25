//! Nodes that cannot be used: each gives an error that says what an app can do.

use chasqui::{Blocked, Client, Config, ConnectionState, Error, RealmId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stage::{Device, PASSWORD, Relay, free_address};

fn some_realm() -> RealmId {
    "0190f5f0-0000-7000-8000-0000000000aa".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [
        "",
        "garbage",
        "ftp://example.org",
        "ws://example.org",
        "127.0.0.1:7400",
        "http://",
        "http://a b",
        "https://[::",
        "http://a:99999",
        "http://a/?b",
        "http://a/#b",
    ];
    for node in wrong {
        let opened = Client::open(Config::new(folder.path(), node)).await;
        assert!(matches!(opened, Err(Error::Invalid { .. })), "{node:?} was taken");
    }
    // A refused address leaves the folder free.
    let client = Client::open(Config::new(folder.path(), "http://127.0.0.1:1")).await.unwrap();
    assert_eq!(client.account().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there() {
    let device = Device::blank(&format!("http://{}", free_address())).await;
    for _ in 0..2 {
        let refused = device.register("ana", PASSWORD, "phone").await;
        assert!(matches!(&refused, Err(error @ Error::Offline { .. }) if error.is_retryable()), "{refused:?}");
        assert!(matches!(device.login("ana", PASSWORD, "phone").await, Err(Error::Offline { .. })));
    }
    assert_eq!(device.account().await.unwrap(), None);
    assert_eq!(device.connection(), ConnectionState::Blocked(Blocked::NotEnrolled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_app() {
    let relay = Relay::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path(), relay.url());
    let strict = Client::open(config.clone().realm(some_realm())).await.unwrap();
    let refused = strict.register("ana", PASSWORD, "phone").await;
    assert!(matches!(refused, Err(Error::Incompatible { .. })), "{refused:?}");
    assert!(matches!(strict.login("ana", PASSWORD, "phone").await, Err(Error::Incompatible { .. })));
    strict.close().await.unwrap();
    let right = Client::open(config.realm(relay.running().realm())).await.unwrap();
    right.register("ana", PASSWORD, "phone").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_app_at_the_same_address() {
    let mut relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    relay.stop().await;
    let other = Relay::configured(|config| {
        config.listen = relay.address();
        config.realm = Some(some_realm());
    })
    .await;
    ana.network_up();
    ana.is(ConnectionState::Blocked(Blocked::Incompatible)).await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forgot_everything() {
    let mut relay = Relay::start().await;
    let realm = relay.running().realm();
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    relay.stop().await;
    let _other = Relay::configured(|config| {
        config.listen = relay.address();
        config.realm = Some(realm);
    })
    .await;
    ana.network_up();
    ana.is(ConnectionState::Blocked(Blocked::Unauthorised)).await;
}

/// Answers every request with the same bytes.
async fn parrot(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_no_nodes() {
    let http = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let answers = [
        (http("200 OK", "<html>Welcome to the hotel</html>"), "incompatible"),
        (http("200 OK", "{\"realm\":7}"), "incompatible"),
        (http("302 Found", ""), "incompatible"),
        (http("404 Not Found", "gone"), "incompatible"),
        (http("502 Bad Gateway", "<html>"), "offline"),
        (http("503 Service Unavailable", "{\"error\":{\"code\":\"storage_full\",\"detail\":\"\"}}"), "storage_full"),
        (
            http(
                "429 Too Many Requests",
                "{\"error\":{\"code\":\"rate_limited\",\"detail\":\"\",\"retry_after_ms\":9}}",
            ),
            "rate_limited",
        ),
        (http("400 Bad Request", "{\"error\":{\"code\":\"from_the_future\",\"detail\":\"x\"}}"), "invalid"),
        ("SSH-2.0-OpenSSH_9.9\r\n".to_owned(), "offline"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(), "offline"),
        (String::new(), "offline"),
    ];
    for (answer, code) in answers {
        let device = Device::blank(&parrot(answer.clone()).await).await;
        let error = device.register("ana", PASSWORD, "phone").await.unwrap_err();
        assert_eq!(error.code(), code, "{answer:?}: {error}");
        assert_eq!(device.account().await.unwrap(), None);
    }
}
