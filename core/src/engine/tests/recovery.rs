//! What is sent again, to whom, and from whom it is taken.

use chasqui_wire::{
    ArchivePage, ArchivedConversation, ArchivedMessage, ArchivedUser, Commit, KeyPackage, KeyPackagesLeft, Pong,
    RosterEntry,
};

use super::encrypted::{claim, directory_names, writing};
use super::renewal::{bo, together};
use super::*;
use crate::e2ee::{GroupId, Mls, Own};
use crate::engine::encrypted::header;

const SECOND_MS: u64 = 1_000;

fn with_bo() -> ConversationId {
    direct_conversation(id(10), id(20), Protection::EndToEnd)
}

/// Sent by Bo's phone in the encrypted conversation.
fn mail(number: u128, at: u64, body: Bytes) -> Envelope {
    let EntryKind::Envelope(base) = envelope(number, at, body) else { unreachable!() };
    Envelope { protection: Protection::EndToEnd, conversation: with_bo(), epoch: 1, ..*base }
}

/// What Ana wrote to Bo on another device, which the node took so long after [`NOW`].
fn written_elsewhere(number: u128, after_ms: u64) -> ArchivedMessage {
    let text = ContentKind::Text("to the Bo of last year".into());
    let at = NOW.plus_millis(after_ms);
    ArchivedMessage {
        conversation: with_bo(),
        message: id(number),
        seq: Some(seq(u64::try_from(number).unwrap())),
        sender: id(10),
        sender_device: id(12),
        created_at: at,
        accepted_at: Some(at),
        body: Content { message: id(number), created_at: at, kind: text, previous: vec![] }.encode(),
        deliveries: vec![],
    }
}

/// That device's history, as it travels.
fn history(bo: Option<ArchivedUser>, messages: Vec<ArchivedMessage>) -> Input {
    let conversation = ArchivedConversation {
        conversation: with_bo(),
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(id(20)),
        read_up_to: None,
        is_request: false,
        hidden: false,
        activity: NOW,
    };
    let (users, conversations) = (bo.into_iter().collect(), vec![conversation]);
    let page = ArchivePage { users, conversations, messages, ..ArchivePage::default() };
    let page = ArchivePage::decode(page.encode().into()).unwrap();
    Input::Command(CommandId(9), Command::Merge(Box::new(page)))
}

/// What a device says of Bo.
fn somebody(key: u8, changed_after_ms: Option<u64>) -> ArchivedUser {
    ArchivedUser {
        user: id(20),
        name: Some("bo".into()),
        identity_key: Some([key; 32]),
        deleted: false,
        trust: 0,
        identity_changed_at: changed_after_ms.map(|after| NOW.plus_millis(after)),
        compared_at: None,
    }
}

/// Bo's phone asks for these, by the request of that name.
fn ask(ana: &mut Ana, request: u128, asked: &[u128]) {
    let transaction = ana.store.connection().unchecked_transaction().unwrap();
    let mut turn = Turn::new(&transaction, ana.now);
    let row = crate::store::ConversationRow::find(&transaction, with_bo()).unwrap().unwrap();
    let asked: Vec<_> = asked.iter().map(|&number| id(number)).collect();
    ana.engine.answer_resend_request(&mut turn, &row, &mail(request, 9, Bytes::new()), &asked).unwrap();
    transaction.commit().unwrap();
}

/// What waits to be sent again.
fn waiting(ana: &Ana) -> Vec<MessageId> {
    let db = ana.store.connection();
    let mut rows = db.prepare("SELECT resend_of FROM outbox WHERE resend_of IS NOT NULL ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(|id: rusqlite::Result<Vec<u8>>| MessageId::from_slice(&id.unwrap()).unwrap()).collect()
}

/// Which of these Bo's phone is sent again when it asks for them.
fn given(ana: &mut Ana, asked: &[u128]) -> Vec<MessageId> {
    ask(ana, 900, asked);
    waiting(ana)
}

#[test]
fn what_a_history_brings_is_not_given_to_a_later_identity() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    ana.now = NOW.plus_millis(10 * SECOND_MS);
    directory_names(&mut ana, 7);
    directory_names(&mut ana, 66);
    ana.now = NOW.plus_millis(60 * SECOND_MS);
    ana.handle(vec![history(None, vec![written_elsewhere(600, 0), written_elsewhere(601, 30 * SECOND_MS)])]);
    assert_eq!(given(&mut ana, &[600, 601]), [id(601)], "what was written before goes to nobody who came after");
}

/// A node that has the author's device say later that it took a message changes nothing of when that was written.
#[test]
fn nor_where_the_node_says_that_it_took_it_later() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 7);
    directory_names(&mut ana, 66);
    let later = ArchivedMessage { accepted_at: Some(ana.now.plus_millis(DAY_MS)), ..written_elsewhere(600, 0) };
    ana.handle(vec![history(None, vec![later])]);
    assert_eq!(given(&mut ana, &[600]), []);
}

/// A device that never knew the earlier identity hears of it with the history.
#[test]
fn a_history_tells_when_an_identity_took_the_place_of_another() {
    let written = || vec![written_elsewhere(600, 0), written_elsewhere(601, 30 * SECOND_MS)];
    for is_known_here in [false, true] {
        let (mut ana, _) = writing();
        claim(&mut ana);
        if is_known_here {
            directory_names(&mut ana, 66);
        }
        ana.handle(vec![history(Some(somebody(66, Some(10 * SECOND_MS))), written())]);
        assert_eq!(given(&mut ana, &[600, 601]), [id(601)], "known here: {is_known_here}");
        // As this device tells others.
        let db = ana.store.connection();
        let (page, _) = crate::store::ArchiveCursor::beginning(db).unwrap().page(db, 300).unwrap();
        assert!(page.users.contains(&somebody(66, Some(10 * SECOND_MS))), "{:?}", page.users);
    }
    // What was written to whoever had the key that the history names.
    let (mut ana, _) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 66);
    ana.now = NOW.plus_millis(60 * SECOND_MS);
    ana.handle(vec![history(Some(somebody(7, None)), written())]);
    assert_eq!(given(&mut ana, &[600, 601]), []);
    // Nobody's identity changed.
    let (mut ana, _) = writing();
    claim(&mut ana);
    ana.handle(vec![history(Some(somebody(7, None)), written())]);
    assert_eq!(given(&mut ana, &[600, 601]), [id(600), id(601)]);
}

