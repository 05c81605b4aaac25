//! Whether the data is whole: the rows, the bodies, and that the one says of the other what is so.
//!
//! Finds and changes nothing.

use std::collections::BTreeMap;
use std::io;

use chasqui_wire::RealmId;
use rusqlite::OptionalExtension as _;

use super::Inspection;
use crate::relay::{Manifest, RelayError};
use crate::store::{self, BodyAt};

/// What a check says.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// One line each.
    pub findings: Vec<Finding>,
    /// Messages whose bodies were found.
    pub messages: u64,
    /// Files that hold bodies.
    pub segments: u64,
    /// The schema's version.
    pub schema: u32,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Something is wrong.
    Problem(String),
    /// Something that an operator may want to know.
    Note(String),
}

impl Verdict {
    /// How many findings are problems.
    pub fn problems(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding, Finding::Problem(_))).count()
    }

    fn problem(&mut self, line: impl Into<String>) {
        self.findings.push(Finding::Problem(line.into()));
    }

    fn note(&mut self, line: impl Into<String>) {
        self.findings.push(Finding::Note(line.into()));
    }
}

/// Bytes that should be free: two segments, and room for the database's log.
const FREE_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of one kind that are named; more are only counted.
const NAMED: usize = 5;

impl Inspection {
    /// Looks at everything, which takes as long as reading all of it. `realm` is what the configuration names.
    ///
    /// # Errors
    /// The database cannot even be asked.
    pub fn check(&self, realm: Option<RealmId>) -> Result<Verdict, RelayError> {
        let mut verdict = Verdict::default();
        self.check_schema(&mut verdict)?;
        self.check_owner(realm, &mut verdict)?;
        let is_sound = self.check_database(&mut verdict)?;
        if is_sound {
            for rule in RULES {
                self.check_rule(rule, &mut verdict)?;
            }
        }
        self.check_bodies(&mut verdict)?;
        self.check_surroundings(&mut verdict);
        Ok(verdict)
    }

    fn check_schema(&self, verdict: &mut Verdict) -> Result<(), RelayError> {
        let (found, known) = store::schema_version(&self.db)?;
        verdict.schema = found;
        if found < known {
            verdict.note(format!("the schema has version {found}: the next start brings it to {known}"));
        } else if store::schema(&self.db)? != store::newest_schema()? {
            verdict.problem("the tables are not those of this version");
        }
        Ok(())
    }

    fn check_owner(&self, expected: Option<RealmId>, verdict: &mut Verdict) -> Result<(), RelayError> {
        let realm = self.db.query_row("SELECT realm FROM node", [], |row| Ok(RealmId::from_bytes(row.get(0)?)));
        match (realm.optional()?, expected) {
            (None, _) => verdict.problem("the data belongs to no node"),
            (Some(realm), Some(expected)) if realm != expected => {
                verdict.problem(format!("the data belongs to realm {realm}, the configuration names {expected}"));
            }
            (Some(_), _) => {}
        }
        if self.folder.join(store::UNFINISHED).exists() {
            verdict.problem("a restore into this folder did not end: empty it and restore again");
        }
        Ok(())
    }

    /// Whether the rows can be trusted to be what was written.
    fn check_database(&self, verdict: &mut Verdict) -> Result<bool, RelayError> {
        let mut check = self.db.prepare("PRAGMA integrity_check(20)")?;
        let lines = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let is_sound = lines == ["ok"];
        if !is_sound {
            for line in lines {
                verdict.problem(format!("the database is damaged: {}", line.replace('\n', " ")));
            }
        }
        let mut check = self.db.prepare("PRAGMA foreign_key_check")?;
        let broken = check.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?)))?;
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for tables in broken {
            *counts.entry(tables?).or_default() += 1;
        }
        for ((table, missing), count) in counts {
            verdict.problem(format!("{count} rows of {table} name a row of {missing} that does not exist"));
        }
        Ok(is_sound)
    }

    fn check_rule(&self, rule: &Rule, verdict: &mut Verdict) -> Result<(), RelayError> {
        let count: u64 = self.db.query_row(&format!("SELECT count(*) FROM ({})", rule.broken), [], |row| row.get(0))?;
        if count > 0 {
            verdict.problem(format!("{count} {}", rule.says));
        }
        Ok(())
    }

    fn check_bodies(&self, verdict: &mut Verdict) -> Result<(), RelayError> {
        let claims = store::claims(&self.db)?;
        let segments = store::segments(&self.folder).map_err(|source| self.unusable(source))?;
        verdict.segments = segments.len() as u64;
        let sizes: BTreeMap<u32, u32> = segments.iter().copied().collect();
        let (mut missing, mut overlapping) = (Vec::new(), Vec::new());
        let mut before: Option<BodyAt> = None;
        for &claim in &claims {
            let end = u64::from(claim.start) + u64::from(claim.length);
            if sizes.get(&claim.segment).is_none_or(|&size| end > size.into()) {
                missing.push(claim);
            } else {
                verdict.messages += 1;
            }
            if let Some(before) = before
                && before.segment == claim.segment
                && before.start + before.length > claim.start
            {
                overlapping.push(claim);
            }
            before = Some(claim);
        }
        for claim in missing.iter().take(NAMED) {
            verdict.problem(format!("a body should lie in segment {} at {} and does not", claim.segment, claim.start));
        }
        if missing.len() > NAMED {
            verdict.problem(format!("{} more bodies are missing", missing.len() - NAMED));
        }
        if !overlapping.is_empty() {
            verdict.problem(format!("{} bodies overlap others", overlapping.len()));
        }
        self.check_free_ranges(&segments, &claims, verdict).map_err(|source| self.unusable(source))
    }

    /// What no row claims is zeros, unless a crash left something that the next start erases.
    fn check_free_ranges(&self, segments: &[(u32, u32)], claims: &[BodyAt], verdict: &mut Verdict) -> io::Result<()> {
        let mut leftover = 0;
        for &(segment, size) in segments {
            let bytes = store::read_segment(&self.folder, segment)?;
            let mut free = 0;
            let from = claims.partition_point(|claim| claim.segment < segment);
            let until = claims.partition_point(|claim| claim.segment <= segment);
            let end = BodyAt { segment, start: size, length: 0 };
            for claim in claims[from..until].iter().chain([&end]) {
                let gap = bytes.get(free..(claim.start as usize).max(free)).unwrap_or_default();
                leftover += gap.iter().filter(|&&byte| byte != 0).count();
                free = free.max(claim.start as usize + claim.length as usize);
            }
        }
        if leftover > 0 && store::has_log(&self.folder) {
            verdict.note(format!("{leftover} bytes are left over from a crash: the next start erases them"));
        } else if leftover > 0 {
            verdict.problem(format!("{leftover} bytes in the segments belong to no message"));
        }
        Ok(())
    }

    fn check_surroundings(&self, verdict: &mut Verdict) {
        // Nobody writes to a backup.
        let is_backup = Manifest::read(&self.folder).is_ok();
        if let Some(free) = store::free_bytes(&self.folder)
            && free < FREE_BYTES
            && !is_backup
        {
            verdict.problem(format!("the disk has {} MiB left, a node needs {}", free >> 20, FREE_BYTES >> 20));
        }
        if store::is_open_to_others(&self.folder) {
            verdict.note("others than its owner may enter the folder, though not read what is in it");
        }
    }

    pub(super) fn unusable(&self, source: io::Error) -> RelayError {
        RelayError::Folder { folder: self.folder.clone(), source }
    }
}

