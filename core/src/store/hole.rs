//! Holes: runs of positions that the node did not keep for this device, as lines of the timeline.
//!
//! A hole names only positions at which nothing stands, and no two of them overlap. What arrives after all makes it
//! smaller, or two of it.

use chasqui_wire::{HoleReason, Seq, SeqRange, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::message::{Kind, State};
use super::{Ask as _, ConversationRow, RowExt as _, Sql, StoreError};
use crate::domain::Incomplete;

/// What the node says is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewHole {
    pub(crate) range: SeqRange,
    pub(crate) reason: HoleReason,
    pub(crate) since: Timestamp,
    /// Whose messages they may be, at a guess: a row needs an author.
    pub(crate) sender: UserId,
}

/// Marks whatever of the range is not held; says whether anything is missing that was not marked yet.
pub(crate) fn note(connection: &Connection, conversation: &ConversationRow, new: &NewHole) -> Result<bool, StoreError> {
    let key = conversation.key.0;
    let (first, last) = (new.range.first(), new.range.last());
    let mut missing: Vec<SeqRange> = Vec::new();
    // The lowest position of which it is not known whether anything stands there; `None` = known to the end.
    let mut next = match covering(connection, conversation, first)? {
        Some((_, marked)) => marked.last().next(),
        None => Some(first),
    };
    let sql = "SELECT anchor, coalesce(until, anchor) AS last FROM message
               WHERE conversation = ? AND anchor BETWEEN ? AND ? AND place = 0 ORDER BY anchor";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((key, Sql(first), Sql(last)))?;
    while let Some(row) = rows.next()? {
        let held: Seq = row.wire("anchor")?;
        let before = next.zip(held.before()).and_then(|(next, before)| SeqRange::new(next, before));
        missing.extend(before);
        next = next.max(row.wire::<Seq>("last")?.next());
    }
    missing.extend(next.and_then(|next| SeqRange::new(next, last)));
    for &range in &missing {
        insert(connection, conversation, &NewHole { range, ..*new })?;
    }
    if !missing.is_empty() {
        connection.run("UPDATE conversation SET has_holes = 1 WHERE id = ?", params![key])?;
    }
    Ok(!missing.is_empty())
}

/// What stood in a hole arrived after all.
pub(crate) fn fill(connection: &Connection, conversation: &ConversationRow, seq: Seq) -> Result<(), StoreError> {
    let Some((row, hole)) = covering(connection, conversation, seq)? else { return Ok(()) };
    let before = seq.before().filter(|&before| hole.contains(before));
    let after = seq.next().filter(|&after| hole.contains(after));
    if let Some(after) = after {
        let sql = "INSERT INTO message (conversation, anchor, place, seq, sender, incoming, kind, state, created_at,
                                        until, reason)
                   SELECT conversation, ?2, 0, ?2, sender, incoming, kind, state, created_at, until, reason
                   FROM message WHERE id = ?1";
        connection.run(sql, params![row, Sql(after)])?;
    }
    match before {
        Some(before) => connection.run("UPDATE message SET until = ?2 WHERE id = ?1", params![row, Sql(before)])?,
        None => connection.run("DELETE FROM message WHERE id = ?", params![row])?,
    };
    Ok(())
}

/// Not the time of an absence.
const UNDATED: Timestamp = Timestamp(0);

/// The device was away for too long. Says whether that is news.
pub(crate) fn note_absence(connection: &Connection, since: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO absence (id, since) VALUES (1, ?1)
               ON CONFLICT (id) DO UPDATE SET since = excluded.since WHERE since <> excluded.since";
    Ok(connection.run(sql, params![Sql(since)])? > 0)
}

/// A part of another device's history is lost here, how old a one is not known yet.
pub(crate) fn note_loss(connection: &Connection) -> Result<(), StoreError> {
    note_absence(connection, UNDATED).map(drop)
}

/// What is lost was said after this.
pub(crate) fn date_loss(connection: &Connection, after: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE absence SET since = ?1 WHERE since = ?2";
    connection.prepare_cached(sql)?.execute((Sql(after), Sql(UNDATED)))?;
    Ok(())
}

/// What is lost is older than all that is here.
pub(crate) fn date_oldest_loss(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE absence SET since = coalesce((SELECT min(created_at) FROM message), ?1) WHERE since = ?2";
    connection.prepare_cached(sql)?.execute((Sql(now), Sql(UNDATED)))?;
    Ok(())
}

/// Since when this history is not whole, if it is not.
pub(crate) fn incomplete(connection: &Connection) -> Result<Option<Incomplete>, StoreError> {
    let sql = "SELECT (SELECT since FROM absence) AS absent_since, min(created_at) AS holes_since, count(*) AS holes
               FROM message WHERE until IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([], |row| {
        let absent_since: Option<Timestamp> = row.wire_opt("absent_since")?;
        let holes_since: Option<Timestamp> = row.wire_opt("holes_since")?;
        Ok((absent_since, holes_since, row.get::<_, u32>("holes")?))
    })?;
    let (absent_since, holes_since, holes) = found;
    let since = [absent_since, holes_since].into_iter().flatten().min();
    Ok(since.map(|since| Incomplete { since, absent_since, holes }))
}

fn insert(connection: &Connection, conversation: &ConversationRow, new: &NewHole) -> Result<(), StoreError> {
    let sql = "INSERT INTO message (conversation, anchor, place, seq, sender, incoming, kind, state, created_at, until,
                                    reason)
               VALUES (?1, ?2, 0, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8)";
    connection.run(
        sql,
        params![
            conversation.key.0,
            Sql(new.range.first()),
            Sql(new.sender),
            Kind::Hole as i64,
            State::Accepted as i64,
            Sql(new.since),
            Sql(new.range.last()),
            new.reason.number()
        ],
    )?;
    Ok(())
}

