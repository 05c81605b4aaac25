//! Key packages: what puts a device in groups, kept for it while it is away.
//!
//! Guarantees: only of a device that showed its user's word for its key (the session verified that), at most
//! [`KeyPackages::ONE_TIME_MAX`] of them and one of last resort. A one-time package is given away once, in the transaction
//! that takes it, also if its device says it again within the time for which answers are remembered.

use std::collections::BTreeSet;

use bytes::Bytes;
use chasqui_wire::{Accepted, ErrorCode, KeyPackages, KeyPackagesLeft};
use ring::digest::{SHA256, digest};
use rusqlite::OptionalExtension as _;

use super::commit::rejected;
use super::step::Step;
use super::{Event, RelayError, Who};
use crate::planted::{PlantedBug, planted};
use crate::store::DeviceRow;

/// Which packages of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    OneTime,
    LastResort,
}

/// A package that may be given away.
pub(super) struct Offer {
    package: i64,
    device: DeviceRow,
    sort: Sort,
    pub(super) body: Bytes,
}

impl Step<'_> {
    /// The session has verified the link.
    pub(super) fn key_packages(&mut self, who: Who, packages: &KeyPackages) -> Result<(), RelayError> {
        let over_rate = self.over_rate(who).or_else(|| self.over_rate_of_packages(who));
        if let Some(retry_after_ms) = over_rate {
            let detail = "too many key packages a minute";
            self.answer(who.session, rejected(packages.id, ErrorCode::RateLimited, detail, retry_after_ms));
            return Ok(());
        }
        let could_be_added = self.has_package(who.device)?;
        let is_new = self
            .sql("UPDATE device SET linked_at = ?2 WHERE device = ?1 AND linked_at IS NULL")?
            .execute((who.device, self.now.0))?;
        let mut changes = is_new;
        if packages.replace {
            // Of what was given away the hashes stay.
            changes +=
                self.sql("DELETE FROM key_package WHERE device = ?1 AND given_at IS NULL")?.execute([who.device])?;
        }
        for body in &packages.one_time {
            changes += self
                .sql("INSERT OR IGNORE INTO key_package (device, hash, is_last_resort, body) VALUES (?1, ?2, 0, ?3)")?
                .execute((who.device, hash(body), body.as_ref()))?;
        }
        if let Some(body) = &packages.last_resort {
            changes += self.keep_last_resort(who.device, body)?;
        }
        // The oldest: they are the first to be out of date, and a device keeps the secrets of all that it said.
        changes += self
            .sql(
                "DELETE FROM key_package WHERE device = ?1 AND is_last_resort = 0 AND given_at IS NULL AND package <=
                     (SELECT package FROM key_package WHERE device = ?1 AND is_last_resort = 0 AND given_at IS NULL
                      ORDER BY package DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute((who.device, KeyPackages::ONE_TIME_MAX))?;
        if is_new > 0 || could_be_added != self.has_package(who.device)? {
            self.state.directory.forget_groups();
        }
        let mut revision = self.state.revision;
        if changes > 0 {
            self.pending.changed = true;
            self.pending.packages_changed.insert(who.device);
            revision = self.revision();
        }
        let accepted = Accepted { message: packages.id, seq: None, at: self.now, revision };
        self.answer(who.session, Event::Accepted(accepted));
        Ok(())
    }

    fn keep_last_resort(&self, device: DeviceRow, body: &Bytes) -> Result<usize, RelayError> {
        let hash = hash(body);
        let is_kept = self
            .sql("SELECT 1 FROM key_package WHERE device = ?1 AND hash = ?2 AND is_last_resort")?
            .exists((device, hash))?;
        if is_kept {
            return Ok(0);
        }
        self.sql("DELETE FROM key_package WHERE device = ?1 AND (is_last_resort OR hash = ?2)")?
            .execute((device, hash))?;
        let mut insert =
            self.sql("INSERT INTO key_package (device, hash, is_last_resort, body) VALUES (?1, ?2, 1, ?3)")?;
        Ok(insert.execute((device, hash, body.as_ref()))?)
    }

    /// The next package of that sort, the oldest first. It stays until it is given.
    pub(super) fn offer(&self, device: DeviceRow, sort: Sort) -> Result<Option<Offer>, RelayError> {
        let mut query = self.sql(
            "SELECT package, body FROM key_package WHERE device = ?1 AND is_last_resort = ?2 AND given_at IS NULL
             ORDER BY package LIMIT 1",
        )?;
        let offer = query.query_row((device, sort == Sort::LastResort), |row| {
            let body: Vec<u8> = row.get(1)?;
            Ok(Offer { package: row.get(0)?, device, sort, body: body.into() })
        });
        Ok(offer.optional()?)
    }

    /// Gives a package away: a one-time one is gone.
    pub(super) fn give(&mut self, offer: Offer) -> Result<Bytes, RelayError> {
        let Offer { package, device, sort, body } = offer;
        match sort {
            Sort::LastResort => self.pending.last_resorts_given += 1,
            Sort::OneTime if planted(PlantedBug::PackageGivenTwice) => {}
            Sort::OneTime => {
                self.sql("UPDATE key_package SET body = NULL, given_at = ?2 WHERE package = ?1")?
                    .execute((package, self.now.0))?;
                self.pending.changed = true;
                self.pending.packages_given += 1;
                self.pending.packages_changed.insert(device);
                if !self.has_package(device)? {
                    self.state.directory.forget_groups();
                }
            }
        }
        Ok(body)
    }

    /// What others can still claim of a device.
    pub(super) fn packages_left(&self, device: DeviceRow) -> Result<KeyPackagesLeft, RelayError> {
        let mut query = self.sql(
            "SELECT coalesce(sum(NOT is_last_resort), 0), coalesce(sum(is_last_resort), 0) > 0
             FROM key_package WHERE device = ?1 AND given_at IS NULL",
        )?;
        Ok(query.query_row([device], |row| Ok(KeyPackagesLeft { one_time: row.get(0)?, last_resort: row.get(1)? }))?)
    }

    /// Nobody can put the device in a group any more, until it is linked again.
    pub(super) fn unlink(&mut self, device: DeviceRow) -> Result<(), RelayError> {
        self.sql("DELETE FROM key_package WHERE device = ?1")?.execute([device])?;
        self.sql("UPDATE device SET linked_at = NULL WHERE device = ?1")?.execute([device])?;
        Ok(())
    }

    /// Tells the sessions of devices whose packages the batch changed what is left, for their pongs.
    pub(super) fn tell_packages_left(&mut self) -> Result<(), RelayError> {
        let changed: BTreeSet<DeviceRow> = std::mem::take(&mut self.pending.packages_changed);
        for device in changed {
            if let Some(session) = self.session_of(device) {
                let left = self.packages_left(device)?;
                self.answer(session, Event::KeyPackagesLeft(left));
            }
        }
        Ok(())
    }

    fn has_package(&self, device: DeviceRow) -> Result<bool, RelayError> {
        let mut query = self.sql("SELECT 1 FROM key_package WHERE device = ?1 AND given_at IS NULL")?;
        Ok(query.exists([device])?)
    }
}

fn hash(body: &Bytes) -> [u8; 32] {
    digest(&SHA256, body).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
