//! One device as the director sees it: an app on a phone or laptop that can be closed, killed and started again.

use std::path::PathBuf;

use crate::child::{Deadline, Process, Trouble};
use crate::orders::{Answer, Condition, Order, Shown};

/// Texts and bytes of one [`Order::Send`]: enough to share transactions, not so much that the pipe holds a lot.
const BATCH_TEXTS: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// A device's process, whichever it is now.
#[derive(Debug)]
pub(crate) struct Device {
    process: Process,
    deadline: Deadline,
    pub(crate) who: &'static str,
    pub(crate) folder: PathBuf,
    /// Whom it writes to, once it does.
    peer: Option<String>,
}

/// How an app ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// It closes its history.
    Closed,
    /// SIGKILL, at any moment.
    Killed,
}

impl Device {
    pub(crate) async fn start(
        who: &'static str,
        deadline: Deadline,
        folder: PathBuf,
        node: &str,
    ) -> Result<Self, Trouble> {
        let process = Self::process(who, deadline, &folder, node)?;
        let mut device = Self { process, deadline, who, folder, peer: None };
        device.answer("open its history").await?;
        Ok(device)
    }

    fn process(
        who: &'static str,
        deadline: Deadline,
        folder: &std::path::Path,
        node: &str,
    ) -> Result<Process, Trouble> {
        Process::start(who, deadline, "device", &[("--folder", folder.as_os_str()), ("--node", node.as_ref())])
    }

    /// The app ends, and is started again on the same folder.
    pub(crate) async fn restart(&mut self, ending: Ending, node: &str) -> Result<(), Trouble> {
        match ending {
            Ending::Closed => self.close().await?,
            Ending::Killed => self.process.kill().await?,
        }
        self.process = Self::process(self.who, self.deadline, &self.folder, node)?;
        self.answer("open its history").await?;
        match self.peer.clone() {
            Some(peer) => self.open(peer).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn register(&mut self, name: &str, password: &str) -> Result<(), Trouble> {
        let (name, password, device) = (name.to_owned(), password.to_owned(), self.who.to_owned());
        self.order("register", Order::Register { name, password, device }).await
    }

    pub(crate) async fn login(&mut self, name: &str, password: &str) -> Result<(), Trouble> {
        let (name, password, device) = (name.to_owned(), password.to_owned(), self.who.to_owned());
        self.order("log in", Order::Login { name, password, device }).await
    }

    /// Links this one by `linked`, as people do: a code, and a number that has to be the same on both.
    pub(crate) async fn be_linked_by(&mut self, linked: &mut Self) -> Result<(), Trouble> {
        let code = self.words("show its code", Order::BeginLinking).await?;
        let (here, there) = tokio::try_join!(
            self.words("show the number", Order::LinkingNumber),
            linked.words("read the code", Order::Link { code })
        )?;
        if here != there {
            return Err(Trouble::Broken { who: self.who, detail: format!("shows {here}, and {} {there}", linked.who) });
        }
        let what = "confirm the number";
        tokio::try_join!(self.order(what, Order::ConfirmLinking), linked.order(what, Order::ConfirmLinking)).map(drop)
    }

    /// An order that is answered by a code or a number.
    async fn words(&mut self, what: &str, order: Order) -> Result<String, Trouble> {
        self.process.tell(what, &order).await?;
        match self.answer(what).await? {
            Answer::Words { words } => Ok(words),
            answer => Err(self.unexpected(&answer)),
        }
    }

    pub(crate) async fn open(&mut self, peer: String) -> Result<(), Trouble> {
        self.peer = Some(peer.clone());
        self.order("open the conversation", Order::Open { peer }).await
    }

    /// All are in its outbox when this returns; nothing is awaited from the node.
    pub(crate) async fn send(&mut self, texts: &[&str]) -> Result<(), Trouble> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (index, text) in texts.iter().enumerate() {
            batch.push((*text).to_owned());
            bytes += text.len();
            if batch.len() == BATCH_TEXTS || bytes >= BATCH_BYTES || index + 1 == texts.len() {
                let texts = std::mem::take(&mut batch);
                bytes = 0;
                self.order(&format!("write {} messages", texts.len()), Order::Send { texts }).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn mark_read(&mut self) -> Result<(), Trouble> {
        self.order("mark everything read", Order::MarkRead).await
    }

    pub(crate) async fn wait(&mut self, until: Condition) -> Result<(), Trouble> {
        let what = match until {
            Condition::Online => "be online".to_owned(),
            Condition::Holds { own, others } => format!("hold {own} own messages and {others} of the peer's"),
            Condition::OwnAre { at_least } => format!("see all own messages {at_least:?}").to_lowercase(),
            Condition::AllRead => "have nothing unread".to_owned(),
        };
        self.order(&what, Order::Wait { until }).await
    }

    /// The texts that it finds in its history.
    pub(crate) async fn search(&mut self, query: &str) -> Result<Vec<String>, Trouble> {
        let what = "search its history";
        self.process.tell(what, &Order::Search { query: query.to_owned() }).await?;
        match self.answer(what).await? {
            Answer::Found { texts } => Ok(texts),
            answer => Err(self.unexpected(&answer)),
        }
    }

    /// What it shows above a position, oldest first.
    pub(crate) async fn show(&mut self, after: u64) -> Result<Vec<Shown>, Trouble> {
        let what = "show its timeline";
        self.process.tell(what, &Order::Show { after }).await?;
        let mut lines = Vec::new();
        loop {
            match self.answer(what).await? {
                Answer::Line(line) => lines.push(line),
                Answer::Done => return Ok(lines),
                answer @ (Answer::Found { .. } | Answer::Words { .. } | Answer::Failed { .. }) => {
                    return Err(self.unexpected(&answer));
                }
            }
        }
    }

    /// Closes the history properly, and ends.
    pub(crate) async fn close(&mut self) -> Result<(), Trouble> {
        self.order("close its history", Order::Close).await?;
        self.process.end().await
    }

    /// An order that is answered by a plain "done".
    async fn order(&mut self, what: &str, order: Order) -> Result<(), Trouble> {
        self.process.tell(what, &order).await?;
        self.answer(what).await.map(drop)
    }

    async fn answer(&mut self, what: &str) -> Result<Answer, Trouble> {
        match self.process.hear(what).await? {
            Answer::Failed { code, detail } => {
                Err(Trouble::Refused { who: self.who, what: what.to_owned(), code, detail })
            }
            answer @ (Answer::Done | Answer::Line(_) | Answer::Words { .. } | Answer::Found { .. }) => Ok(answer),
        }
    }

    fn unexpected(&self, answer: &Answer) -> Trouble {
        Trouble::Broken { who: self.who, detail: format!("answered another question: {answer:?}") }
    }
}
