//! Peek: the newest mail of a device is shown, and stays as if nobody had looked.
//!
//! Reads only: no entry counts as delivered, no session is asked or told, no time of being seen changes. What the running
//! batch adds is not shown; its bodies are not on the disk yet.

use chasqui_wire::{DeviceId, Entry, EntryKind};

use super::RelayError;
use super::accounts::Accounts;
use super::deliver::{body_at, envelope, notice, size_of_entry, waiting_mail};
use crate::store::is_lost;

/// The most entries that one look shows.
const ENTRIES: usize = 128;
/// The most bytes of them, as in a frame. A body that is larger is not shown at all.
const BYTES: usize = 256 * 1024;

/// The newest of what waits for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Whether mail waits that is not among them.
    pub has_more: bool,
}

impl Accounts<'_, '_> {
    /// Shows the newest mail that waits for a device.
    ///
    /// # Errors
    /// The database or the disk failed.
    pub fn peek(&mut self, device: DeviceId) -> Result<Peeked, RelayError> {
        let mut peeked = Peeked { entries: Vec::new(), has_more: false };
        let Some(device) = self.step.device_row(device)? else { return Ok(peeked) };
        // The transaction's own connection, so that the bodies can be read while its rows are.
        let db = self.step.db;
        let mut query = db.prepare_cached(waiting_mail!("WHERE mailbox.device = ?1 ORDER BY mailbox.entry DESC"))?;
        let mut rows = query.query([device])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let bodies = &mut self.step.state.bodies;
            let kind = match body_at(row)? {
                Some(at) if bodies.is_appended(at) => continue,
                Some(at) => match bodies.read(at) {
                    Ok(body) => EntryKind::Envelope(Box::new(envelope(row, body)?)),
                    // Delivery puts a gap in its place.
                    Err(error) if is_lost(&error) => continue,
                    Err(error) => return Err(error.into()),
                },
                None => notice(row)?,
            };
            let size = size_of_entry(&kind);
            if peeked.entries.len() == ENTRIES || bytes + size > BYTES {
                peeked.has_more = true;
                if size > BYTES {
                    continue;
                }
                break;
            }
            bytes += size;
            peeked.entries.push(Entry { number: row.get(0)?, kind });
        }
        peeked.entries.reverse();
        Ok(peeked)
    }
}