/// The hole in which `seq` lies, and its row.
fn covering(
    connection: &Connection,
    conversation: &ConversationRow,
    seq: Seq,
) -> Result<Option<(i64, SeqRange)>, StoreError> {
    let sql = "SELECT id, anchor, until FROM message
               WHERE conversation = ? AND anchor <= ? AND until IS NOT NULL ORDER BY anchor DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get("id")?, row.wire("anchor")?, row.wire("until")?));
    let found: Option<(i64, Seq, Seq)> = statement.query_row((conversation.key.0, Sql(seq)), read).optional()?;
    let Some((row, first, last)) = found else { return Ok(None) };
    let hole = SeqRange::new(first, last).ok_or(StoreError::Corrupt("a hole that does not run upwards"))?;
    Ok(hole.contains(seq).then_some((row, hole)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chasqui_wire::{ConversationId, ConversationKind, DeviceId, MessageId, Protection};
    use proptest::prelude::*;

    use super::super::{ConversationHead, MessageRow, NewMessage, Place, Store, fill_gap, note_gap};
    use super::*;

    const BO: UserId = UserId::from_bytes([0xB; 16]);

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Arrives(Seq),
        Gap(Seq),
        Hole(SeqRange),
    }

    /// Two eras of some positions each.
    fn seq() -> impl Strategy<Value = Seq> {
        (0..2u32, 1..15u64).prop_map(|(era, number)| Seq::new(era, number).unwrap())
    }

    fn range() -> impl Strategy<Value = SeqRange> {
        (seq(), 0..10u64).prop_map(|(first, more)| {
            SeqRange::new(first, Seq::new(first.era(), first.number() + more).unwrap()).unwrap()
        })
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => seq().prop_map(Op::Arrives),
            1 => seq().prop_map(Op::Gap),
            1 => range().prop_map(Op::Hole),
        ]
    }

    struct World {
        store: Store,
        conversation: ConversationId,
        held: BTreeSet<Seq>,
        gaps: BTreeSet<Seq>,
    }

    impl World {
        fn new() -> Self {
            let store = Store::with_connection(Connection::open_in_memory().unwrap()).unwrap();
            let conversation = ConversationId::from_bytes([7; 16]);
            Self { store, conversation, held: BTreeSet::new(), gaps: BTreeSet::new() }
        }

        fn row(&self) -> ConversationRow {
            let (kind, protection) = (ConversationKind::Direct, Protection::NodeReadable);
            let head = ConversationHead { id: self.conversation, kind, protection, peer: Some(BO) };
            ConversationRow::ensure(self.store.connection(), &head, Timestamp(1)).unwrap()
        }

        fn apply(&mut self, op: Op) {
            let (db, row) = (self.store.connection(), self.row());
            match op {
                Op::Arrives(seq) if self.held.contains(&seq) => {}
                Op::Arrives(seq) => {
                    fill_gap(db, &row, seq).unwrap();
                    let mut id = [1; 16];
                    id[..8].copy_from_slice(&seq.raw().to_be_bytes());
                    let new = NewMessage {
                        id: MessageId::from_bytes(id),
                        place: Place::At(seq),
                        sender: BO,
                        sender_device: DeviceId::from_bytes([1; 16]),
                        incoming: true,
                        kind: Kind::Content,
                        created_at: Timestamp(1),
                        accepted_at: Some(Timestamp(1)),
                        body: bytes::Bytes::new(),
                    };
                    MessageRow::insert(db, &row, &new).unwrap();
                    self.held.insert(seq);
                    self.gaps.remove(&seq);
                }
                Op::Gap(seq) => {
                    if note_gap(db, &row, seq, BO, Timestamp(1)).unwrap() {
                        self.gaps.insert(seq);
                    }
                }
                Op::Hole(range) => {
                    let (reason, since) = (HoleReason::MailboxFull, Timestamp(1));
                    note(db, &row, &NewHole { range, reason, since, sender: BO }).unwrap();
                }
            }
        }

        fn holes(&self) -> Vec<(Seq, Seq)> {
            let sql = "SELECT anchor, until FROM message WHERE until IS NOT NULL ORDER BY anchor";
            let mut statement = self.store.connection().prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.wire("anchor")?, row.wire("until")?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        }

        fn is_marked(&self, seq: Seq) -> bool {
            self.holes().iter().any(|&(first, last)| first <= seq && seq <= last)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_missing_is_marked_once_and_what_stands_is_not(ops in prop::collection::vec(op(), 1..40)) {
            let mut world = World::new();
            let mut named: BTreeSet<Seq> = BTreeSet::new();
            for op in ops {
                world.apply(op);
                if let Op::Hole(range) = op {
                    let before = world.holes();
                    world.apply(op);
                    prop_assert_eq!(world.holes(), before, "the same hole again changes nothing");
                    let raw = range.first().raw()..=range.last().raw();
                    named.extend(raw.filter_map(Seq::from_raw));
                }
            }
            let holes = world.holes();
            prop_assert!(holes.iter().all(|(first, last)| first <= last));
            prop_assert!(holes.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", holes);
            let stands: BTreeSet<Seq> = world.held.union(&world.gaps).copied().collect();
            prop_assert!(stands.iter().all(|&seq| !world.is_marked(seq)), "{:?} in {:?}", stands, holes);
            prop_assert!(named.difference(&stands).all(|&seq| world.is_marked(seq)), "{:?} of {:?}", holes, named);
            let marked = holes.iter().flat_map(|(first, last)| first.raw()..=last.raw()).filter_map(Seq::from_raw);
            prop_assert!(marked.clone().all(|seq| named.contains(&seq)), "{:?} of {:?}", holes, named);
        }
    }
}
