//! A node that reorders, drops and repeats mail of encrypted conversations: what can still be read is read, once and in its place; what
//! was passed off as something else is told; and the conversation goes on.

use chasqui::{ConversationId, MessageContent, MessageState, SecurityEventKind};
use chasqui_wire::{AckOutcome, Entry, EntryKind, Envelope, MessageId, Seq};

use crate::crooked_node::CrookedNode;
use crate::stage::{Device, PASSWORD, Relay, link, text};

/// Ana behind a node that is not to be trusted, Bo at the real one.
struct Talk {
    relay: Relay,
    node: CrookedNode,
    ana: Device,
    bo: Device,
    chat: ConversationId,
}

impl Talk {
    /// Nobody has said anything.
    async fn silent() -> Self {
        let relay = Relay::start().await;
        let node = CrookedNode::before(&relay).await;
        let ana = Device::blank(&node.url()).await;
        ana.register("ana", PASSWORD, "phone").await.unwrap();
        let bo = Device::registered(&relay, "bo").await;
        let chat = ana.open_direct(bo.user().await).await.unwrap();
        assert_eq!(bo.open_direct(ana.user().await).await.unwrap(), chat);
        Self { relay, node, ana, bo, chat }
    }

    /// Both have said something.
    async fn begun() -> Self {
        let talk = Self::silent().await;
        talk.ana.send_text(talk.chat, "hello Bo").await.unwrap();
        talk.bo.gets(talk.chat, "hello Bo").await;
        talk.bo.send_text(talk.chat, "hello Ana").await.unwrap();
        talk.ana.gets(talk.chat, "hello Ana").await;
        talk
    }

    /// What Bo says from here on waits at the node.
    async fn held(&self, texts: &[&str]) -> Vec<Entry> {
        self.node.hold_up(self.chat);
        for text in texts {
            self.bo.send_text(self.chat, *text).await.unwrap();
        }
        self.node.held(texts.len()).await
    }

    /// Bo says something after the group has changed: the commit, and what he says.
    async fn held_change(&self) -> (Entry, Entry, Device) {
        let laptop = Device::logged_in(&self.relay, "bo").await;
        link(&self.bo, &laptop).await;
        let (commit, says) = self.held_with_a_change("from three devices").await;
        (commit, says, laptop)
    }

    /// Bo says the first word: the Welcome, and what he says.
    async fn held_welcome(&self) -> (Entry, Entry) {
        let (welcome, says) = self.held_with_a_change("hello Ana").await;
        assert!(envelope(&welcome).welcome);
        (welcome, says)
    }

    async fn held_with_a_change(&self, text: &str) -> (Entry, Entry) {
        let mut held = self.held(&[text]).await;
        if held.len() < 2 {
            held.extend(self.node.held(1).await);
        }
        let [change, says] = <[Entry; 2]>::try_from(held).expect("a change and a message");
        assert!(envelope(&change).commit.is_some() && envelope(&says).commit.is_none());
        (change, says)
    }

    /// Both still understand each other, and Ana has what was said, once and in order.
    async fn goes_on(&self, said: &[&str]) {
        self.node.let_pass();
        let (from_ana, from_bo) = ("Ana again", "Bo again");
        self.bo.send_text(self.chat, from_bo).await.unwrap();
        self.ana_gets(from_bo).await;
        self.ana.send_text(self.chat, from_ana).await.unwrap();
        self.bo.gets(self.chat, from_ana).await;
        let wanted: Vec<&str> = said.iter().copied().chain([from_bo, from_ana]).collect();
        let is_all = |all: &[&chasqui::Message]| all.iter().map(|message| text(message)).eq(wanted.iter().copied());
        self.ana.until(self.chat, &format!("{wanted:?}"), is_all).await;
    }

    async fn told(&self) -> Vec<SecurityEventKind> {
        self.ana.security_events(0, 100).await.unwrap().into_iter().map(|event| event.kind).collect()
    }

