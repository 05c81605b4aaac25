//! How far a device's history has come, and waiting until it is far enough.

use std::collections::HashSet;
use std::time::Duration;

use chasqui::{Client, ConversationId, Cursor, Error, Message, MessageId, MessageState, TimelineItem};

use crate::orders::{Condition, State};

/// Receipts change old messages, which no observer of a short list shows: so the history is asked again and again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// More messages than can be under way at once: behind so many that were counted, none was missed.
const UNDER_WAY: usize = 1_024;

/// What has a position here.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    counted: HashSet<MessageId>,
    own: u64,
    others: u64,
}

impl Progress {
    pub(crate) async fn wait(
        &mut self,
        client: &Client,
        conversation: ConversationId,
        until: Condition,
    ) -> Result<(), Error> {
        loop {
            let holds = match until {
                Condition::Online => client.connection() == chasqui::ConnectionState::Online,
                Condition::Holds { own, others } => {
                    self.catch_up(client, conversation).await?;
                    self.own >= own && self.others >= others
                }
                Condition::OwnAre { at_least } => own_are(client, conversation, at_least).await?,
                Condition::AllRead => client.total_unread().await? == 0,
            };
            if holds {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Counts what has come. Own messages may stand above others that are still on their way.
    async fn catch_up(&mut self, client: &Client, conversation: ConversationId) -> Result<(), Error> {
        let mut known_in_a_row = 0;
        let mut pages = Pages::from_the_end();
        'pages: while let Some(items) = pages.next(client, conversation).await? {
            for item in items.iter().rev() {
                let message = item.message().ok_or_else(|| lost("a gap in the timeline"))?;
                check(message)?;
                if message.seq.is_none() {
                    continue;
                }
                if !self.counted.insert(message.id) {
                    known_in_a_row += 1;
                    if known_in_a_row > UNDER_WAY {
                        break 'pages;
                    }
                    continue;
                }
                known_in_a_row = 0;
                *(if message.is_own { &mut self.own } else { &mut self.others }) += 1;
            }
        }
        Ok(())
    }
}

/// Newest first, because the newest get there last.
async fn own_are(client: &Client, conversation: ConversationId, at_least: State) -> Result<bool, Error> {
    let mut pages = Pages::from_the_end();
    while let Some(items) = pages.next(client, conversation).await? {
        for message in items.iter().rev().filter_map(TimelineItem::message).filter(|message| message.is_own) {
            check(message)?;
            if State::from(message.state) < at_least {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A timeline from its end backwards, each page oldest first. Pages grow: usually the first few lines tell enough.
#[derive(Debug)]
pub(crate) struct Pages {
    before: Option<Cursor>,
    limit: u32,
    is_at_beginning: bool,
}

/// Lines of the first and of the largest page.
const FIRST_PAGE: u32 = 4;
const LARGEST_PAGE: u32 = 256;

impl Pages {
    pub(crate) const fn from_the_end() -> Self {
        Self { before: None, limit: FIRST_PAGE, is_at_beginning: false }
    }

    pub(crate) async fn next(
        &mut self,
        client: &Client,
        conversation: ConversationId,
    ) -> Result<Option<Vec<TimelineItem>>, Error> {
        if self.is_at_beginning {
            return Ok(None);
        }
        let page = client.timeline(conversation, self.before, self.limit).await?;
        self.is_at_beginning = page.older.is_none();
        self.before = page.older;
        self.limit = (self.limit * 4).min(LARGEST_PAGE);
        Ok(Some(page.items))
    }
}

/// What is lost will never come: waiting on would only hide why.
fn check(message: &Message) -> Result<(), Error> {
    match message.state {
        MessageState::Undelivered(why) => Err(lost(&format!("message {} was not delivered: {why:?}", message.id))),
        MessageState::Failed(why) => Err(lost(&format!("message {} was not accepted: {why:?}", message.id))),
        MessageState::Pending | MessageState::Sent | MessageState::Received | MessageState::Read => Ok(()),
    }
}

fn lost(what: &str) -> Error {
    Error::Internal { detail: what.to_owned() }
}
