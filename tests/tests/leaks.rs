//! A client that was dropped leaves no thread and no file behind. Alone in its process, so that it may count.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "other tests use more of the stage")]
mod stage;

use chasqui::{Client, Config, TimelineItem};
use stage::{Device, Relay, within};

/// Threads and open files of this process.
fn count() -> [usize; 2] {
    ["/proc/self/task", "/proc/self/fd"].map(|folder| std::fs::read_dir(folder).unwrap().count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_client_leaves_nothing_behind() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    let Device { client, folder } = ana;
    drop(client);
    let config = Config::new(folder.path(), relay.url());
    // What a first use makes and keeps is not a leak.
    let open_and_drop = async |is_closed: bool| {
        let client = reopened(&config).await;
        let mut states = client.observe_connection();
        let online = async { while states.next().await.unwrap() != chasqui::ConnectionState::Online {} };
        within("the client to be online", online).await;
        assert_eq!(client.devices().await.unwrap().len(), 1);
        // Encrypted, by which a library may be led to make threads of its own.
        let notes = client.open_direct(client.account().await.unwrap().unwrap().user).await.unwrap();
        let note = client.send_text(notes, "a note").await.unwrap();
        let mut lines = client.observe_timeline(notes, 100);
        let is_sent =
            |item: &TimelineItem| matches!(item, TimelineItem::Message(it) if it.id == note && it.seq.is_some());
        let sent = async {
            while !lines.window().iter().any(is_sent) {
                lines.next().await.unwrap();
            }
        };
        within("the note to be sent", sent).await;
        if is_closed {
            client.close().await.unwrap();
        }
    };
    open_and_drop(true).await;
    settled([usize::MAX; 2]).await;
    let before = settled(count()).await;
    for round in 0..20 {
        open_and_drop(round % 2 == 0).await;
    }
    let after = settled(before).await;
    assert!(after[0] <= before[0] && after[1] <= before[1], "threads and files: {before:?}, then {after:?}");
    assert_eq!(engines(), 0, "a first use may make and keep things, but not those");
}

/// Threads that engines began.
fn engines() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = names.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("chasqui-engine")).count()
}

/// Dropping does not wait, so the folder may be held for a moment more.
async fn reopened(config: &Config) -> Client {
    let free = async {
        loop {
            match Client::open(config.clone()).await {
                Err(chasqui::Error::FolderInUse) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    within("the folder to be free", free).await
}

/// The counts, once they are no higher than `wanted` or have not changed for a while: threads end on their own time,
/// and nobody tells when.
async fn settled(wanted: [usize; 2]) -> [usize; 2] {
    let mut last = count();
    let mut same = 0;
    while same < 25 && (last[0] > wanted[0] || last[1] > wanted[1] || wanted[0] == usize::MAX) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let now = count();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}
