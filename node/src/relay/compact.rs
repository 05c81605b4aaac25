//! Compaction: what still lives in segments that are mostly dead is moved, so that they can be deleted.
//!
//! A body is appended anew, its row follows, and the old range is overwritten, all as for any batch: a crash before the
//! commit leaves what was appended unclaimed, one after it the old range, and opening the data makes zeros of either.

use std::collections::BTreeSet;

use super::RelayError;
use super::step::Step;
use crate::planted::{PlantedBug, planted};
use crate::store::{BodyAt, EnvelopeRow, is_lost};

impl Step<'_> {
    /// Rows that are looked at in one transaction, and bytes that are moved: what waits for it must not wait long.
    const ROWS_AT_ONCE: usize = 2_000;
    const BYTES_AT_ONCE: u32 = 1024 * 1024;

    /// Moves bodies out of these segments. Where to go on, if there is more.
    pub(super) fn compact(
        &mut self,
        segments: &BTreeSet<u32>,
        after: EnvelopeRow,
    ) -> Result<Option<EnvelopeRow>, RelayError> {
        let page: Vec<(EnvelopeRow, BodyAt)> = self
            .sql(
                "SELECT envelope, segment, start, length FROM envelope WHERE envelope > ?1
                 ORDER BY envelope LIMIT ?2",
            )?
            .query_map((after, Self::ROWS_AT_ONCE), |row| {
                Ok((row.get(0)?, BodyAt { segment: row.get(1)?, start: row.get(2)?, length: row.get(3)? }))
            })?
            .collect::<Result<_, _>>()?;
        let end = page.last().filter(|_| page.len() == Self::ROWS_AT_ONCE).map(|&(row, _)| row);
        let mut moved = 0;
        for (envelope, at) in page.into_iter().filter(|(_, at)| segments.contains(&at.segment)) {
            let body = match self.state.bodies.read(at) {
                Ok(body) => body,
                // It is found out, and told, when it is delivered.
                Err(error) if is_lost(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let to = self.state.bodies.append(&body)?;
            if !planted(PlantedBug::MovedUnclaimed) {
                self.sql("UPDATE envelope SET segment = ?2, start = ?3 WHERE envelope = ?1")?
                    .execute((envelope, to.segment, to.start))?;
            }
            self.pending.erased.push(at);
            self.pending.changed = true;
            moved += at.length;
            if moved >= Self::BYTES_AT_ONCE {
                return Ok(Some(envelope));
            }
        }
        Ok(end)
    }
}