/// What must be true of the rows: `broken` selects those that are not.
struct Rule {
    broken: &'static str,
    says: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        broken: "SELECT 1 FROM envelope
                 FULL JOIN (SELECT entry, count(*) AS held FROM mailbox WHERE notice IS NULL GROUP BY entry)
                     ON entry = envelope
                 WHERE waiting IS NOT held",
        says: "messages do not wait in as many mailboxes as they say",
    },
    Rule {
        broken: "SELECT 1 FROM mailbox JOIN device USING (device) WHERE device.revoked_at IS NOT NULL",
        says: "entries wait for devices that were revoked",
    },
    Rule {
        broken: "SELECT 1 FROM envelope JOIN conversation USING (conversation)
                 WHERE envelope.seq > conversation.head AND NOT EXISTS (SELECT 1 FROM reclaimed
                     WHERE reclaimed.conversation = envelope.conversation AND reclaimed.seq = envelope.seq)",
        says: "messages have a position that their conversation has not given",
    },
    Rule {
        broken: "SELECT 1 FROM accepted JOIN conversation USING (conversation)
                 WHERE accepted.seq > conversation.head AND NOT EXISTS (SELECT 1 FROM reclaimed
                     WHERE reclaimed.conversation = accepted.conversation AND reclaimed.seq = accepted.seq)",
        says: "answers name a position that their conversation has not given",
    },
    Rule {
        broken: "SELECT 1 FROM (SELECT conversation, seq FROM accepted WHERE NOT is_resend
                     GROUP BY conversation, seq HAVING count(*) > 1)",
        says: "positions were given twice",
    },
    Rule {
        broken: "SELECT 1 FROM envelope
                 WHERE is_for_one AND (waiting > 1 OR change IS NOT NULL) OR resend_of IS NOT NULL AND NOT is_for_one",
        says: "messages for one device are for several, or no messages",
    },
    Rule {
        broken: "SELECT 1 FROM conversation WHERE (epoch > 0) <>
                     EXISTS (SELECT 1 FROM roster WHERE roster.conversation = conversation.conversation)",
        says: "conversations have an epoch without devices, or devices without an epoch",
    },
    Rule {
        broken: "SELECT 1 FROM conversation WHERE epoch <> 0 AND protection <> 2
                 UNION ALL SELECT 1 FROM envelope JOIN conversation USING (conversation)
                 WHERE envelope.epoch > conversation.epoch OR (is_welcome AND change IS NULL)",
        says: "conversations or messages are of an epoch that there cannot be",
    },
    Rule {
        broken: "SELECT 1 FROM roster JOIN device USING (device) WHERE NOT EXISTS (SELECT 1 FROM member
                     WHERE member.conversation = roster.conversation AND member.user = device.user)",
        says: "devices are in the group of a conversation that their user is not in",
    },
    Rule {
        broken: "SELECT 1 FROM key_package JOIN device USING (device)
                 WHERE device.revoked_at IS NOT NULL OR device.linked_at IS NULL",
        says: "key packages are of devices that were revoked or not linked",
    },
    Rule {
        broken: "SELECT 1 FROM node WHERE era <> (SELECT coalesce(max(number), 0) FROM era)",
        says: "node is in another era than its list of eras says",
    },
    Rule {
        broken: "SELECT 1 FROM era, node WHERE era.began_at_revision > node.revision
                 UNION ALL SELECT 1 FROM opening, node WHERE opening.at_revision > node.revision",
        says: "eras or openings began after the last commit",
    },
];
