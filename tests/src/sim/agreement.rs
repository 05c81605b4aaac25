//! Whether devices agree on who is in the groups of encrypted conversations, and on everything that ever happened there; and with the node
//! on how they can be put there.

use ring::digest::{SHA256, digest};
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

    /// Who is put in a group by what the node gives can open the Welcome: the secrets are there.
    pub(super) fn check_packages(&self) -> Result<(), String> {
        for (id, package) in self.node.packages() {
            // Of two copies of a folder one may have given what the other has no secrets of.
            let is_it = |device: &super::device::Device| device.enrolled && !device.had_twin && device.id == id;
            let Some(index) = self.devices.iter().position(is_it) else {
                continue;
            };
            let sql = "SELECT EXISTS (SELECT 1 FROM mls WHERE label = 16 AND key = ?)";
            let is_there = self.devices[index].database().query_row(sql, [kept_under(&package)], |row| row.get(0));
            let is_there: bool = is_there.expect("the history can be queried");
            if !is_there {
                return Err(format!("the node gives a key package of device {index} whose secrets are not there"));
            }
        }
        Ok(())
    }
}

/// The core's key for a key package: its reference (RFC 9420, section 5.2) behind the length of that.
fn kept_under(package: &[u8]) -> Vec<u8> {
    const LABEL: &[u8] = b"MLS 1.0 KeyPackage Reference";
    let length = u16::try_from(package.len()).expect("short").to_be_bytes();
    // Lengths as QUIC has them: 64 bytes and more take two.
    assert!((64..1 << 14).contains(&package.len()), "{} bytes", package.len());
    let named = [&[LABEL.len() as u8], LABEL, &[length[0] | 0x40, length[1]], package].concat();
    [&[32], digest(&SHA256, &named).as_ref()].concat()
}
