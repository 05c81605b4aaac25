//! A process that this one started: orders go to its stdin, answers come from its stdout, each within the deadline.
//!
//! No child outlives its handle.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

/// Why the play stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("gave up after {} s: {who} was still to {what}", ALL_WITHIN.as_secs())]
    Late { who: &'static str, what: String },
    #[error("{who} could not {what}: {detail} ({code})")]
    Refused { who: &'static str, what: String, code: String, detail: String },
    #[error("{who}: the process ended when it was to {what}")]
    Ended { who: &'static str, what: String },
    #[error("{who}: {detail}")]
    Broken { who: &'static str, detail: String },
    #[error("{0}")]
    Unusable(String),
}

/// For the whole play.
const ALL_WITHIN: Duration = Duration::from_secs(120);

/// When the play is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn start() -> Self {
        Self(Instant::now() + ALL_WITHIN)
    }

    pub(crate) async fn within<T>(
        self,
        who: &'static str,
        what: &str,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let late = |_| Trouble::Late { who, what: what.to_owned() };
        tokio::time::timeout_at(self.0, work).await.map_err(late)?
    }
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    who: &'static str,
    deadline: Deadline,
    child: Child,
    /// `None` once it was asked to end.
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// This program again, in another role.
    pub(crate) fn start(
        who: &'static str,
        deadline: Deadline,
        role: &str,
        arguments: &[(&str, &OsStr)],
    ) -> Result<Self, Trouble> {
        let broken = |error: std::io::Error| Trouble::Broken { who, detail: format!("cannot be started: {error}") };
        let mut command = Command::new(std::env::current_exe().map_err(broken)?);
        command.arg(role);
        for (name, value) in arguments {
            command.arg(name).arg(value);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(broken)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| broken(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { who, deadline, child, stdin, stdout: BufReader::new(stdout).lines() })
    }

    /// The next line that it says.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, Trouble> {
        let who = self.who;
        let broken = |detail: String| Trouble::Broken { who, detail };
        let line = async { self.stdout.next_line().await.map_err(|error| broken(error.to_string())) };
        let line = self.deadline.within(who, what, line).await?;
        let line = line.ok_or_else(|| Trouble::Ended { who, what: what.to_owned() })?;
        serde_json::from_str(&line).map_err(|error| broken(format!("says {line:?}, which is no answer: {error}")))
    }

    pub(crate) async fn tell(&mut self, what: &str, order: &impl Serialize) -> Result<(), Trouble> {
        let who = self.who;
        let mut line = serde_json::to_vec(order).map_err(|error| Trouble::Broken { who, detail: error.to_string() })?;
        line.push(b'\n');
        let ended = |_| Trouble::Ended { who, what: what.to_owned() };
        let write = async {
            let stdin = self.stdin.as_mut().ok_or_else(|| Trouble::Ended { who, what: what.to_owned() })?;
            stdin.write_all(&line).await.map_err(ended)
        };
        self.deadline.within(who, what, write).await
    }

    /// SIGKILL: it gets no chance to tidy up.
    pub(crate) async fn kill(&mut self) -> Result<(), Trouble> {
        let who = self.who;
        let kill = async {
            self.child
                .kill()
                .await
                .map_err(|error| Trouble::Broken { who, detail: format!("cannot be killed: {error}") })
        };
        self.deadline.within(who, "be killed", kill).await
    }

    /// Ends its stdin, and waits until it is gone.
    pub(crate) async fn end(&mut self) -> Result<(), Trouble> {
        let who = self.who;
        drop(self.stdin.take());
        let leave = async {
            let status = self.child.wait().await.map_err(|error| Trouble::Broken { who, detail: error.to_string() })?;
            let failed = || Trouble::Broken { who, detail: format!("the process ended with {status}") };
            if status.success() { Ok(()) } else { Err(failed()) }
        };
        self.deadline.within(who, "end", leave).await
    }
}
