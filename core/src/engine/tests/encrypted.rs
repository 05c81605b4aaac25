//! Encrypted conversations, as far as one device shows it. What several do with each other, the simulation plays.

use chasqui_wire::{ArchivePage, ArchivedUser, Claimed, Comparison, KeyPackage, Pong, RosterEntry};

use super::renewal::{bo as bos, together};
use super::*;
use crate::domain::Trust;
use crate::e2ee::{Mls, Own};
use crate::store::IdentityRow;

/// A device whose user has linked it, with a text for Bo.
pub(super) fn writing() -> (Ana, MessageId) {
    let ana = Ana::new();
    ana.store.connection().execute("UPDATE account SET identity_seed = ?", [[5_u8; 32]]).unwrap();
    let engine = Engine::load(&ana.store, 7).unwrap();
    let mut ana = Ana { engine, ..ana };
    ana.handle(vec![Input::Wake]);
    let conversation = direct_conversation(id(10), id(20), Protection::EndToEnd);
    let message = id(500);
    let commands = [
        Command::OpenDirect(id(20), Protection::EndToEnd),
        Command::SendText { conversation, message, text: "hello".into() },
    ];
    ana.handle(commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect());
    (ana, message)
}

/// Connects; what the device claims when it has its mail.
pub(super) fn claim(ana: &mut Ana) -> MessageId {
    let said = ana.connect_in(Vec::new());
    match said.as_slice() {
        [ClientFrame::Claim(claim)] => claim.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_can_be_told_fails_as_it_would_without_encryption() {
    for code in [ErrorCode::AccountDeleted, ErrorCode::UnknownUser, ErrorCode::RequestPending] {
        let (mut ana, message) = writing();
        let id = claim(&mut ana);
        ana.say(NodeFrame::Rejected(Rejected { message: id, code, detail: String::new(), retry_after_ms: 0 }));
        let state = ana.store.history().message(message).unwrap().unwrap().state;
        assert_eq!(state, MessageState::Failed(Failure::Refused(code)));
    }
}

#[test]
fn a_refusal_for_now_leaves_the_message_waiting() {
    let (mut ana, message) = writing();
    let id = claim(&mut ana);
    let code = ErrorCode::EpochConflict;
    ana.say(NodeFrame::Rejected(Rejected { message: id, code, detail: String::new(), retry_after_ms: 0 }));
    assert_eq!(ana.store.history().message(message).unwrap().unwrap().state, MessageState::Pending);
    ana.now = ana.now.plus_millis(60_000);
    let step = ana.handle(vec![Input::Wake]);
    assert!(ana.frames(&step).iter().any(|frame| matches!(frame, ClientFrame::Claim(_))), "it asks again");
}

/// Bo has shut out his old phone, and nobody has linked the new one yet.
#[test]
fn who_waits_for_a_peer_to_link_a_device_asks_once_a_minute() {
    let (own, store) = (bos(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, group) = together(&bo);
    let conversation = direct_conversation(id(10), id(20), Protection::EndToEnd);
    let message = id(501);
    let refusal =
        |code, retry_after_ms| NodeFrame::Rejected(Rejected { message, code, detail: String::new(), retry_after_ms });
    let nothing_to_do = |claim| {
        let roster = [(id(10), id(11)), (id(20), id(21))].map(|(user, device)| RosterEntry { user, device });
        NodeFrame::Claimed(Claimed { id: claim, epoch: 1, roster: roster.into(), gone: vec![], packages: vec![] })
    };
    let text = Command::SendText { conversation, message, text: "are you there?".into() };
    let step = ana.handle(vec![Input::Command(CommandId(1), text)]);
    let mut said = ana.frames(&step);
    // The first time it may be that something is to be done.
    for (minute, retry_after_ms) in [0, 60_000, 60_000, 60_000].into_iter().enumerate() {
        assert!(matches!(said.as_slice(), [ClientFrame::Send(send)] if send.message == message), "{said:?}");
        said = ana.say(refusal(ErrorCode::RosterStale, retry_after_ms));
        if minute > 0 {
            assert_eq!(said, [], "the node asked for patience");
            ana.now = ana.now.plus_millis(59_000);
            let pong = |time| NodeFrame::Pong(Pong { nonce: 0, time, checkpoint: None, key_packages: None });
            assert_eq!(ana.say(pong(ana.now)), [], "it is not over yet");
            ana.now = ana.now.plus_millis(1_000);
            said = ana.say(pong(ana.now));
        }
        let [ClientFrame::Claim(claim)] = said.as_slice() else { panic!("{said:?}") };
        said = ana.say(nothing_to_do(claim.id));
    }
    // Mail that shows another device is a reason to ask at once.
    assert_eq!(ana.say(refusal(ErrorCode::RosterStale, 60_000)), []);
    let change = bo.change(group, &[], &[], |_| Ok(())).unwrap();
    let EntryKind::Envelope(base) = envelope(900, 3, change.commit) else { unreachable!() };
    let protection = Protection::EndToEnd;
    let commit = Envelope { protection, conversation, epoch: 1, commit: Some(change.declared), ..*base };
    let entries = vec![Entry { number: 1, kind: EntryKind::Envelope(Box::new(commit)) }];
    let said = ana.say(NodeFrame::Deliver(Deliver { entries }));
    assert!(said.iter().any(|frame| matches!(frame, ClientFrame::Claim(_))), "{said:?}");
}

/// A node that was restored may be at the same epoch as the group, and believe that it has other devices.
#[test]
fn who_is_in_another_group_than_the_node_believes_begins_anew() {
    let (own, store) = (bos(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let bo = Mls::new(&own, store.connection());
    let (mut ana, _) = together(&bo);
    let (conversation, message) = (direct_conversation(id(10), id(20), Protection::EndToEnd), id(501));
    let text = Command::SendText { conversation, message, text: "is anybody there?".into() };
    ana.handle(vec![Input::Command(CommandId(1), text)]);
    let code = ErrorCode::RosterStale;
    let said = ana.say(NodeFrame::Rejected(Rejected { message, code, detail: String::new(), retry_after_ms: 0 }));
    let [ClientFrame::Claim(claim)] = said.as_slice() else { panic!("{said:?}") };
    let entry = RosterEntry { user: id(20), device: id(21) };
    let packages = vec![KeyPackage { entry, body: bo.key_package(false).unwrap() }];
    let roster = vec![RosterEntry { user: id(10), device: id(11) }];
    let said = ana.say(NodeFrame::Claimed(Claimed { id: claim.id, epoch: 1, roster, gone: vec![], packages }));
    let [ClientFrame::Claim(claim)] = said.as_slice() else { panic!("{said:?}") };
    assert!(claim.anew, "what is sent in it would not reach Bo");
}

/// What the node says of Bo's devices fits into a frame, and what it takes to put them all in a group does not.
#[test]
fn a_group_that_fits_into_no_frame_is_an_error_that_people_see() {
    let store = Store::with_connection(Connection::open_in_memory().unwrap()).unwrap();
    let package = |number: u16| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let device = id(10_000 + u128::from(number));
        let own = Own::linked(id(1), id(20), device, &Secret::new(seed), &Secret::new([20; 32])).unwrap();
        let body = Mls::new(&own, store.connection()).key_package(false).unwrap();
        KeyPackage { entry: RosterEntry { user: id(20), device }, body }
    };
    let packages: Vec<KeyPackage> = (0..340).map(package).collect();
    for frame_bytes in [Limits::DEFAULT.frame_bytes, Limits::FRAME_BYTES_MAX] {
        let (ana, message) = writing();
        let mut ana = Ana { limits: Limits { frame_bytes, ..Limits::DEFAULT }, ..ana };
        let second = Command::SendText {
            conversation: direct_conversation(id(10), id(20), Protection::EndToEnd),
            message: id(501),
            text: "and more".into(),
        };
        ana.handle(vec![Input::Command(CommandId(0), second)]);
        let mut claim = claim(&mut ana);
        for message in [message, id(501)] {
            let packages = packages.clone();
            let claimed = Claimed { id: claim, epoch: 0, roster: vec![], gone: vec![], packages };
            let said = ana.say(NodeFrame::Claimed(claimed));
            let state = ana.store.history().message(message).unwrap().unwrap().state;
            match said.as_slice() {
                [ClientFrame::Send(begins)] if frame_bytes == Limits::FRAME_BYTES_MAX => {
                    assert!(ClientFrame::Send(begins.clone()).encode().len() > Limits::DEFAULT.frame_bytes as usize);
                    let (message, seq) = (begins.message, Some(seq(1)));
                    let said = ana.say(NodeFrame::Accepted(Accepted { message, seq, at: NOW, revision: 1 }));
                    assert!(matches!(said.as_slice(), [ClientFrame::Send(_), ClientFrame::Send(_)]), "{said:?}");
                    break;
                }
                // The next one asks for itself: by then there may be fewer.
                [ClientFrame::Claim(next)] if message != id(501) => claim = next.id,
                [] if message == id(501) => {}
                said => panic!("{said:?}"),
            }
            assert_eq!(state, MessageState::Failed(Failure::Refused(ErrorCode::TooLarge)));
        }
    }
}

pub(super) fn own_mail(message: MessageId, body: Bytes) -> Envelope {
    let EntryKind::Envelope(base) = envelope(1, 1, body) else { unreachable!() };
    Envelope {
        message,
        conversation: direct_conversation(id(10), id(10), Protection::EndToEnd),
        protection: Protection::EndToEnd,
        sender_user: id(10),
        sender_device: id(12),
        peer: Some(id(10)),
        epoch: 77,
        ..*base
    }
}

/// What is known of Bo's identity.
fn bo(ana: &Ana) -> (Trust, [u8; 32]) {
    let known = IdentityRow::get(ana.store.connection(), id(20)).unwrap().unwrap();
    (known.trust, known.key)
}

/// The directory says that Bo has this key.
pub(super) fn directory_names(ana: &mut Ana, key: u8) {
    let answer = ResolvedUser { name: "bo".into(), identity_key: [key; 32] };
    ana.handle(vec![Input::Resolved(id(20), Some(answer))]);
}

fn decide(ana: &mut Ana, verified: bool) {
    ana.handle(vec![Input::Command(CommandId(3), Command::SetTrust { user: id(20), shown: None, verified })]);
}

/// Ana's laptop says so; whom does the phone ask the directory about?
fn hear(ana: &mut Ana, key: u8, verified: bool, after_ms: u64) -> Vec<UserId> {
    let said = Comparison { user: id(20), identity_key: [key; 32], verified, at: NOW.plus_millis(after_ms) };
    let transaction = ana.store.connection().unchecked_transaction().unwrap();
    let mut turn = Turn::new(&transaction, ana.now);
    ana.engine.hear_comparison(&mut turn, &own_mail(id(700), Bytes::new()), &said).unwrap();
    let asked = turn.outputs.iter().filter_map(|output| match output {
        Output::Resolve(user) => Some(*user),
        _ => None,
    });
    let asked = asked.collect();
    transaction.commit().unwrap();
    asked
}

/// A node knows the names of messages, and no key.
#[test]
fn what_comes_under_the_name_of_a_message_that_is_here_is_not_believed() {
    let (mut ana, message) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 7);
    decide(&mut ana, true);
    directory_names(&mut ana, 66);
    assert_eq!(bo(&ana).0, Trust::Changed);
    let said = Comparison { user: id(20), identity_key: [66; 32], verified: true, at: NOW.plus_millis(DAY_MS) };
    let body = Content { message, created_at: NOW, kind: ContentKind::Comparison(said), previous: vec![] }.encode();
    let acks = ana.deliver(vec![EntryKind::Envelope(Box::new(own_mail(message, body)))]);
    assert_eq!(acks, [(1, AckOutcome::Unreadable)]);
    assert_eq!(bo(&ana).0, Trust::Changed, "the node verified somebody");
}

#[test]
fn of_what_devices_make_of_somebody_the_latest_counts() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 7);
    ana.now = ana.now.plus_millis(3_000);
    decide(&mut ana, true);
    decide(&mut ana, false);
    hear(&mut ana, 7, true, 0);
    assert_eq!(bo(&ana).0, Trust::Unverified, "that was before");
    hear(&mut ana, 7, true, 60_000);
    assert_eq!(bo(&ana).0, Trust::Verified);
    // The laptop's clock is ahead, and still the user has the last word here.
    decide(&mut ana, false);
    hear(&mut ana, 7, true, 60_000);
    assert_eq!(bo(&ana).0, Trust::Unverified);
}

#[test]
fn who_was_compared_under_a_key_that_is_not_known_here_is_asked_after() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 7);
    assert_eq!(hear(&mut ana, 8, true, 0), [id(20)]);
    assert_eq!(bo(&ana), (Trust::Unverified, [7; 32]), "nothing changed so far");
    directory_names(&mut ana, 8);
    assert_eq!(bo(&ana), (Trust::Verified, [8; 32]), "the new one is the one that was compared");
    // A directory that goes on naming another one than the user compared is not believed.
    assert_eq!(hear(&mut ana, 9, true, 1), [id(20)]);
    directory_names(&mut ana, 8);
    assert_eq!(bo(&ana), (Trust::Changed, [8; 32]));
    decide(&mut ana, false);
    directory_names(&mut ana, 8);
    assert_eq!(bo(&ana), (Trust::Unverified, [8; 32]), "people had the last word");
}

