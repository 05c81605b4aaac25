//! Making a history of saved rows: what contradicts the rules goes, what follows from other rows is made again.
//!
//! Guarantees: afterwards an engine can load it, every pending message is in the outbox exactly once, and everything that
//! is derived (unread counts, heads, the search index) follows from the rows that are there.

use chasqui_wire::{ConversationKind, Protection, UserId, direct_conversation};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{AccountRow, Ask as _, RowExt as _, Sql, StoreError, index_all, message::VISIBLE};
use crate::domain::Salvage;

/// Beyond any count that an account reached in between: the node must not take what was saved for an older copy.
const CONNECTIONS_AHEAD: i64 = 1 << 20;
/// Missing positions that are shown as gaps, in one conversation. More are only counted.
const SHOWN_GAPS: i64 = 10_000;
/// See [`chasqui_wire::Seq`]: the era stands above, the number below.
const NUMBER_MASK: i64 = chasqui_wire::Seq::NUMBER_MAX.cast_signed();
const SEQ_MAX: i64 = (1 << 53) - 1;

/// Mends what was saved into `db`, and writes the report.
pub(super) fn mend(db: &Connection, report: &mut Salvage) -> Result<(), StoreError> {
    drop_impossible_rows(db)?;
    let owner = mend_account(db, report)?;
    mend_conversations(db, owner)?;
    mend_outbox(db)?;
    report.gaps = show_gaps(db, owner)?;
    derive(db)?;
    index_all(db)?;
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0).map(i64::cast_unsigned));
    for table in &mut report.tables {
        let rows = count(&format!("SELECT count(*) FROM \"{}\"", table.name))?;
        // Gaps are made here, not saved; what was dropped was not saved either.
        let saved = if table.name == "message" { rows - report.gaps.min(rows) } else { rows };
        table.is_whole &= saved >= table.rows;
        table.rows = saved;
    }
    report.unsent = count("SELECT count(*) FROM outbox WHERE reclaim IS NULL")?;
    report.number = count("SELECT coalesce(max(id), 0) + 1 FROM salvage")?;
    record(db, report)
}

/// Writes the report, or writes it again.
pub(crate) fn record(db: &Connection, report: &Salvage) -> Result<(), StoreError> {
    let text = serde_json::to_string(report).map_err(|_| StoreError::Corrupt("a report without JSON"))?;
    let sql = "INSERT OR REPLACE INTO salvage (id, report, keys_lost) VALUES (?, ?, ?)";
    db.execute(sql, (report.number.cast_signed(), text, report.keys_lost))?;
    Ok(())
}

/// Every report so far, oldest first.
pub(crate) fn reports(db: &Connection) -> Result<Vec<Salvage>, StoreError> {
    let texts = db.all("SELECT report FROM salvage ORDER BY id", params![], |row| row.get::<_, String>(0))?;
    // One that a later version wrote otherwise is not worth failing for.
    Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
}

/// Whether the keys were lost, and nobody has logged in since.
pub(crate) fn are_keys_lost(db: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM salvage WHERE keys_lost = 1)";
    db.one(sql, params![], |row| row.get(0))
}

/// Somebody logged in.
pub(crate) fn has_keys_again(db: &Connection) -> Result<(), StoreError> {
    db.execute("UPDATE salvage SET keys_lost = 0 WHERE keys_lost = 1", [])?;
    Ok(())
}

