//! Whatever a peek says of mail is what the app says once it has it.

use chasqui_wire::{Admission, UserId, Verdict};
use proptest::prelude::*;

use super::renewal::{bo, together};
use super::*;
use crate::e2ee::Mls;
use crate::engine::encrypted::header;
use crate::store::AccountRow;

/// People who write to Ana, and Ana's own laptop.
const BO: u128 = 20;
const CLEO: u128 = 30;
const LAPTOP: u128 = 12;

#[derive(Clone, Debug)]
enum Mail {
    Message { with: u128, at: u64, is_own: bool, body: Body, is_request: bool },
    ReadElsewhere { with: u128, up_to: u64, is_signed: bool },
    Said { with: u128, verdict: Verdict, up_to: Option<u64> },
    Other,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Text,
    Later,
    Garbage,
    OfAnother,
}

/// What the user does here before the mail comes.
#[derive(Clone, Debug)]
enum Deed {
    Get(Vec<Mail>),
    Read(u128),
    Accept(u128),
    Decline(u128, bool),
    Write(u128),
}

fn with(other: u128) -> ConversationId {
    direct_conversation(id(10), id(other), Protection::NodeReadable)
}

/// A position names a message: what comes again is the same.
fn message(with: u128, at: u64) -> chasqui_wire::MessageId {
    id(with * 1_000 + u128::from(at))
}

impl Mail {
    fn entry(&self) -> EntryKind {
        match *self {
            Self::Message { with: other, at, is_own, body, is_request } => {
                let message = message(other, at);
                let content = |message, kind| Content { message, created_at: NOW, kind, previous: vec![] }.encode();
                let body = match body {
                    Body::Text => content(message, ContentKind::Text(format!("message {at}"))),
                    Body::Later => content(message, ContentKind::Unknown),
                    Body::Garbage => Bytes::from_static(b"\xff\xff garbage"),
                    Body::OfAnother => content(id(7), ContentKind::Text("of another".into())),
                };
                let EntryKind::Envelope(mut envelope) = envelope(0, at, body) else { unreachable!() };
                envelope.message = message;
                envelope.conversation = with(other);
                (envelope.sender_user, envelope.sender_device) = (id(other), id(other + 1));
                envelope.request = is_request;
                if is_own {
                    (envelope.sender_user, envelope.sender_device) = (id(10), id(LAPTOP));
                    (envelope.peer, envelope.request) = (Some(id(other)), false);
                }
                EntryKind::Envelope(envelope)
            }
            Self::ReadElsewhere { with: other, up_to, is_signed } => {
                let mut read = Read {
                    id: id(7),
                    conversation: with(other),
                    up_to: seq(up_to),
                    ranges: SeqRanges::default(),
                    authors: vec![],
                    at: NOW,
                    signature: [0; 64],
                };
                let signer = Secret::new(if is_signed { [5; 32] } else { [6; 32] });
                read.signature = sign_with(&signer, &signing::read(id(1), id(10), id(LAPTOP), &read));
                let device_key = public_key(&Secret::new([5; 32]));
                EntryKind::Read(Box::new(ReadNotice { user: id(10), device: id(LAPTOP), device_key, read }))
            }
            Self::Said { with: other, verdict, up_to } => {
                EntryKind::Admission(Admission { conversation: with(other), verdict, up_to: up_to.map(seq), at: NOW })
            }
            Self::Other => EntryKind::Unknown,
        }
    }
}

fn somebody() -> impl Strategy<Value = u128> {
    prop_oneof![Just(BO), Just(CLEO)]
}

fn mail() -> impl Strategy<Value = Mail> {
    let body = prop_oneof![5 => Just(Body::Text), 1 => Just(Body::Later), 1 => Just(Body::Garbage), 1 => Just(Body::OfAnother)];
    let is_own = prop_oneof![4 => Just(false), 1 => Just(true)];
    let message = (somebody(), 1..8_u64, is_own, body, any::<bool>())
        .prop_map(|(with, at, is_own, body, is_request)| Mail::Message { with, at, is_own, body, is_request });
    let read = (somebody(), 1..8_u64, any::<bool>()).prop_map(|(with, up_to, is_signed)| Mail::ReadElsewhere {
        with,
        up_to,
        is_signed,
    });
    let verdict = prop_oneof![Just(Verdict::Accept), Just(Verdict::Decline), Just(Verdict::Block)];
    let said = (somebody(), verdict, prop::option::of(1..8_u64)).prop_map(|(with, verdict, up_to)| Mail::Said {
        with,
        verdict,
        up_to,
    });
    prop_oneof![8 => message, 2 => read, 2 => said, 1 => Just(Mail::Other)]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => prop::collection::vec(mail(), 1..5).prop_map(Deed::Get),
        1 => somebody().prop_map(Deed::Read),
        1 => somebody().prop_map(Deed::Accept),
        1 => (somebody(), any::<bool>()).prop_map(|(with, block)| Deed::Decline(with, block)),
        1 => somebody().prop_map(Deed::Write),
    ]
}

