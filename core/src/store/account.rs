//! Who this device belongs to, and how far the node had come when it last spoke.

use chasqui_wire::{Checkpoint, DeviceId, Progress, RealmId, UserId};
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use super::{Ask as _, RowExt as _, Sql, StoreError};
use crate::engine::{Enrolment, Secret};

/// The account of this folder.
#[derive(Clone, Debug)]
pub(crate) struct AccountRow {
    pub(crate) enrolled: bool,
    pub(crate) node: String,
    pub(crate) realm: RealmId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) device: DeviceId,
    pub(crate) device_seed: Secret,
    pub(crate) identity_seed: Option<Secret>,
    /// That the node is asked to take.
    pub(crate) new_identity_seed: Option<Secret>,
    /// The key that the node says the user has, where it is another than this device's.
    pub(crate) other_identity: Option<[u8; 32]>,
    pub(crate) era: u32,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) progress: Progress,
    /// The node said that this folder is a copy.
    pub(crate) copied: bool,
}

impl AccountRow {
    pub(crate) fn load(connection: &Connection) -> Result<Option<Self>, StoreError> {
        Self::load_with(
            connection,
            ["device_seed", "identity_seed", "new_identity_seed"].map(|seed| format!("unsealed({seed})")),
        )
    }

    /// As [`Self::load`], where the vault cannot be opened: with seeds that are of no use.
    pub(super) fn load_locked(connection: &Connection) -> Result<Option<Self>, StoreError> {
        let [device, identity, new] = ["device_seed", "identity_seed", "new_identity_seed"];
        // Sealed, each is longer by what seals it.
        let blank = |seed: &str| format!("CASE WHEN length({seed}) IN (32, 68) THEN zeroblob(32) ELSE {seed} END");
        Self::load_with(connection, [blank(device), blank(identity), blank(new)])
    }