/// What no version ever wrote. Types and NULLs are checked by the schema.
fn drop_impossible_rows(db: &Connection) -> Result<(), StoreError> {
    let is_seq = |column: &str| format!("({column} BETWEEN 1 AND {SEQ_MAX} AND ({column} & {NUMBER_MASK}) > 0)");
    let rules = [
        ("owner", "length(user) = 16".to_owned()),
        ("binding", "length(tag) = 32".to_owned()),
        ("user", "length(user) = 16 AND length(coalesce(identity_key, zeroblob(32))) = 32".to_owned()),
        ("device", "length(device) = 16 AND length(user) = 16 AND length(key) = 32".to_owned()),
        (
            "conversation",
            "length(conversation) = 16 AND kind IN (1, 2, 3) AND protection IN (1, 2)
             AND length(coalesce(peer, zeroblob(16))) = 16 AND head >= 0 AND read_up_to >= 0 AND read_reported >= 0"
                .to_owned(),
        ),
        (
            "message",
            format!(
                "length(sender) = 16 AND length(coalesce(sender_device, zeroblob(16))) = 16
                 AND length(coalesce(message, zeroblob(16))) = 16 AND incoming IN (0, 1) AND deleted IN (0, 1)
                 AND kind IN (1, 2, 3, 4, 5) AND state IN (0, 1, 2) AND (seq IS NULL OR {})
                 AND (kind IN (3, 4)) = (message IS NULL) AND (kind IN (3, 4) OR sender_device IS NOT NULL)
                 AND (kind = 4) = (until IS NOT NULL)
                 AND (until IS NULL OR (until >= anchor AND until & ~{NUMBER_MASK} = anchor & ~{NUMBER_MASK}))
                 AND (state <> 1 OR (seq IS NOT NULL AND anchor = seq AND place = 0)
                      OR (kind IN (2, 5) AND seq IS NULL AND place = -1))
                 AND (state <> 0 OR (seq IS NULL AND incoming = 0)) AND (kind < 3 OR state = 1)
                 AND coalesce(failure, 0) >= 0",
                is_seq("seq")
            ),
        ),
        ("group_change", format!("length(conversation) = 16 AND {}", is_seq("seq"))),
        ("read_outbox", format!("{} AND since >= 0", is_seq("up_to"))),
        ("receipt", format!("{} AND length(user) = 16 AND rank IN (1, 2, 3)", is_seq("seq"))),
        (
            "early_receipt",
            format!("{} AND {} AND length(user) = 16 AND rank IN (1, 2, 3)", is_seq("first"), is_seq("last")),
        ),
    ];
    for (table, rule) in rules {
        db.execute(&format!("DELETE FROM {table} WHERE NOT ({rule})"), [])?;
    }
    Ok(())
}

/// Whose history it is. Keys that cannot be used are no keys.
fn mend_account(db: &Connection, report: &mut Salvage) -> Result<Option<UserId>, StoreError> {
    let account = AccountRow::load_locked(db).ok().flatten();
    if account.is_none() {
        db.execute("DELETE FROM account", [])?;
    }
    let was_never_enrolled = report.tables.iter().any(|table| table.name == "account" && table.is_whole)
        && report.rows("account") == 0
        && !report.is_log_missing;
    report.keys_lost = account.is_none() && !was_never_enrolled;
    // An account that cannot be counted on is not compared either.
    let sql = "UPDATE account SET connections = min(max(connections, 0), 1 << 62) + ?1, stored_up_to = ?2, sent = ?2";
    db.execute(sql, (CONNECTIONS_AHEAD, i64::MAX))?;
    if let Some(account) = &account {
        let sql = "INSERT OR IGNORE INTO owner (id, user, name) VALUES (1, ?, ?)";
        db.execute(sql, (Sql(account.user), &account.name))?;
        return Ok(Some(account.user));
    }
    if let Some((owner, _)) = AccountRow::owner(db)? {
        return Ok(Some(owner));
    }
    // The author of own messages. The name is asked for at the next login.
    let sql = "SELECT sender FROM message WHERE incoming = 0 GROUP BY sender ORDER BY count(*) DESC LIMIT 1";
    let author: Option<UserId> = db.query_row(sql, [], |row| row.wire("sender")).optional()?;
    if let Some(author) = author {
        db.execute("INSERT INTO owner (id, user, name) VALUES (1, ?, '')", [Sql(author)])?;
    }
    Ok(author)
}

/// A direct conversation follows from its people; what belongs to one that cannot be known is dropped.
fn mend_conversations(db: &Connection, owner: Option<UserId>) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT conversation FROM message WHERE conversation NOT IN (SELECT id FROM conversation)";
    let lost = db.prepare(sql)?.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
    for key in lost {
        let sql = "SELECT sender AS user FROM message WHERE conversation = ?1 AND incoming = 1 AND kind <> 3
                   UNION ALL SELECT user FROM receipt WHERE conversation = ?1 LIMIT 1";
        let peer: Option<UserId> = db.query_row(sql, [key], |row| row.wire("user")).optional()?;
        let (Some(owner), Some(peer)) = (owner, peer) else { continue };
        let protection = Protection::NodeReadable;
        let id = direct_conversation(owner, peer, protection);
        let sql = "INSERT OR IGNORE INTO conversation (id, conversation, kind, protection, peer, activity)
                   VALUES (?, ?, ?, ?, ?, 0)";
        let kind = ConversationKind::Direct.number();
        db.execute(sql, (key, Sql(id), kind, protection.number(), Sql(peer)))?;
        db.execute("INSERT OR IGNORE INTO user (user) VALUES (?)", [Sql(peer)])?;
    }
    for table in ["message", "receipt", "early_receipt", "read_outbox"] {
        let sql = format!("DELETE FROM {table} WHERE conversation NOT IN (SELECT id FROM conversation)");
        db.execute(&sql, [])?;
    }
    // Under which its messages stand once and for all.
    db.execute_batch(
        "DELETE FROM outbox WHERE message NOT IN (SELECT id FROM message);
         UPDATE outbox SET conversation = (SELECT conversation FROM message WHERE message.id = outbox.message);",
    )?;
    Ok(())
}