    /// Once what she cannot read has come again.
    async fn ana_gets(&self, wanted: &str) {
        let says = |message: &&chasqui::Message| message.content == MessageContent::Text(wanted.to_owned());
        self.ana.until(self.chat, wanted, |all| all.iter().any(says)).await;
    }
}

fn envelope(entry: &Entry) -> &Envelope {
    match &entry.kind {
        EntryKind::Envelope(envelope) => envelope,
        other => panic!("an envelope, not {other:?}"),
    }
}

/// Far above all positions that were given.
fn later(envelope: &mut Envelope) {
    envelope.seq = Seq::from_raw(envelope.seq.raw() + 50).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_in_another_order() {
    let talk = Talk::begun().await;
    let mut held = talk.held(&["one", "two", "three"]).await;
    held.reverse();
    assert_eq!(talk.node.says(held).await, AckOutcome::Stored);
    talk.goes_on(&["hello Bo", "hello Ana", "one", "two", "three"]).await;
    assert_eq!(talk.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_before_the_change_that_it_needs() {
    let talk = Talk::begun().await;
    let (commit, says, _laptop) = talk.held_change().await;
    talk.node.let_pass();
    assert_eq!(talk.node.says(vec![says]).await, AckOutcome::Unreadable);
    assert_eq!(talk.node.says(vec![commit]).await, AckOutcome::Stored);
    talk.ana_gets("from three devices").await;
    talk.goes_on(&["hello Bo", "hello Ana", "from three devices"]).await;
    assert_eq!(talk.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_comes() {
    let talk = Talk::begun().await;
    let held = talk.held(&["one", "two", "three"]).await;
    talk.node.swallow(&held[1]);
    talk.node.let_pass();
    talk.node.says(vec![held[0].clone(), held[2].clone()]).await;
    talk.ana_gets("two").await;
    assert_eq!(talk.told().await, [SecurityEventKind::MissingMessage]);
    talk.goes_on(&["hello Bo", "hello Ana", "one", "two", "three"]).await;
}

/// Nor does the change that comes after it, so that nobody understands what would tell of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_comes_with_the_change_after_it() {
    let talk = Talk::begun().await;
    let held = talk.held(&["one", "two"]).await;
    talk.node.says(vec![held[0].clone()]).await;
    talk.node.swallow(&held[1]);
    let (commit, says, _laptop) = talk.held_change().await;
    talk.node.swallow(&commit);
    talk.node.let_pass();
    assert_eq!(talk.node.says(vec![says]).await, AckOutcome::Unreadable);
    talk.ana_gets("from three devices").await;
    talk.ana_gets("two").await;
    assert_eq!(talk.told().await, [SecurityEventKind::MissingMessage]);
    talk.goes_on(&["hello Bo", "hello Ana", "one", "two", "from three devices"]).await;
}

/// After the last of them nothing tells of it: nobody but Ana, who has not read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_message_that_never_comes() {
    let talk = Talk::begun().await;
    let held = talk.held(&["one", "two"]).await;
    talk.node.swallow(&held[1]);
    talk.node.says(vec![held[0].clone()]).await;
    // The node can say that it was received, and not that it was read.
    talk.ana.mark_read(talk.chat, None).await.unwrap();
    let state_of = |all: &[&chasqui::Message], wanted: &str| {
        all.iter().find(|message| text(message) == wanted).map(|message| message.state)
    };
    let is_read = |all: &[&chasqui::Message]| state_of(all, "one") == Some(MessageState::Read);
    talk.bo.until(talk.chat, "the first to be read", is_read).await;
    talk.bo
        .until(talk.chat, "the second not to be read", |all| state_of(all, "two") == Some(MessageState::Received))
        .await;
    assert_eq!(talk.told().await, []);
    // What is said next tells.
    talk.goes_on(&["hello Bo", "hello Ana", "one", "two"]).await;
    assert_eq!(talk.told().await, [SecurityEventKind::MissingMessage]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_never_comes() {
    let talk = Talk::begun().await;
    let (commit, says, laptop) = talk.held_change().await;
    talk.node.let_pass();
    talk.node.swallow(&commit);
    assert_eq!(talk.node.says(vec![says]).await, AckOutcome::Unreadable);
    talk.ana_gets("from three devices").await;
    talk.goes_on(&["hello Bo", "hello Ana", "from three devices"]).await;
    laptop.gets(talk.chat, "Ana again").await;
    assert_eq!(talk.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_that_never_comes() {
    let talk = Talk::silent().await;
    let (welcome, says) = talk.held_welcome().await;
    talk.node.let_pass();
    talk.node.swallow(&welcome);
    assert_eq!(talk.node.says(vec![says]).await, AckOutcome::Unreadable);
    talk.ana_gets("hello Ana").await;
    talk.goes_on(&["hello Ana"]).await;
    assert_eq!(talk.told().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again() {
    let talk = Talk::begun().await;
    let held = talk.held(&["pay me"]).await;
    talk.node.says(held.clone()).await;
    // As it was; elsewhere; and as another one, which is what somebody would want who gains by it.
    let again = talk.node.again(&held[0], |_| {});
    assert_eq!(talk.node.says(vec![again]).await, AckOutcome::Stored);
    let elsewhere = talk.node.again(&held[0], later);
    talk.node.says(vec![elsewhere]).await;
    assert_eq!(talk.told().await, []);
    let id = MessageId::from_bytes([0xFA, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
    let as_another = talk.node.again(&held[0], |envelope| {
        envelope.message = id;
        later(envelope);
    });
    assert_eq!(talk.node.says(vec![as_another]).await, AckOutcome::Unreadable);
    assert_eq!(talk.told().await, [SecurityEventKind::ForgedMessage]);
    talk.node.let_pass();
    talk.bo.send_text(talk.chat, "Bo again").await.unwrap();
    talk.ana_gets("Bo again").await;
    let says = |message: &chasqui::Message| message.content == MessageContent::Text("pay me".into());
    assert_eq!(talk.ana.messages(talk.chat).await.iter().filter(|message| says(message)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_again() {
    let talk = Talk::begun().await;
    let (commit, says, _laptop) = talk.held_change().await;
    talk.node.says(vec![commit.clone(), says]).await;
    let again = talk.node.again(&commit, |_| {});
    assert_eq!(talk.node.says(vec![again]).await, AckOutcome::Stored);
    let elsewhere = talk.node.again(&commit, later);
    assert_eq!(talk.node.says(vec![elsewhere]).await, AckOutcome::Unreadable);
    assert_eq!(talk.told().await, [SecurityEventKind::ForgedChange]);
    talk.goes_on(&["hello Bo", "hello Ana", "from three devices"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_again_as_the_next_one() {
    let talk = Talk::begun().await;
    let (commit, says, _laptop) = talk.held_change().await;
    talk.node.says(vec![commit.clone(), says]).await;
    let next = talk.node.again(&commit, |envelope| {
        later(envelope);
        envelope.epoch += 1;
    });
    assert_eq!(talk.node.says(vec![next]).await, AckOutcome::Unreadable);
    assert_eq!(talk.told().await, [SecurityEventKind::ForgedChange]);
    talk.goes_on(&["hello Bo", "hello Ana", "from three devices"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_that_comes_again() {
    let talk = Talk::silent().await;
    let (welcome, says) = talk.held_welcome().await;
    talk.node.says(vec![welcome.clone(), says]).await;
    talk.ana_gets("hello Ana").await;
    let again = talk.node.again(&welcome, |_| {});
    assert_eq!(talk.node.says(vec![again]).await, AckOutcome::Stored);
    let elsewhere = talk.node.again(&welcome, later);
    assert_eq!(talk.node.says(vec![elsewhere]).await, AckOutcome::Unreadable);
    assert_eq!(talk.told().await, [SecurityEventKind::ForgedChange]);
    talk.goes_on(&["hello Ana"]).await;
}
