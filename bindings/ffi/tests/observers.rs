//! Ending observers, and telling them something, while somebody waits for them. No node is needed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chasqui_ffi::{
    Blocked, ChasquiError, Config, ConnectionState, ConversationsUpdate, Count, NativeClient, TimelineUpdate,
    native_new_recovery_phrase,
};
use tempfile::TempDir;

/// Long enough for a slow machine; nothing here waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.expect("it does not hang")
}

async fn open(folder: &TempDir) -> Result<Arc<NativeClient>, ChasquiError> {
    let folder = folder.path().to_str().unwrap().to_owned();
    let node = "http://127.0.0.1:1".to_owned();
    NativeClient::open(Config { folder, node, realm: None, device_binding: None, passphrase: None, adopt_copy: false })
        .await
}

/// Polls once, so that whoever waits has begun to.
async fn begun<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut future = std::pin::pin!(future);
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
        begun.send(()).unwrap();
        match first {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => future.await,
        }
    });
    has_begun.await.unwrap();
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_observer_ends_at_once_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(&folder).await.unwrap();
    let conversations = client.observe_conversations(Count(10)).unwrap();
    let first = within(conversations.next()).await.unwrap();
    assert_eq!(first, Some(ConversationsUpdate::Reset { items: Vec::new() }));

    let waiting = Arc::clone(&conversations);
    let waiting = begun(async move { waiting.next().await }).await;
    let queued = Arc::clone(&conversations);
    let queued = begun(async move { queued.next().await }).await;
    conversations.cancel();
    assert_eq!(within(waiting).await.unwrap(), Ok(None));
    assert_eq!(within(queued).await.unwrap(), Ok(None));
    conversations.cancel();
    assert_eq!(within(conversations.next()).await, Ok(None));

    // The others are made of the same.
    let transfer = client.observe_history_transfer();
    assert_eq!(within(transfer.next()).await, Ok(Some(Vec::new())));
    let events = client.observe_security_events(0).unwrap();
    let (of_transfer, of_events) = (Arc::clone(&transfer), Arc::clone(&events));
    let of_transfer = begun(async move { of_transfer.next().await }).await;
    let of_events = begun(async move { of_events.next().await }).await;
    transfer.cancel();
    events.cancel();
    assert_eq!(within(of_transfer).await.unwrap(), Ok(None));
    assert_eq!(within(of_events).await.unwrap(), Ok(None));
    assert!(matches!(client.observe_security_events(-1).map(drop), Err(ChasquiError::Invalid { .. })));
    let typing = client.observe_typing();
    assert_eq!(within(typing.next()).await, Ok(Some(client.typing())));
    let of_typing = Arc::clone(&typing);
    let of_typing = begun(async move { of_typing.next().await }).await;
    typing.cancel();
    assert_eq!(within(of_typing).await.unwrap(), Ok(None));
    let connection = client.observe_connection();
    let state = ConnectionState::Blocked { reason: Blocked::NotEnrolled };
    while within(connection.next()).await.unwrap() != Some(state) {}
    let salvages = client.observe_salvages(0).unwrap();
    let waiting = Arc::clone(&salvages);
    let waiting = begun(async move { waiting.next().await }).await;
    connection.cancel();
    salvages.cancel();
    assert_eq!(within(connection.next()).await, Ok(None));
    assert_eq!(within(waiting).await.unwrap(), Ok(None));
    client.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_wait_loses_no_news_and_a_closed_client_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(&folder).await.unwrap();
    let chat = "0190f5f0-0000-7000-8000-000000000001".parse().unwrap();
    let timeline = client.observe_timeline(chat, Count(10)).unwrap();
    assert_eq!(within(timeline.next()).await, Ok(Some(TimelineUpdate::Reset { items: Vec::new() })));
    assert_eq!(timeline.window(), Ok(Vec::new()));

    let waiting = Arc::clone(&timeline);
    let waiting = begun(async move { waiting.next().await }).await;
    waiting.abort();
    assert!(within(waiting).await.unwrap_err().is_cancelled());

    let waiting = Arc::clone(&timeline);
    let waiting = begun(async move { waiting.next().await }).await;
    // Asks again, finds nothing new, and goes on waiting.
    timeline.set_limit(Count(20)).unwrap();
    within(client.close()).await.unwrap();
    assert_eq!(within(waiting).await.unwrap(), Ok(None));
    assert_eq!(within(timeline.next()).await, Ok(None));
    assert_eq!(within(client.account()).await, Err(ChasquiError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_outlives_its_client_keeps_the_folder_until_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(&folder).await.unwrap();
    let observer = client.observe_conversations(Count(10)).unwrap();
    within(observer.next()).await.unwrap();
    drop(client);
    assert_eq!(open(&folder).await.map(drop), Err(ChasquiError::FolderInUse));
    observer.cancel();
    // The threads let go of the folder on their own time.
    let free = async {
        while open(&folder).await.map(drop) == Err(ChasquiError::FolderInUse) {
            tokio::task::yield_now().await;
        }
    };
    within(free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_comes_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(&folder).await.unwrap();
    let export = client.export_pages();
    let mut text = Vec::new();
    while let Some(page) = within(export.next()).await.unwrap() {
        text.extend(page);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("{") && text.ends_with("{\"kind\":\"end\",\"lines\":1}\n"), "{text}");
    assert_eq!(within(export.next()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_does_not_look_as_if_it_had_ended() {
    let folder = tempfile::tempdir().unwrap();
    let client = open(&folder).await.unwrap();
    let phrase = native_new_recovery_phrase().unwrap();
    let backup = client.backup_pages(phrase.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(within(backup.next()).await, Err(ChasquiError::NotEnrolled));
    }
    assert_eq!(client.backup_pages("no phrase".to_owned()).map(drop), Err(ChasquiError::WrongPhrase));
    let restore = client.begin_restore(phrase).unwrap();
    let cut_off = within(restore.finish()).await;
    assert!(matches!(cut_off, Err(ChasquiError::Invalid { .. })), "{cut_off:?}");
    let finished = within(restore.push(vec![1])).await;
    assert!(matches!(finished, Err(ChasquiError::Invalid { .. })), "{finished:?}");
}
