//! Whose identity is known by which key, and what was noticed about identities.

use chasqui_wire::{ArchivedUser, Comparison, ConversationId, DeviceId, Timestamp, UserId};
use rusqlite::{Connection, params};

use super::{Ask as _, MessageKey, RowExt as _, Sql, StoreError, message::MISSED, user};
use crate::domain::{SecurityEvent, SecurityEventKind, Trust};

/// The most events that are kept: the newest.
const EVENTS: u32 = 1_000;
/// Before the same event is told once more.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What is known of somebody's identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdentityRow {
    pub(crate) key: [u8; 32],
    pub(crate) trust: Trust,
    pub(crate) changed_at: Option<Timestamp>,
}

/// The numbers are stored.
fn number(trust: Trust) -> i64 {
    match trust {
        Trust::Unverified => 0,
        Trust::Verified => 1,
        Trust::Changed => 2,
    }
}

pub(super) fn trust(number: i64) -> Trust {
    [Trust::Verified, Trust::Changed].into_iter().find(|&trust| self::number(trust) == number).unwrap_or_default()
}

impl IdentityRow {
    pub(crate) fn get(connection: &Connection, user: UserId) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT identity_key, verified, identity_changed_at FROM user
                   WHERE user = ? AND identity_key IS NOT NULL";
        let read = |row: &rusqlite::Row<'_>| {
            let (key, changed_at) = (row.get("identity_key")?, row.wire_opt("identity_changed_at")?);
            Ok(Self { key, trust: trust(row.get("verified")?), changed_at })
        };
        connection.first(sql, params![Sql(user)], read)
    }

    /// It is another one than the one that is known.
    pub(crate) fn replace(
        connection: &Connection,
        user: UserId,
        key: &[u8; 32],
        trust: Trust,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE user SET identity_key = ?2, verified = ?3, identity_changed_at = ?4,
                       identity_changed_after = (SELECT coalesce(max(id), 0) FROM message) WHERE user = ?1";
        connection.run(sql, params![Sql(user), key, number(trust), Sql(at)])?;
        Ok(())
    }

    /// Another one is known, or was elsewhere, than the one that is known now: what was said until then was not said to whoever has
    /// that.
    fn note_change(connection: &Connection, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE user SET identity_changed_at = max(coalesce(identity_changed_at, ?2), ?2) WHERE user = ?1";
        connection.run(sql, params![Sql(user), Sql(at)])?;
        Ok(())
    }

    /// Whether a message was said before the user had the identity that is known now: whoever has that one may be somebody else.
    ///
    /// Of what this device sent or got itself it tells by the order of rows, which no clock changes. What a history brought (the node gave it
    /// no revision here, and what could not be read has no body) is judged by its time: the node's, or the author's if that is earlier,
    /// so that a node does not make it later than it was.
    pub(crate) fn is_of_an_earlier_one(
        connection: &Connection,
        user: UserId,
        message: MessageKey,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM user, message WHERE user.user = ?1 AND message.id = ?2
             AND (message.id <= identity_changed_after
                  OR (identity_changed_at >= min(created_at, coalesce(accepted_at, created_at))
                      AND revision IS NULL AND (NOT {MISSED} OR length(coalesce(body, x'')) = 0))))"
        );
        connection.one(&sql, params![Sql(user), message.0], |row| row.get(0))
    }

    /// Another key than the one that is known was compared elsewhere.
    pub(crate) fn contest(connection: &Connection, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE user SET verified = ?2, identity_changed_at = ?3 WHERE user = ?1";
        connection.run(sql, params![Sql(user), number(Trust::Changed), Sql(at)])?;
        Ok(())
    }

    pub(crate) fn set_trust(connection: &Connection, user: UserId, trust: Trust) -> Result<(), StoreError> {
        connection.run("UPDATE user SET verified = ?2 WHERE user = ?1", params![Sql(user), number(trust)])?;
        Ok(())
    }
}

/// Remembers what people made of somebody's identity; says whether nothing later is known.
pub(crate) fn note_comparison(connection: &Connection, said: &Comparison) -> Result<bool, StoreError> {
    user::mention(connection, said.user)?;
    let sql = "UPDATE user SET compared_key = ?2, compared_verified = ?3, compared_at = ?4
               WHERE user = ?1 AND compared_at < ?4";
    let parameters = params![Sql(said.user), said.identity_key, said.verified, Sql(said.at)];
    Ok(connection.run(sql, parameters)? > 0)
}

/// What people last made of somebody's identity.
pub(crate) fn last_comparison(connection: &Connection, user: UserId) -> Result<Option<Comparison>, StoreError> {
    let sql = "SELECT user, compared_key, compared_verified, compared_at FROM user
               WHERE user = ? AND compared_key IS NOT NULL";
    connection.first(sql, params![Sql(user)], comparison)
}

/// What people last made of everybody's identity whom they compared.
pub(crate) fn comparisons(connection: &Connection) -> Result<Vec<Comparison>, StoreError> {
    let sql = "SELECT user, compared_key, compared_verified, compared_at FROM user
               WHERE compared_key IS NOT NULL ORDER BY compared_at";
    connection.all(sql, params![], comparison)
}