/// What a device wrote or got itself it knows to be later, whatever its clock and the node's make of that.
#[test]
fn clocks_do_not_matter_to_what_was_said_here() {
    let (bos, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let (mut ana, _) = together(&Mls::new(&bos, store.connection()));
    ana.now = NOW.plus_millis(365 * DAY_MS);
    directory_names(&mut ana, 66);
    ana.now = NOW.plus_millis(60 * SECOND_MS);
    let text = |message, text: &str| Command::SendText { conversation: with_bo(), message, text: text.into() };
    ana.handle(vec![Input::Command(CommandId(1), text(id(501), "to the Bo of now"))]);
    let db = ana.store.connection();
    let row = crate::store::MessageRow::find(db, id(501)).unwrap().unwrap();
    row.set_accepted(db, seq(3), ana.now, 3).unwrap();
    assert_eq!(given(&mut ana, &[500, 501]), [id(501)]);
}

#[test]
fn what_is_asked_for_again_and_again_waits_once() {
    let (bos, store) = (bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let (mut ana, _) = together(&Mls::new(&bos, store.connection()));
    for request in 2_000..2_100 {
        ask(&mut ana, request, &[500, 500]);
    }
    assert_eq!(waiting(&ana), [id(500)]);
    // That was lost, too.
    ana.store.connection().execute("DELETE FROM outbox WHERE resend_of IS NOT NULL", []).unwrap();
    ask(&mut ana, 3_000, &[500]);
    assert_eq!(waiting(&ana), [id(500)]);
}

/// Of Ana's, as the node gives it to whoever claims.
fn package_of(ana: &mut Ana) -> KeyPackage {
    let left = KeyPackagesLeft { one_time: 0, last_resort: false };
    let said = ana.say(NodeFrame::Pong(Pong { nonce: 0, time: ana.now, checkpoint: None, key_packages: Some(left) }));
    let body = said.into_iter().find_map(|frame| match frame {
        ClientFrame::KeyPackages(packages) => packages.one_time.into_iter().next(),
        _ => None,
    });
    KeyPackage { entry: RosterEntry { user: id(10), device: id(11) }, body: body.expect("packages") }
}

#[test]
fn a_later_identity_says_nothing_in_the_place_of_an_earlier_one() {
    let memory = || Store::with_connection(Connection::open_in_memory().unwrap()).unwrap();
    let (bos, store) = (bo(), memory());
    let (mut ana, _) = together(&Mls::new(&bos, store.connection()));
    let damaged = |number, at| Envelope { urgent: true, ..mail(number, at, Bytes::from_static(b"damaged")) };
    let unreadable = [(1, AckOutcome::Unreadable)];
    assert_eq!(ana.deliver(vec![EntryKind::Envelope(Box::new(damaged(800, 3)))]), unreadable);

    let seed = Secret::new([66; 32]);
    let later = Own::linked(id(1), id(20), id(22), &Secret::new([22; 32]), &seed).unwrap();
    let answer = ResolvedUser { name: "bo".into(), identity_key: public_key(&seed) };
    ana.handle(vec![Input::Resolved(id(20), Some(answer))]);
    let package = package_of(&mut ana);
    let store = memory();
    let later = Mls::new(&later, store.connection());
    let group = GroupId([3; 16]);
    let begun = later.begin(group, &[package], |_| Ok(())).unwrap();
    later.merge(group).unwrap();
    let by_later = |envelope| EntryKind::Envelope(Box::new(Envelope { sender_device: id(22), ..envelope }));
    let commit = Commit { welcome: Bytes::new(), ..begun.declared.clone() };
    let welcome = Envelope { commit: Some(commit), welcome: true, ..mail(900, 4, begun.declared.welcome) };
    assert_eq!(ana.deliver(vec![by_later(welcome)]), [(1, AckOutcome::Stored)]);

    // It comes again under its own name, and at its position.
    let again = |ana: &mut Ana, of: u128, number: u128, at| {
        let content = Content {
            message: id(of),
            created_at: NOW,
            kind: ContentKind::Text("said again".into()),
            previous: vec![],
        };
        let body = later.seal(group, &header(id(number), with_bo()), &content.encode()).unwrap();
        ana.deliver(vec![by_later(Envelope { resend_of: Some(id(of)), epoch: 2, ..mail(number, at, body) })])
    };
    let content = |ana: &Ana, of: u128| ana.store.history().message(id(of)).unwrap().unwrap().content;
    assert_eq!(again(&mut ana, 800, 901, 3), unreadable);
    assert_eq!(content(&ana, 800), MessageContent::Unreadable, "that was said by whoever was Bo before");
    let since = by_later(Envelope { epoch: 2, ..damaged(801, 5) });
    assert_eq!(ana.deliver(vec![since]), unreadable);
    assert_eq!(again(&mut ana, 801, 902, 5), [(1, AckOutcome::Stored)]);
    assert_eq!(content(&ana, 801), MessageContent::Text("said again".into()));
}
