//! Telephone numbers and the accounts behind them: codes, who gets in with one, and PINs.
//!
//! Guarantees: a guess is counted before it is answered, so that no crash and no haste gives one for nothing; a number
//! names at most one user, and nobody gets into an account that is in use by a code alone (docs/adr/0005).

use chasqui_wire::{DeviceId, ErrorCode, Timestamp, UserId};
use rusqlite::OptionalExtension as _;

use super::RelayError;
use super::accounts::{Accounts, KnownUser, Refusal, refuse, refuse_until};
use super::enrolment::Newcomer;
use crate::admission::Growth;
use crate::store::UserRow;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The most that a number waits for another code, beside the limit of a day.
const RESEND_MOST_MS: u64 = 60 * 60 * 1000;
/// Four digits are found in 10,000 guesses: at one a day, nobody waits for it.
const OF_PIN: Growth = Growth { free: 3, first_ms: 60_000, most_ms: DAY_MS };

/// A device that was connected when the node ended left no trace of it: for so long after a start, everybody counts as
/// there.
const SETTLED_MS: u64 = 60 * 60 * 1000;

/// What numbers are held to.
#[derive(Clone, Copy, Debug)]
pub struct PhoneRules {
    /// Codes to one number a day.
    pub codes_a_day: u32,
    /// Milliseconds for which a code is taken.
    pub code_lifetime_ms: u64,
    /// Wrong codes for one challenge.
    pub guesses: u32,
    /// Milliseconds before a second code; doubles with each.
    pub resend_ms: u64,
    /// Milliseconds of disuse after which an account loses its number to who has it now.
    pub waiting_ms: u64,
}

/// A code for a number, none of which the relay knows but by keyed hashes.
#[derive(Clone, Copy, Debug)]
pub struct NewCode {
    /// Of the number.
    pub number: [u8; 32],
    /// Made up.
    pub challenge: [u8; 16],
    /// Of the challenge and the code.
    pub code: [u8; 32],
}

/// What somebody shows for a number.
#[derive(Clone, Copy, Debug)]
pub struct CodeShown {
    /// Which.
    pub challenge: [u8; 16],
    /// Keyed hash of the challenge and the code.
    pub code: [u8; 32],
    /// Whether a PIN comes with it.
    pub has_pin: bool,
    /// Whether a new account is wanted in place of one that has a PIN.
    pub fresh: bool,
}

/// A PIN to be verified before [`Accounts::enrol_by_code`]. Counted as wrong until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinToVerify {
    /// PHC text.
    pub hash: String,
    /// Milliseconds until another is taken, if this one is wrong.
    pub next_ms: u64,
}

/// What a code for a number is worth.
enum Standing {
    /// Nobody has the number.
    New,
    /// That user's further device.
    Joins(UserId),
    /// That user's, if the PIN is right.
    JoinsByPin(UserRow, UserId, String),
    /// A new user takes the number from that one.
    Replaces(UserRow),
    /// Nothing.
    Refused(Refusal),
}