    fn load_with(connection: &Connection, [device, identity, new]: [String; 3]) -> Result<Option<Self>, StoreError> {
        let sql = format!(
            "SELECT enrolled, node, realm, user, name, device, {device} AS device_seed, {identity} AS identity_seed,
                    {new} AS new_identity_seed, other_identity, era, checkpoint_era, checkpoint_revision,
                    checkpoint_opening, checkpoint_seal, connections, stored_up_to, sent, copied FROM account"
        );
        let read = |row: &rusqlite::Row<'_>| {
            let checkpoint = match row.get::<_, Option<u32>>("checkpoint_era")? {
                Some(era) => Some(Checkpoint {
                    era,
                    revision: row.get::<_, i64>("checkpoint_revision")?.cast_unsigned(),
                    opening: row.get("checkpoint_opening")?,
                    seal: row.get("checkpoint_seal")?,
                }),
                None => None,
            };
            Ok(Self {
                enrolled: row.get("enrolled")?,
                node: row.get("node")?,
                realm: row.wire("realm")?,
                user: row.wire("user")?,
                name: row.get("name")?,
                device: row.wire("device")?,
                device_seed: Secret::new(row.get("device_seed")?),
                identity_seed: row.get::<_, Option<[u8; 32]>>("identity_seed")?.map(Secret::new),
                new_identity_seed: row.get::<_, Option<[u8; 32]>>("new_identity_seed")?.map(Secret::new),
                other_identity: row.get("other_identity")?,
                era: row.get("era")?,
                checkpoint,
                progress: Progress {
                    connections: row.get::<_, i64>("connections")?.cast_unsigned(),
                    stored_up_to: row.get::<_, i64>("stored_up_to")?.cast_unsigned(),
                    sent: row.get::<_, i64>("sent")?.cast_unsigned(),
                },
                copied: row.get("copied")?,
            })
        };
        connection.first(&sql, params![], read)
    }

    /// Remembers keys before the node is asked, so that a repeated request is the same request.
    pub(crate) fn begin(connection: &Connection, new: &Enrolment) -> Result<(), StoreError> {
        Self::forget(connection)?;
        let sql = "INSERT INTO account (id, enrolled, node, realm, user, name, device, device_seed, identity_seed)
                   VALUES (1, 0, :node, :realm, :user, :name, :device, sealed(:device_seed), sealed(:identity_seed))";
        connection.execute(
            sql,
            named_params! {
                ":node": new.node,
                ":realm": Sql(new.realm),
                ":user": Sql(new.user),
                ":name": new.name,
                ":device": Sql(new.device),
                ":device_seed": new.device_seed.expose(),
                ":identity_seed": new.identity_seed.as_ref().map(Secret::expose),
            },
        )?;
        Ok(())
    }

    /// The node enrolled this device for `user`, whose history this is from here on.
    /// `false` when other keys were remembered meanwhile.
    pub(crate) fn confirm(
        connection: &Connection,
        user: UserId,
        name: &str,
        device: DeviceId,
    ) -> Result<bool, StoreError> {
        // An identity that was made for a user who turned out to be another is nobody's. Whose folder this is may have one.
        let sql = "UPDATE account SET enrolled = 1, user = ?1, name = ?2,
                   identity_seed = CASE WHEN user = ?1 THEN identity_seed
                                   ELSE (SELECT identity_seed FROM owner WHERE user = ?1) END WHERE device = ?3";
        if connection.execute(sql, (Sql(user), name, Sql(device)))? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO owner (id, user, name) VALUES (1, ?, ?)
                   ON CONFLICT DO UPDATE SET name = excluded.name WHERE name = ''";
        connection.execute(sql, (Sql(user), name))?;
        Ok(true)
    }

    /// Whose history this is, if anybody was ever enrolled here.
    pub(crate) fn owner(connection: &Connection) -> Result<Option<(UserId, String)>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.wire("user")?, row.get("name")?));
        Ok(connection.query_row("SELECT user, name FROM owner", [], read).optional()?)
    }

    /// The identity of whoever's history this is, while no device is enrolled here.
    pub(crate) fn owners_identity(connection: &Connection) -> Result<Option<Secret>, StoreError> {
        let sql = "SELECT unsealed(identity_seed) FROM owner";
        let seed = connection.first(sql, params![], |row| row.get::<_, Option<[u8; 32]>>(0))?;
        Ok(seed.flatten().map(Secret::new))
    }

    /// Another device of the user gave this one what they all have.
    pub(crate) fn set_identity_seed(connection: &Connection, seed: &Secret) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET identity_seed = sealed(?), other_identity = NULL", [seed.expose()])?;
        Ok(())
    }

    /// A new identity is to be the user's.
    pub(crate) fn set_new_identity(connection: &Connection, seed: &Secret) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET new_identity_seed = sealed(?)", [seed.expose()])?;
        Ok(())
    }

    /// It is; says whether there was one.
    pub(crate) fn take_new_identity(connection: &Connection) -> Result<bool, StoreError> {
        let sql =
            "UPDATE account SET identity_seed = new_identity_seed, new_identity_seed = NULL, other_identity = NULL
                   WHERE new_identity_seed IS NOT NULL";
        Ok(connection.execute(sql, [])? > 0)
    }

    /// The node says that the user has this one.
    pub(crate) fn set_other_identity(connection: &Connection, key: Option<[u8; 32]>) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET other_identity = ?", [key])?;
        Ok(())
    }

    /// Whose history this is, and the identity, as a backup says; whoever logs in here has them. `false`: it is somebody else's.
    pub(crate) fn adopt_owner(
        connection: &Connection,
        user: UserId,
        name: &str,
        seed: Option<&Secret>,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO owner (id, user, name, identity_seed) VALUES (1, ?1, ?2, sealed(?3))
                   ON CONFLICT DO UPDATE SET identity_seed = CASE WHEN EXISTS (SELECT 1 FROM account WHERE enrolled = 1)
                       THEN coalesce(identity_seed, excluded.identity_seed)
                       ELSE coalesce(excluded.identity_seed, identity_seed) END
                   WHERE user = excluded.user";
        Ok(connection.execute(sql, (Sql(user), name, seed.map(Secret::expose)))? > 0)
    }

    /// The device is no longer enrolled; the history stays, and the user's identity.
    pub(crate) fn forget(connection: &Connection) -> Result<(), StoreError> {
        let sql = "UPDATE owner SET identity_seed = account.identity_seed FROM account
                   WHERE account.enrolled = 1 AND account.user = owner.user AND account.identity_seed IS NOT NULL
                   AND account.other_identity IS NULL";
        connection.execute(sql, [])?;
        connection.execute("DELETE FROM account", [])?;
        Ok(())
    }

    pub(crate) fn set_checkpoint(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let sql = "UPDATE account SET checkpoint_era = ?, checkpoint_revision = ?, checkpoint_opening = ?,
                   checkpoint_seal = ?";
        let parameters =
            params![checkpoint.era, checkpoint.revision.cast_signed(), checkpoint.opening, checkpoint.seal];
        connection.run(sql, parameters)?;
        Ok(())
    }

    pub(crate) fn set_era(connection: &Connection, era: u32) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET era = ?", [era])?;
        Ok(())
    }

    /// One more attempt to connect, counted before it is made.
    pub(crate) fn count_connection(connection: &Connection) -> Result<(), StoreError> {
        connection.run("UPDATE account SET connections = connections + 1", [])?;
        Ok(())
    }

    /// A message goes out for the first time. What devices say to one device, and commits, the node does not count either.
    pub(crate) fn count_sent(connection: &Connection) -> Result<(), StoreError> {
        connection.run("UPDATE account SET sent = sent + 1 WHERE sent < ?", params![i64::MAX])?;
        Ok(())
    }

    /// It was finally refused: the node has not accepted it.
    pub(crate) fn uncount_sent(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET sent = sent - 1 WHERE sent BETWEEN 1 AND ?", [i64::MAX - 1])?;
        Ok(())
    }

    /// A new device goes on with the outbox of an earlier one, of which the node may accept everything.
    pub(crate) fn count_outbox_as_sent(connection: &Connection) -> Result<(), StoreError> {
        let sql = "UPDATE account SET sent = (SELECT count(*) FROM outbox WHERE first_sent_at IS NOT NULL)";
        connection.execute(sql, [])?;
        Ok(())
    }

    /// Mailbox entries up to this one were dealt with.
    pub(crate) fn raise_stored_up_to(connection: &Connection, entry: u64) -> Result<(), StoreError> {
        let sql = "UPDATE account SET stored_up_to = ?1 WHERE stored_up_to < ?1";
        connection.run(sql, params![i64::try_from(entry).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// This folder is a copy: its device goes on elsewhere.
    pub(crate) fn set_copied(connection: &Connection) -> Result<(), StoreError> {
        connection.execute("UPDATE account SET copied = 1", [])?;
        Ok(())
    }
}
