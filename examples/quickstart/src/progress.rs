//! How far a device's history has come, and waiting until it is far enough.
//!
//! Positions have no gaps, so what lies below an unbroken run from the first position never has to be looked at again.

use std::time::Duration;

use chasqui::{Client, ConversationId, Error, Message, MessageState, Seq};

use crate::device::PAGE;
use crate::orders::{Condition, State};

/// Receipts change old messages, which no observer of a short list shows: so the history is asked again and again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The unbroken run from position 1 on.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    up_to: u64,
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

    /// Counts what has joined the unbroken run.
    async fn catch_up(&mut self, client: &Client, conversation: ConversationId) -> Result<(), Error> {
        let mut newest_first: Vec<(u64, bool)> = Vec::new();
        let mut before = None;
        loop {
            let page = client.timeline(conversation, before, PAGE).await?;
            let mut reached = false;
            for item in page.items.iter().rev() {
                let message = item.message().ok_or_else(|| lost("a gap in the timeline"))?;
                check(message)?;
                let Some(number) = message.seq.map(Seq::number) else { continue };
                if number <= self.up_to {
                    reached = true;
                    break;
                }
                newest_first.push((number, message.is_own));
            }
            match page.older {
                Some(older) if !reached => before = Some(older),
                _ => break,
            }
        }
        for (number, is_own) in newest_first.into_iter().rev() {
            if number != self.up_to + 1 {
                break;
            }
            self.up_to = number;
            *(if is_own { &mut self.own } else { &mut self.others }) += 1;
        }
        Ok(())
    }
}

/// Newest first, because the newest get there last.
async fn own_are(client: &Client, conversation: ConversationId, at_least: State) -> Result<bool, Error> {
    let mut before = None;
    loop {
        let page = client.timeline(conversation, before, PAGE).await?;
        for message in page.items.iter().rev().filter_map(|item| item.message()).filter(|message| message.is_own) {
            check(message)?;
            if State::from(message.state) < at_least {
                return Ok(false);
            }
        }
        match page.older {
            Some(older) => before = Some(older),
            None => return Ok(true),
        }
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
