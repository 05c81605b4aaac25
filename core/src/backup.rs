//! Backups: the whole history and the user's identity, sealed by a recovery phrase, for people who lose their only device.
//!
//! Guarantees: a page at a time, in bounded memory; a file that was cut off or changed is told from a whole one; restoring twice, or over
//! a newer history, changes nothing that is there, what people made of identities included. What waits to be sent is not in it; neither
//! are keys of groups: nothing is encrypted twice under one key, whichever backup is restored.

use std::io::{self, Read, Write};

use chasqui_wire::BackupHead;

use crate::client::Client;
use crate::driver::{fresh_seed, now};
use crate::e2ee::backup::{Opener, Phrase, Restored, Sealer, Unreadable};
use crate::engine::{Command, Secret};
use crate::error::Error;
use crate::export::unwritable;
use crate::store::ArchiveCursor;

/// Of history that is sealed at once, in bytes.
const PAGE: usize = 256 * 1024;
/// Of a file that is read at once.
const READ: usize = 64 * 1024;

impl Client {
    /// A new recovery phrase: ten groups of five digits, for people to write down. Who has it reads every backup that was made with it;
    /// without it a backup is of no use to anybody.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system has no random numbers.
    pub fn new_recovery_phrase() -> Result<String, Error> {
        Ok(Phrase::new(&Secret::new(fresh_seed()?)).digits())
    }

    /// Writes a backup of everything that this device holds, sealed by `phrase`, and returns what it was written into, flushed.
    /// What arrives meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`Error::WrongPhrase`] for what is no phrase, [`Error::NotEnrolled`] in a folder that is nobody's, [`Error::StorageFull`]
    /// and [`Error::Invalid`] when it cannot be written; [`Error::Suspended`].
    pub async fn back_up<W: Write + Send>(&self, mut into: W, phrase: &str) -> Result<W, Error> {
        let mut pages = self.backup_pages(phrase)?;
        while let Some(page) = pages.next().await? {
            into.write_all(&page).map_err(unwritable)?;
        }
        into.flush().map_err(unwritable)?;
        Ok(into)
    }

    /// As [`Self::back_up`], for whoever keeps files elsewhere: the same bytes, a page at a time.
    ///
    /// # Errors
    /// [`Error::WrongPhrase`] for what is no phrase.
    pub fn backup_pages(&self, phrase: &str) -> Result<BackupPages, Error> {
        let phrase = read(phrase)?;
        Ok(BackupPages { client: self.clone(), phrase, next: Some(Part::Head), sealer: None })
    }

    /// Puts what is in a backup into this folder: one that is new, before or after the user logs in, or one in which the same user's
    /// history is. Restored before the login, the identity is there with the login, and the device takes part in encrypted
    /// conversations at once.
    ///
    /// What was read of a damaged backup before the damage stays.
    ///
    /// # Errors
    /// [`Error::WrongPhrase`], [`Error::Invalid`] when it is damaged, cut off, no backup, or somebody else's; [`Error::StorageFull`].
    pub async fn restore<R: Read + Send>(&self, mut from: R, phrase: &str) -> Result<(), Error> {
        let mut restore = self.begin_restore(phrase)?;
        let mut bytes = vec![0; READ];
        loop {
            match from.read(&mut bytes) {
                Ok(0) => return restore.finish(),
                Ok(read) => restore.push(&bytes[..read]).await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Invalid { detail: format!("the backup cannot be read: {error}") }),
            }
        }
    }

    /// As [`Self::restore`], for whoever has the file elsewhere: [`Restore::push`] its bytes in order, then [`Restore::finish`].
    ///
    /// # Errors
    /// [`Error::WrongPhrase`] for what is no phrase.
    pub fn begin_restore(&self, phrase: &str) -> Result<Restore, Error> {
        Ok(Restore { client: self.clone(), opener: Opener::new(read(phrase)?), failed: None })
    }
}

fn read(phrase: &str) -> Result<Phrase, Error> {
    Phrase::read(phrase).ok_or(Error::WrongPhrase)
}

