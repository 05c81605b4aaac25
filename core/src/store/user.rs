//! Other people, and the keys of their devices as first seen.

use chasqui_wire::{DeviceId, UserId};
use rusqlite::{Connection, params};

use super::{Ask as _, RowExt as _, Sql, StoreError};
use crate::export::{KnownDevice, KnownUser};

/// Remembers that `user` exists, and says whether that is new; her name is asked for when there is a network.
pub(crate) fn mention(connection: &Connection, user: UserId) -> Result<bool, StoreError> {
    let sql = "INSERT INTO user (user) VALUES (?) ON CONFLICT DO NOTHING";
    Ok(connection.run(sql, params![Sql(user)])? > 0)
}

/// Remembers the name of `user`. Names are given anew when an account was deleted: whoever had this one before is asked for again.
pub(crate) fn remember(connection: &Connection, user: UserId, name: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO user (user, name) VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET name = excluded.name";
    connection.run(sql, params![Sql(user), name])?;
    let sql = "UPDATE user SET name = NULL WHERE name = ?2 COLLATE NOCASE AND user <> ?1";
    connection.run(sql, params![Sql(user), name])?;
    Ok(())
}

/// The account was deleted; says whether that is news.
pub(crate) fn mark_deleted(connection: &Connection, user: UserId) -> Result<bool, StoreError> {
    let sql = "UPDATE user SET deleted = 1 WHERE user = ? AND deleted = 0";
    Ok(connection.run(sql, params![Sql(user)])? > 0)
}

/// Whether it is known that the account was deleted.
pub(crate) fn is_deleted(connection: &Connection, user: UserId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM user WHERE user = ? AND deleted = 1)";
    connection.one(sql, params![Sql(user)], |row| row.get(0))
}

/// The next users, in the order of their ids.
pub(crate) fn after(connection: &Connection, after: Option<UserId>, limit: u32) -> Result<Vec<KnownUser>, StoreError> {
    let sql = "SELECT user, name, identity_key, deleted FROM user WHERE ?1 IS NULL OR user > ?1 ORDER BY user LIMIT ?2";
    connection.all(sql, params![after.map(Sql), limit], |row| {
        let (name, identity_key) = (row.get("name")?, row.get("identity_key")?);
        Ok(KnownUser { user: row.wire("user")?, name, identity_key, deleted: row.get("deleted")? })
    })
}

/// The next devices whose keys are known, in the order of their ids.
pub(crate) fn devices_after(
    connection: &Connection,
    after: Option<DeviceId>,
    limit: u32,
) -> Result<Vec<KnownDevice>, StoreError> {
    let sql = "SELECT device, user, key FROM device WHERE ?1 IS NULL OR device > ?1 ORDER BY device LIMIT ?2";
    connection.all(sql, params![after.map(Sql), limit], |row| {
        Ok(KnownDevice { device: row.wire("device")?, user: row.wire("user")?, key: row.get("key")? })
    })
}

/// Users whose names are not known here, at most `limit`.
pub(crate) fn nameless(connection: &Connection, limit: u32) -> Result<Vec<UserId>, StoreError> {
    connection.all(
        "SELECT user FROM user WHERE name IS NULL AND deleted = 0 ORDER BY user LIMIT ?",
        params![limit],
        |row| row.wire("user"),
    )
}

/// The name of a user, if it is known here.
pub(crate) fn name(connection: &Connection, user: UserId) -> Result<Option<String>, StoreError> {
    Ok(connection.first("SELECT name FROM user WHERE user = ?", params![Sql(user)], |row| row.get(0))?.flatten())
}

/// The user of that name, if met before.
pub(crate) fn by_name(connection: &Connection, name: &str) -> Result<Option<(UserId, String)>, StoreError> {
    connection.first(
        "SELECT user, name FROM user WHERE name = ? COLLATE NOCASE AND deleted = 0",
        params![name],
        |row| Ok((row.wire("user")?, row.get("name")?)),
    )
}

/// Whose device it is, and its key, if one was seen.
pub(crate) fn device_key(connection: &Connection, device: DeviceId) -> Result<Option<(UserId, [u8; 32])>, StoreError> {
    connection.first("SELECT user, key FROM device WHERE device = ?", params![Sql(device)], |row| {
        Ok((row.wire("user")?, row.get("key")?))
    })
}

/// Whether `key` is what is known of `device`; the first key seen is kept.
pub(crate) fn pin_device_key(
    connection: &Connection,
    device: DeviceId,
    user: UserId,
    key: &[u8; 32],
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO device (device, user, key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    connection.run(sql, params![Sql(device), Sql(user), key])?;
    let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE device = ? AND user = ? AND key = ?)";
    connection.one(sql, params![Sql(device), Sql(user), key], |row| row.get(0))
}

/// The key of a device, as its user's link to it says, whatever was known before.
pub(crate) fn set_device_key(
    connection: &Connection,
    device: DeviceId,
    user: UserId,
    key: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO device (device, user, key) VALUES (?, ?, ?)
               ON CONFLICT (device) DO UPDATE SET user = excluded.user, key = excluded.key
               WHERE (user, key) <> (excluded.user, excluded.key)";
    connection.run(sql, params![Sql(device), Sql(user), key])?;
    Ok(())
}