fn comparison(row: &rusqlite::Row<'_>) -> rusqlite::Result<Comparison> {
    let (identity_key, verified) = (row.get("compared_key")?, row.get("compared_verified")?);
    Ok(Comparison { user: row.wire("user")?, identity_key, verified, at: row.wire("compared_at")? })
}

/// Whether `key` is what is known of the user's identity; the first key seen is kept.
pub(crate) fn pin_identity_key(connection: &Connection, user: UserId, key: &[u8; 32]) -> Result<bool, StoreError> {
    user::mention(connection, user)?;
    let sql = "UPDATE user SET identity_key = ?2 WHERE user = ?1 AND identity_key IS NULL";
    connection.run(sql, params![Sql(user), key])?;
    let sql = "SELECT identity_key = ?2 FROM user WHERE user = ?1";
    connection.one(sql, params![Sql(user), key], |row| row.get(0))
}

/// What an archive says of somebody; what is known here stays, but of what people made of a key the latest counts. Says whether people had
/// compared another key than the one that is known here, and have not compared that.
pub(crate) fn restore_user(
    connection: &Connection,
    archived: &ArchivedUser,
    now: Timestamp,
) -> Result<bool, StoreError> {
    user::mention(connection, archived.user)?;
    let mut is_contested = false;
    if let Some(key) = &archived.identity_key {
        let is_known = pin_identity_key(connection, archived.user, key)?;
        let said = trust(archived.trust.into());
        let here = IdentityRow::get(connection, archived.user)?.map(|known| known.trust).unwrap_or_default();
        let last = last_comparison(connection, archived.user)?.map(|last| last.at);
        let is_latest = last.is_none_or(|last| archived.compared_at > Some(last));
        // To whom nothing is sent before people decide, they decide.
        if is_known && is_latest && here != Trust::Changed {
            if let Some(at) = archived.compared_at {
                let (user, verified) = (archived.user, said == Trust::Verified);
                note_comparison(connection, &Comparison { user, identity_key: *key, verified, at })?;
            }
            if here == Trust::Unverified || archived.compared_at.is_some() {
                IdentityRow::set_trust(connection, archived.user, said)?;
            }
        }
        // Its messages were said to whoever has the key that it names.
        if let Some(at) = if is_known { archived.identity_changed_at } else { Some(now) } {
            IdentityRow::note_change(connection, archived.user, at)?;
        }
        is_contested = is_latest && !is_known && here == Trust::Unverified && said != Trust::Unverified;
    }
    if let Some(name) = &archived.name {
        let sql = "UPDATE user SET name = ?2 WHERE user = ?1 AND name IS NULL
                   AND NOT EXISTS (SELECT 1 FROM user WHERE name = ?2 COLLATE NOCASE)";
        connection.run(sql, params![Sql(archived.user), name])?;
    }
    if archived.deleted {
        user::mark_deleted(connection, archived.user)?;
    }
    Ok(is_contested)
}

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSecurityEvent {
    pub(crate) kind: SecurityEventKind,
    pub(crate) user: Option<UserId>,
    pub(crate) device: Option<DeviceId>,
    pub(crate) conversation: Option<ConversationId>,
}

/// Notes it, unless it is the very same as the last one; says whether it was noted.
pub(crate) fn note_security_event(
    connection: &Connection,
    new: &NewSecurityEvent,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let of = || (new.kind.number(), new.user.map(Sql), new.device.map(Sql), new.conversation.map(Sql));
    let sql = "SELECT EXISTS (SELECT 1 FROM security_event WHERE id > (SELECT max(id) FROM security_event) - 16
               AND kind = ?1 AND user IS ?2 AND device IS ?3 AND conversation IS ?4 AND abs(at - ?5) < ?6)";
    let (kind, user, device, conversation) = of();
    let parameters = params![kind, user, device, conversation, Sql(at), DAY_MS];
    let is_known: bool = connection.one(sql, parameters, |row| row.get(0))?;
    // The same is told once a day. A new identity is news each time.
    if is_known && new.kind != SecurityEventKind::IdentityChanged {
        return Ok(false);
    }
    let sql = "INSERT INTO security_event (at, kind, user, device, conversation) VALUES (?, ?, ?, ?, ?)";
    let (kind, user, device, conversation) = of();
    connection.run(sql, params![Sql(at), kind, user, device, conversation])?;
    let sql = "DELETE FROM security_event WHERE id <= (SELECT max(id) FROM security_event) - ?";
    connection.run(sql, params![EVENTS])?;
    Ok(true)
}

/// Those after one, oldest first.
pub(crate) fn security_events(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<SecurityEvent>, StoreError> {
    let sql = "SELECT id, at, kind, user, device, conversation FROM security_event WHERE id > ? ORDER BY id LIMIT ?";
    connection.all(sql, params![i64::try_from(after).unwrap_or(i64::MAX), limit], |row| {
        let kind: i64 = row.get("kind")?;
        Ok(SecurityEvent {
            number: row.get::<_, i64>("id")?.cast_unsigned(),
            at: row.wire("at")?,
            kind: SecurityEventKind::from_number(kind).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, kind))?,
            user: row.wire_opt("user")?,
            device: row.wire_opt("device")?,
            conversation: row.wire_opt("conversation")?,
        })
    })
}