impl Ana {
    fn does(&mut self, deed: &Deed, number: u128) {
        let command = match deed {
            Deed::Get(mail) => {
                self.deliver(mail.iter().map(Mail::entry).collect());
                return;
            }
            Deed::Read(other) => Command::MarkRead(with(*other), None),
            Deed::Accept(other) => Command::AcceptRequest(with(*other)),
            Deed::Decline(other, block) => Command::DeclineRequest { conversation: with(*other), block: *block },
            Deed::Write(other) => {
                Command::SendText { conversation: with(*other), message: id(number), text: "hello".into() }
            }
        };
        self.handle(vec![Input::Command(CommandId(1), command)]);
    }

    /// What a list and its timelines show as unread: which message, what it says, and whether it is a request.
    fn shows_unread(&self) -> BTreeSet<(chasqui_wire::MessageId, UserId, String, bool)> {
        let history = self.store.history();
        let mut shown = BTreeSet::new();
        for line in history.conversations(10).unwrap() {
            let page = history.timeline_before(line.id, None, 100).unwrap();
            for message in page.items.iter().filter_map(|item| item.message()) {
                if let MessageContent::Text(text) = &message.content
                    && !message.is_own
                    && message.seq > line.read_up_to
                {
                    shown.insert((message.id, message.sender, text.clone(), line.is_request));
                }
            }
        }
        shown
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_peeked_at_is_what_is_shown_later(
        deeds in prop::collection::vec(deed(), 0..6),
        mail in prop::collection::vec(mail(), 0..10),
    ) {
        let mut ana = Ana::online();
        for (deed, number) in deeds.iter().zip(100_000..) {
            ana.does(deed, number);
        }
        let account = AccountRow::load(ana.store.connection()).unwrap().unwrap();
        let entries: Vec<Entry> =
            mail.iter().zip(1..).map(|(mail, number)| Entry { number, kind: mail.entry() }).collect();
        let had: Vec<_> = [BO, CLEO].into_iter().flat_map(|other| (1..8).map(move |at| message(other, at))).collect();
        let had: BTreeSet<_> =
            had.into_iter().filter(|&id| ana.store.history().message(id).unwrap().is_some()).collect();
        let peeked = peek(ana.store.connection(), &account, &entries).unwrap();

        ana.deliver(mail.iter().map(Mail::entry).collect());
        prop_assert_eq!(peeked.unread, ana.store.history().total_unread().unwrap());
        let shown = peeked.messages.into_iter().map(|message| (message.id, message.sender, message.text, message.is_request));
        let new: BTreeSet<_> = ana.shows_unread().into_iter().filter(|(id, ..)| !had.contains(id)).collect();
        prop_assert_eq!(shown.collect::<BTreeSet<_>>(), new);
    }
}

/// A node that makes up a key for a device that is in the conversation's group.
#[test]
fn a_read_mark_that_nobody_signed_hides_nothing() {
    let (own, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let conversation = direct_conversation(id(10), id(20), Protection::EndToEnd);
    let content =
        Content { message: id(600), created_at: NOW, kind: ContentKind::Text("hello".into()), previous: vec![] };
    let body = bo.seal(group, &header(id(600), conversation), &content.encode()).unwrap();
    let EntryKind::Envelope(base) = envelope(600, 3, body) else { unreachable!() };
    let message = Envelope { protection: Protection::EndToEnd, conversation, epoch: 1, ..*base };
    assert_eq!(ana.deliver(vec![EntryKind::Envelope(Box::new(message))]), [(1, AckOutcome::Stored)]);
    let signer = Secret::new([6; 32]);
    let mut read = Read {
        id: id(7),
        conversation,
        up_to: seq(3),
        ranges: SeqRanges::default(),
        authors: vec![],
        at: NOW,
        signature: [0; 64],
    };
    read.signature = sign_with(&signer, &signing::read(id(1), id(10), id(11), &read));
    let notice = ReadNotice { user: id(10), device: id(11), device_key: public_key(&signer), read };
    let mail = [Entry { number: 1, kind: EntryKind::Read(Box::new(notice)) }];
    let account = AccountRow::load(ana.store.connection()).unwrap().unwrap();
    assert_eq!(peek(ana.store.connection(), &account, &mail).unwrap().unread, 1);
}