#[test]
fn of_what_a_history_says_that_people_made_of_somebody_the_latest_counts() {
    const VERIFIED: u32 = 1;
    let (mut ana, _) = writing();
    claim(&mut ana);
    directory_names(&mut ana, 7);
    ana.now = ana.now.plus_millis(3_000);
    decide(&mut ana, true);
    decide(&mut ana, false);
    let mut check = |key: u8, trust, compared_after_ms: Option<u64>, known| {
        let bo_there = ArchivedUser {
            user: id(20),
            name: None,
            identity_key: Some([key; 32]),
            deleted: false,
            trust,
            identity_changed_at: None,
            compared_at: compared_after_ms.map(|after| NOW.plus_millis(after)),
        };
        let page = ArchivePage { users: vec![bo_there], ..ArchivePage::default() };
        ana.handle(vec![Input::Command(CommandId(9), Command::Merge(Box::new(page)))]);
        assert_eq!(bo(&ana), (known, [7; 32]), "{key} {trust} {compared_after_ms:?}");
    };
    check(7, VERIFIED, Some(0), Trust::Unverified);
    check(7, VERIFIED, None, Trust::Unverified);
    check(7, VERIFIED, Some(60_000), Trust::Verified);
    check(7, 0, Some(50_000), Trust::Verified);
    check(7, 0, None, Trust::Verified);
    check(7, 0, Some(70_000), Trust::Unverified);
    check(8, VERIFIED, Some(60_000), Trust::Unverified);
    check(8, VERIFIED, Some(80_000), Trust::Changed);
}

