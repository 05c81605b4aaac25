//! The notification entry point: what waits, for a process that must not take it.

use std::time::Duration;

use crate::client::Config;
use crate::domain::Peeked;
use crate::driver;
use crate::error::Error;

/// Looks at the mail that waits at the node, for a notification: beside an app that has the folder open, is suspended or
/// does not run, in its process or in another (an iOS notification service extension, an Android push service).
///
/// Takes nothing and changes nothing, here or at the node: the folder is read and its lock is not touched, no mail is
/// acknowledged, the app's socket stays, and nobody sees the user online. What the history has already is left out, as
/// is what the app would not show. Reading needs the folder's keys and the database for milliseconds at a time, never while
/// the network is waited for.
///
/// `within` is when the answer is of use: iOS gives an extension about 30 seconds and 24 MB, of which this takes a few. A
/// folder that is not to be read while the device is locked cannot be peeked into then; on iOS its protection
/// has to be `completeUntilFirstUserAuthentication`.
///
/// ```no_run
/// # async fn notify() -> Result<(), chasqui::Error> {
/// use std::time::Duration;
/// let config = chasqui::Config::new("ana-data", "https://relay.example.org");
/// let peeked = chasqui::peek(&config, Duration::from_secs(20)).await?;
/// for message in &peeked.messages {
///     println!("{}: {}", message.sender_name.as_deref().unwrap_or("?"), message.text);
/// }
/// println!("badge: {}", peeked.unread);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NotEnrolled`] when nobody is logged in there, [`Error::OtherDevice`], [`Error::Incompatible`] when the app has to
/// be opened once after an update or wrote the folder with a newer version, [`Error::Corrupt`] (the app repairs it when it
/// opens the folder), [`Error::Offline`] also when the time is over, [`Error::Unauthorised`], [`Error::RateLimited`].
pub async fn peek(config: &Config, within: Duration) -> Result<Peeked, Error> {
    driver::peek(config, within).await
}
