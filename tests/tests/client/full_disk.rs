//! A file system that is really full. Ignored unless asked for, because it needs the right to mount one:
//! `cargo xtask test full-disk`, as root or where user namespaces are allowed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use chasqui::{Blocked, Client, Config, ConnectionState, Error};

use crate::stage::{Device, Relay};

/// A file system in memory of 4 MiB, gone with the value.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).status();
        assert!(mount.is_ok_and(|status| status.success()), "mounting a file system is not allowed here");
        Self(folder)
    }

    /// Leaves not one page.
    fn fill(&self) {
        let mut filler = File::create(self.0.path().join("filler")).unwrap();
        while filler.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.path().join("filler")).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: cargo xtask test full-disk"]
async fn a_full_disk_loses_nothing_and_is_left_by_itself() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    let small = Small::mount();
    let bo = Client::open(Config::new(small.path().join("bo"), relay.url())).await.unwrap();
    bo.register("bo", crate::stage::PASSWORD, "phone").await.unwrap();
    let chat = ana.open_readable(bo.account().await.unwrap().unwrap().user).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bo = Device { client: bo, folder };
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;

    small.fill();
    // The log has some room left in its file; what fits in there is taken, all else waits at the node.
    let mut sent = vec!["before".to_owned()];
    for number in 0..20 {
        let text = format!("{number} {}", "x".repeat(20_000));
        ana.send_text(chat, text.clone()).await.unwrap();
        sent.push(text);
    }
    bo.is(ConnectionState::Blocked(Blocked::StorageFull)).await;
    assert_eq!(bo.send_text(chat, "y".repeat(60_000)).await, Err(Error::StorageFull));
    assert_eq!(bo.texts(chat).await[0], "before", "what is there can be read");

    small.empty();
    bo.online().await;
    bo.gets(chat, sent.last().unwrap()).await;
    assert_eq!(bo.texts(chat).await, sent);
    bo.send_text(chat, "there is room again").await.unwrap();
    ana.gets(chat, "there is room again").await;
}
