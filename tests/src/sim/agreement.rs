//! Whether devices agree on who is in the groups of encrypted conversations, and on everything that ever happened there.

use rusqlite::OptionalExtension as _;

use super::world::World;

impl World {
    /// Who is in a group for the node stands where the node does, in the same group as everybody else, or has let go of it and begins it
    /// anew with the next word.
    pub(super) fn check_groups(&self) -> Result<(), String> {
        let climate = &self.climate;
        // What expired, what a full mailbox or a restored node lost, and what a copy did, shows with the next message only.
        let is_kept = climate.ttl.is_none() && climate.mailbox.is_none() && climate.absent.is_none();
        if !is_kept || climate.restores + climate.clones > 0 || !self.node.is_up() {
            return Ok(());
        }
        for (conversation, (epoch, roster)) in self.node.rosters() {
            let mut first = None;
            for (index, device) in self.devices.iter().enumerate() {
                if !device.enrolled || !roster.contains(&device.id) {
                    continue;
                }
                let sql = "SELECT mls_group, epoch FROM secured
                           WHERE conversation = ? AND mls_group IS NOT NULL AND offer IS NULL";
                let row = device.database().query_row(sql, [conversation.as_bytes()], |row| {
                    Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
                });
                let Some((group, at)) = row.optional().expect("the history can be queried") else { continue };
                if at != epoch {
                    return Err(format!("device {index} is at epoch {at} of {conversation}, the node at {epoch}"));
                }
                match first {
                    None => first = Some((index, group)),
                    Some((other, known)) if known != group => {
                        return Err(format!("devices {other} and {index} are in different groups of {conversation}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}