/// Pending and in the outbox are one thing. An accepted message is there only when a restored node is given it back.
fn mend_outbox(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(
        "DELETE FROM outbox WHERE message IN (SELECT id FROM message WHERE state = 0 AND deleted = 1);
         DELETE FROM message WHERE state = 0 AND deleted = 1;
         DELETE FROM outbox WHERE message IN
             (SELECT id FROM message WHERE state = 2 OR deleted = 1 OR (state = 1 AND outbox.reclaim IS NULL));
         UPDATE outbox SET reclaim = NULL WHERE message IN (SELECT id FROM message WHERE state = 0);
         INSERT OR IGNORE INTO outbox (id, conversation, message, queued_at)
             SELECT place, conversation, id, created_at FROM message
             WHERE state = 0 AND place > 0 AND id NOT IN (SELECT message FROM outbox);
         INSERT INTO outbox (conversation, message, queued_at)
             SELECT conversation, id, created_at FROM message
             WHERE state = 0 AND id NOT IN (SELECT message FROM outbox) ORDER BY id;
         UPDATE message SET anchor = 9223372036854775807,
             place = (SELECT outbox.id FROM outbox WHERE outbox.message = message.id) WHERE state = 0;",
    )?;
    Ok(())
}

/// Within an era the positions of a conversation have no gaps: what is missing between two of them was here.
fn show_gaps(db: &Connection, owner: Option<UserId>) -> Result<u64, StoreError> {
    let mut missing = 0;
    // The head was known here, so it is an end like a message.
    let sql = format!(
        "SELECT conversation, seq, last FROM (
                   SELECT conversation, seq, lag(until) OVER (PARTITION BY conversation ORDER BY seq) AS last FROM (
                       SELECT conversation, seq, coalesce(until, seq) AS until FROM message WHERE seq IS NOT NULL
                       UNION SELECT conversation.id, seq, seq FROM group_change JOIN conversation USING (conversation)
                       UNION SELECT id, head + 1, head + 1 FROM conversation WHERE head > 0))
               WHERE seq - last > 1 AND seq & ~{NUMBER_MASK} = last & ~{NUMBER_MASK}"
    );
    let mut statement = db.prepare(&sql)?;
    let holes = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let holes: Vec<(i64, i64, i64)> = holes.collect::<Result<_, _>>()?;
    let nobody = UserId::from_bytes([0; 16]);
    for (conversation, next, last) in holes {
        missing += (next - last - 1).cast_unsigned();
        let sql = "WITH RECURSIVE hole(seq) AS (SELECT ?2 + 1 UNION ALL SELECT seq + 1 FROM hole WHERE seq + 1 < ?3)
                   INSERT INTO message (conversation, anchor, place, seq, sender, incoming, kind, state, created_at)
                   SELECT ?1, seq, 0, seq, ?4, 1, 3, 1, 0 FROM hole LIMIT ?5";
        db.execute(sql, (conversation, last, next, Sql(owner.unwrap_or(nobody)), SHOWN_GAPS))?;
    }
    Ok(missing)
}

fn derive(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(&format!(
        "INSERT OR IGNORE INTO recovery (message, ask_at) SELECT id, 0 FROM message WHERE kind = 5;
         UPDATE conversation SET
             head = max(head, coalesce((SELECT max(coalesce(until, seq)) FROM message WHERE message.conversation = conversation.id), 0));
         UPDATE conversation SET read_up_to = min(read_up_to, head), read_reported = min(read_reported, head),
             has_holes = EXISTS (SELECT 1 FROM message WHERE message.conversation = conversation.id
                                 AND until IS NOT NULL),
             unread = (SELECT count(*) FROM message WHERE message.conversation = conversation.id
                       AND anchor > min(read_up_to, head) AND incoming = 1 AND {VISIBLE} AND message IS NOT NULL),
             last_message = (SELECT message.id FROM message WHERE message.conversation = conversation.id
                             AND {VISIBLE} AND message.message IS NOT NULL
                             ORDER BY anchor DESC, place DESC, message.id DESC LIMIT 1);
         UPDATE conversation SET activity =
             coalesce((SELECT coalesce(accepted_at, created_at) FROM message WHERE id = last_message), activity);
         DELETE FROM early_receipt WHERE conversation NOT IN (SELECT conversation FROM outbox);"
    ))?;
    Ok(())
}
