//! `chasqui-node stats`: how much of everything there is, while the node runs or not.

use chasqui_node::inspect::{Inspection, Stats};
use clap::Args;

use super::Failure;
use super::print::{bytes, json, since};
use super::settings::Settings;

#[derive(Args)]
pub(super) struct ShowStats {
    #[command(flatten)]
    settings: Settings,
    /// One JSON object instead of lines for people.
    #[arg(long)]
    json: bool,
}

impl ShowStats {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve()?;
        let stats = Inspection::open(&config.data)?.stats()?;
        if self.json {
            json(&stats)
        } else {
            print(&stats)
        }
        Ok(())
    }
}

fn print(stats: &Stats) {
    let line = |name: &str, value: String| println!("{name:<16} {value}");
    line("realm", stats.realm.to_string());
    line("era", format!("{}, {} commits", stats.era, stats.revision));
    line("users", stats.users.to_string());
    line("devices", format!("{}, {} revoked", stats.devices, stats.devices_revoked));
    line("mail waiting", format!("{} messages, {} of bodies", stats.messages, bytes(stats.body_bytes)));
    line("entries", stats.entries.to_string());
    line("encrypted", format!("{} conversations, {} key packages", stats.groups, stats.key_packages));
    line("oldest message", since(stats.oldest_at));
    line("segments", format!("{}, {}", stats.segments, bytes(stats.segment_bytes)));
    line("database", bytes(stats.database_bytes));
    line("free on disk", stats.free_bytes.map_or_else(|| "unknown".to_owned(), bytes));
    if !stats.fullest_mailboxes.is_empty() {
        println!("\nfullest mailboxes: device, user, entries, bytes of bodies, last seen");
    }
    for mailbox in &stats.fullest_mailboxes {
        let (size, seen) = (bytes(mailbox.body_bytes), since(mailbox.last_seen_at));
        println!("{} {} {:>8} {size:>10}  {seen}", mailbox.device, mailbox.user, mailbox.entries);
    }
    if !stats.largest_senders.is_empty() {
        println!("\nwho wrote most of what waits: user, messages, bytes of bodies");
    }
    for sender in &stats.largest_senders {
        println!("{} {:>8} {:>10}", sender.user, sender.messages, bytes(sender.body_bytes));
    }
}