/// A node can name any key as that of Bo's phone; the group knows it.
#[test]
fn read_is_believed_by_the_key_that_the_reader_has_in_the_group() {
    let (bos, store) = (super::renewal::bo(), Store::with_connection(Connection::open_in_memory().unwrap()).unwrap());
    let (mut ana, _) = together(&Mls::new(&bos, store.connection()));
    let mark = |conversation, seed| {
        let (key, ranges) = (Secret::new([seed; 32]), SeqRanges::of([seq(2)]));
        let (authors, signature) = (vec![id(10)], [0; 64]);
        let mut read = Read { id: id(77), conversation, up_to: seq(2), ranges, authors, at: NOW, signature };
        read.signature = sign_with(&key, &signing::read(id(1), id(20), id(21), &read));
        EntryKind::Read(Box::new(ReadNotice { user: id(20), device: id(21), device_key: public_key(&key), read }))
    };
    let with_bo = direct_conversation(id(10), id(20), Protection::EndToEnd);
    // Elsewhere it is the node's word, and is remembered.
    assert_eq!(ana.deliver(vec![mark(chat(), 99)]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.deliver(vec![mark(with_bo, 99)]), [(1, AckOutcome::Unreadable)]);
    assert_eq!(ana.state_of(500), MessageState::Sent);
    assert_eq!(ana.deliver(vec![mark(with_bo, 2)]), [(1, AckOutcome::Stored)]);
    assert_eq!(ana.state_of(500), MessageState::Read);
    // It is known from then on.
    assert_eq!(ana.deliver(vec![mark(chat(), 99)]), [(1, AckOutcome::Unreadable)]);
}