fn unsealed() -> Error {
    Error::Internal { detail: "a page cannot be sealed".into() }
}

/// A backup that is made a page at a time.
pub struct BackupPages {
    client: Client,
    phrase: Phrase,
    next: Option<Part>,
    sealer: Option<Sealer>,
}

impl std::fmt::Debug for BackupPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupPages").finish_non_exhaustive()
    }
}

/// What the next page holds.
#[derive(Clone, Copy)]
enum Part {
    Head,
    Archive(Option<ArchiveCursor>),
    End,
}

impl BackupPages {
    /// The next bytes of the file, or `None` after the last. After an error the same page may be asked for again; dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// [`Error::NotEnrolled`], [`Error::Suspended`], [`Error::Closed`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(part) = self.next else { return Ok(None) };
        match part {
            Part::Head => {
                let (seed, owner) = {
                    let driver = &self.client.driver;
                    driver.query(|history| Ok((history.identity_seed()?, history.owner()?))).await?
                };
                let (user, name) = owner.ok_or(Error::NotEnrolled)?;
                let identity_seed = seed.map(|seed| *seed.expose());
                let salt: [u8; 16] = fresh_seed()?[..16].try_into().expect("16 of 32 bytes");
                let head = BackupHead { user, name, identity_seed, created_at: now() };
                let (mut sealer, mut bytes) = Sealer::new(&self.phrase, &salt).ok_or_else(unsealed)?;
                bytes.extend(sealer.seal(head.encode(), false).ok_or_else(unsealed)?);
                (self.sealer, self.next) = (Some(sealer), Some(Part::Archive(None)));
                Ok(Some(bytes))
            }
            Part::Archive(from) => {
                let (page, next) = self.client.driver.query(move |history| history.archive(from, PAGE)).await?;
                self.next = Some(next.map_or(Part::End, |next| Part::Archive(Some(next))));
                self.seal(page.encode(), false)
            }
            Part::End => {
                self.next = None;
                self.seal(Vec::new(), true)
            }
        }
    }

    fn seal(&mut self, plain: Vec<u8>, is_last: bool) -> Result<Option<Vec<u8>>, Error> {
        let sealed = self.sealer.as_mut().and_then(|sealer| sealer.seal(plain, is_last));
        sealed.map(Some).ok_or_else(unsealed)
    }
}

/// A backup that is being restored.
pub struct Restore {
    client: Client,
    opener: Opener,
    /// What could not be put in its place is not there: the whole backup has to come again.
    failed: Option<Error>,
}

impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore").finish_non_exhaustive()
    }
}

impl Restore {
    /// The next bytes of the file, as many as there are. What is whole is in the history when this returns. After an error, or if the
    /// future was dropped, the backup is restored from the start.
    ///
    /// # Errors
    /// As [`Client::restore`].
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let interrupted = Error::Invalid { detail: "the restore was interrupted: begin it again".into() };
        if let Some(failed) = self.failed.replace(interrupted) {
            return Err(self.failed.insert(failed).clone());
        }
        let pushed = self.take(bytes).await;
        self.failed = pushed.clone().err();
        pushed
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.opener.push(bytes);
        while let Some(restored) = self.opener.next().map_err(Error::from)? {
            let command = match restored {
                Restored::Head(head) => Command::Adopt(Box::new(head)),
                Restored::Page(page) => Command::Merge(Box::new(page)),
                Restored::End => continue,
            };
            self.client.driver.command(command).await?;
        }
        Ok(())
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the backup does not end there; what [`Self::push`] failed with.
    pub fn finish(self) -> Result<(), Error> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if self.opener.is_whole() { Ok(()) } else { Err(Unreadable::Damaged.into()) }
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Phrase => Self::WrongPhrase,
            Unreadable::Foreign => Self::Invalid { detail: "this is no backup, or one of a later version".into() },
            Unreadable::Damaged => Self::Invalid { detail: "the backup is damaged, or not all of it is there".into() },
        }
    }
}