impl Accounts<'_, '_> {
    /// Notes a code that is about to be sent; an earlier one for the number counts no more. Returns the milliseconds after
    /// which another may be asked for.
    ///
    /// # Errors
    /// The database failed.
    pub fn new_code(&mut self, new: &NewCode, rules: &PhoneRules) -> Result<Result<u64, Refusal>, RelayError> {
        let now = self.step.now;
        let before = self
            .step
            .sql("SELECT sent, since, sent_at FROM phone_code WHERE number = ?1")?
            .query_row([new.number], |row| Ok((row.get::<_, u32>(0)?, Timestamp(row.get(1)?), Timestamp(row.get(2)?))))
            .optional()?;
        let growth = Growth { free: 0, first_ms: rules.resend_ms, most_ms: RESEND_MOST_MS };
        let (sent, since, next_at) = match before {
            Some((sent, since, sent_at)) if now < since.plus_millis(DAY_MS) => {
                (sent, since, next_code_at(sent, since, sent_at, growth, rules))
            }
            Some(_) | None => (0, now, now),
        };
        if next_at > now {
            return refuse_until(ErrorCode::RateLimited, "a code was sent already", next_at.millis_since(now));
        }
        let (sent, expires_at) = (sent + 1, now.plus_millis(rules.code_lifetime_ms));
        self.step
            .sql(
                "INSERT OR REPLACE INTO phone_code
                 (number, challenge, code, expires_at, guesses_left, sent, since, sent_at, device)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)",
            )?
            .execute((new.number, new.challenge, new.code, expires_at.0, rules.guesses, sent, since.0, now.0))?;
        self.step.pending.changed = true;
        Ok(Ok(next_code_at(sent, since, now, growth, rules).millis_since(now)))
    }

    /// The code did not leave: it counts neither as sent nor as a code.
    ///
    /// # Errors
    /// The database failed.
    pub fn code_was_not_sent(&mut self, challenge: [u8; 16]) -> Result<(), RelayError> {
        self.step
            .sql("UPDATE phone_code SET sent = sent - 1, guesses_left = 0 WHERE challenge = ?1 AND sent > 0")?
            .execute([challenge])?;
        self.step.pending.changed = true;
        Ok(())
    }

    /// The first half of an enrolment: counts the guess, and a PIN, before anything is verified. What it returns is to be
    /// verified outside; `None` when the code is enough.
    ///
    /// # Errors
    /// The database failed.
    pub fn show_code(
        &mut self,
        shown: &CodeShown,
        new: &Newcomer,
        rules: &PhoneRules,
    ) -> Result<Result<Option<PinToVerify>, Refusal>, RelayError> {
        let number = match self.number_of(shown, new.device.device)? {
            Ok(number) => number,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match self.standing(number, shown, new, rules)? {
            Standing::Refused(refusal) => Ok(Err(refusal)),
            Standing::New | Standing::Joins(_) | Standing::Replaces(_) => Ok(Ok(None)),
            Standing::JoinsByPin(row, _, hash) => self.try_pin(row, hash),
        }
    }

    /// The second half: enrols the device of the user whom the number stands for, or of a new one. `verified` is the hash
    /// that the PIN was verified against. The very same again changes nothing and is no error.
    ///
    /// # Errors
    /// The database failed.
    pub fn enrol_by_code(
        &mut self,
        shown: &CodeShown,
        verified: Option<&str>,
        new: &Newcomer,
        rules: &PhoneRules,
    ) -> Result<Result<KnownUser, Refusal>, RelayError> {
        let number = match self.number_of(shown, new.device.device)? {
            Ok(number) => number,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let enrolled = match self.standing(number, shown, new, rules)? {
            Standing::Refused(refusal) => Err(refusal),
            Standing::New => self.add_with_number(number, None, new)?,
            Standing::Replaces(row) => self.add_with_number(number, Some(row), new)?,
            Standing::Joins(user) => self.enrol_known(user, new)?,
            Standing::JoinsByPin(row, user, hash) if verified == Some(hash.as_str()) => {
                self.step.sql("UPDATE pin SET wrong = 0, next_at = 0 WHERE user = ?1")?.execute([row])?;
                self.step.pending.changed = true;
                self.enrol_known(user, new)?
            }
            // It was changed meanwhile.
            Standing::JoinsByPin(..) => return refuse(ErrorCode::WrongPin, "the PIN is wrong"),
        };
        if enrolled.is_ok() {
            self.step
                .sql("UPDATE phone_code SET device = ?2 WHERE challenge = ?1")?
                .execute((shown.challenge, new.device.device.as_bytes()))?;
            self.step.pending.changed = true;
        }
        Ok(enrolled)
    }

    /// Sets or changes the user's PIN; `None` removes it.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_pin(&mut self, user: UserId, hash: Option<&str>) -> Result<(), RelayError> {
        // It may have been deleted since the caller was let in.
        let Ok(row) = self.living(user)? else { return Ok(()) };
        match hash {
            Some(hash) => self
                .step
                .sql("INSERT OR REPLACE INTO pin (user, hash, wrong, next_at) VALUES (?1, ?2, 0, 0)")?
                .execute((row, hash))?,
            None => self.step.sql("DELETE FROM pin WHERE user = ?1")?.execute([row])?,
        };
        self.step.pending.changed = true;
        Ok(())
    }

    /// The number that a code was sent to, if this is the code, in time, and nobody else has used it.
    fn number_of(&mut self, shown: &CodeShown, device: DeviceId) -> Result<Result<[u8; 32], Refusal>, RelayError> {
        let row = self
            .step
            .sql("SELECT number, code, expires_at, guesses_left, device FROM phone_code WHERE challenge = ?1")?
            .query_row([shown.challenge], |row| {
                let code: [u8; 32] = row.get(1)?;
                let used_by: Option<[u8; 16]> = row.get(4)?;
                Ok((row.get::<_, [u8; 32]>(0)?, code, Timestamp(row.get(2)?), row.get::<_, u32>(3)?, used_by))
            })
            .optional()?;
        let Some((number, code, expires_at, guesses_left, used_by)) = row else {
            return refuse(ErrorCode::InvalidCode, "no such challenge, or a newer one");
        };
        if expires_at <= self.step.now {
            return refuse(ErrorCode::InvalidCode, "the code is too old");
        }
        let exhausted = || refuse(ErrorCode::AttemptsExhausted, "ask for another code");
        if guesses_left == 0 {
            return exhausted();
        }
        if code != shown.code {
            self.step
                .sql("UPDATE phone_code SET guesses_left = guesses_left - 1 WHERE challenge = ?1")?
                .execute([shown.challenge])?;
            self.step.pending.changed = true;
            return if guesses_left == 1 { exhausted() } else { refuse(ErrorCode::InvalidCode, "the code is wrong") };
        }
        if used_by.is_some_and(|by| by != *device.as_bytes()) {
            return refuse(ErrorCode::InvalidCode, "the code was used");
        }
        Ok(Ok(number))
    }

    fn standing(
        &mut self,
        number: [u8; 32],
        shown: &CodeShown,
        new: &Newcomer,
        rules: &PhoneRules,
    ) -> Result<Standing, RelayError> {
        let holder = self
            .step
            .sql("SELECT user.user, user.id FROM phone JOIN user USING (user) WHERE number = ?1")?
            .query_row([number], |row| Ok((row.get::<_, UserRow>(0)?, UserId::from_bytes(row.get(1)?))))
            .optional()?;
        let Some((row, user)) = holder else { return Ok(Standing::New) };
        if self.is_enrolled(user, &new.device)? {
            return Ok(Standing::Joins(user));
        }
        let now = self.step.now;
        let settled_at = self.step.state.opening().at.plus_millis(SETTLED_MS.min(rules.waiting_ms));
        let free_at = self.last_active(row)?.plus_millis(rules.waiting_ms).max(settled_at);
        let is_free = free_at <= now;
        let waits = || {
            Standing::Refused(Refusal {
                code: ErrorCode::WaitingPeriod,
                detail: "the number's account is in use",
                retry_after_ms: u32::try_from(free_at.millis_since(now)).unwrap_or(u32::MAX),
            })
        };
        let pin = self.pin_hash(row)?;
        let has_devices = !self.step.active_devices(row)?.is_empty();
        Ok(match pin {
            Some(_) if shown.fresh && is_free => Standing::Replaces(row),
            Some(_) if shown.fresh => waits(),
            Some(hash) if shown.has_pin => Standing::JoinsByPin(row, user, hash),
            Some(_) => Standing::Refused(Refusal {
                code: ErrorCode::PinNeeded,
                detail: "the account has a PIN",
                retry_after_ms: 0,
            }),
            None if is_free => Standing::Replaces(row),
            None if has_devices => waits(),
            // Logged out everywhere, a while ago: nobody is there to be harmed, and nobody else has the number yet.
            None => Standing::Joins(user),
        })
    }

    /// When one of the user's devices was last there. One that is connected is there now.
    fn last_active(&mut self, user: UserRow) -> Result<Timestamp, RelayError> {
        let devices = self.step.active_devices(user)?;
        let is_here = devices.iter().any(|device| self.step.session_of(device.row).is_some());
        if is_here {
            return Ok(self.step.now);
        }
        let mut query = self.step.sql(
            "SELECT max(max(created_at, coalesce(last_seen_at, 0), coalesce(revoked_at, 0))) FROM device WHERE user = ?1",
        )?;
        let last: Option<i64> = query.query_row([user], |row| row.get(0))?;
        Ok(Timestamp(last.unwrap_or(0)))
    }

    pub(super) fn pin_hash(&self, user: UserRow) -> Result<Option<String>, RelayError> {
        let mut query = self.step.sql("SELECT hash FROM pin WHERE user = ?1")?;
        Ok(query.query_row([user], |row| row.get(0)).optional()?)
    }

    /// Counts a guess before it is verified.
    pub(super) fn try_pin(
        &mut self,
        user: UserRow,
        hash: String,
    ) -> Result<Result<Option<PinToVerify>, Refusal>, RelayError> {
        let now = self.step.now;
        let (wrong, next_at): (u32, i64) = self
            .step
            .sql("SELECT wrong, next_at FROM pin WHERE user = ?1")?
            .query_row([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if Timestamp(next_at) > now {
            let wait = Timestamp(next_at).millis_since(now);
            return refuse_until(ErrorCode::AttemptsExhausted, "too many wrong PINs", wait);
        }
        let wrong = wrong.saturating_add(1);
        let next_ms = OF_PIN.after(wrong);
        self.step.sql("UPDATE pin SET wrong = ?2, next_at = ?3 WHERE user = ?1")?.execute((
            user,
            wrong,
            now.plus_millis(next_ms).0,
        ))?;
        self.step.pending.changed = true;
        Ok(Ok(Some(PinToVerify { hash, next_ms })))
    }

    /// A new user with the number, which whoever had it loses, and the PIN that guarded it.
    fn add_with_number(
        &mut self,
        number: [u8; 32],
        before: Option<UserRow>,
        new: &Newcomer,
    ) -> Result<Result<KnownUser, Refusal>, RelayError> {
        let (row, user) = match self.add_newcomer(new)? {
            Ok(added) => added,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(before) = before {
            self.step.sql("DELETE FROM phone WHERE user = ?1")?.execute([before])?;
            self.step.sql("DELETE FROM pin WHERE user = ?1")?.execute([before])?;
        }
        self.step.sql("INSERT INTO phone (number, user) VALUES (?1, ?2)")?.execute((number, row))?;
        Ok(Ok(user))
    }
}

/// When a further code may be sent, after so many.
fn next_code_at(sent: u32, since: Timestamp, sent_at: Timestamp, growth: Growth, rules: &PhoneRules) -> Timestamp {
    if sent >= rules.codes_a_day {
        return since.plus_millis(DAY_MS);
    }
    sent_at.plus_millis(growth.after(sent))
}
