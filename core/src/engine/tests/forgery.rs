//! What strangers, members and nodes make up: it is refused, told as a security event, and changes nothing else.

use chasqui_wire::{Claimed, Commit, HistoryRequest, KeyPackage, KeyPackagesLeft, Pong, RosterEntry, Send};

use super::encrypted::{claim, writing};
use super::*;
use crate::domain::SecurityEventKind;
use crate::e2ee::{Change, GroupId, Mls, Own};
use crate::engine::encrypted::header;

/// A device of somebody else, by the numbers of its user and itself.
struct Other {
    own: Own,
    store: Store,
}

impl Other {
    fn new(user: u8, device: u8) -> Self {
        Self::with_identity(user, device, user)
    }

    fn with_identity(user: u8, device: u8, identity: u8) -> Self {
        let seed = |number: u8| Secret::new([number; 32]);
        let (user, device_id) = (id(user.into()), id(device.into()));
        let own = Own::linked(id(1), user, device_id, &seed(device), &seed(identity)).unwrap();
        Self { own, store: Store::with_connection(Connection::open_in_memory().unwrap()).unwrap() }
    }

    fn mls(&self) -> Mls<'_> {
        Mls::new(&self.own, self.store.connection())
    }

    fn package(&self) -> KeyPackage {
        KeyPackage { entry: self.own.entry(), body: self.mls().key_package(false).unwrap() }
    }

    /// Begins a group of this name with these.
    fn begins(&self, group: GroupId, packages: &[KeyPackage]) -> Change {
        let change = self.mls().begin(group, packages, |_| Ok(())).unwrap();
        self.mls().merge(group).unwrap();
        change
    }

    /// Of a text that it says in a group.
    fn says(&self, group: GroupId, number: u128, conversation: ConversationId, kind: ContentKind) -> Bytes {
        let content = Content { message: id(number), created_at: NOW, kind, previous: vec![] };
        self.mls().seal(group, &header(id(number), conversation), &content.encode()).unwrap()
    }

    /// Mail by it, in its user's conversation with Ana.
    fn mail(&self, number: u128, at: u64, epoch: u64, body: Bytes) -> Envelope {
        let EntryKind::Envelope(base) = envelope(number, at, body) else { unreachable!() };
        let RosterEntry { user, device } = self.own.entry();
        Envelope {
            conversation: with(user),
            protection: Protection::EndToEnd,
            sender_user: user,
            sender_device: device,
            urgent: true,
            epoch,
            ..*base
        }
    }

    fn welcome(&self, number: u128, at: u64, epoch: u64, change: &Change) -> Envelope {
        let mail = self.mail(number, at, epoch, change.declared.welcome.clone());
        Envelope { commit: declared(change), welcome: true, urgent: false, ..mail }
    }

    fn commit(&self, number: u128, at: u64, epoch: u64, change: &Change) -> Envelope {
        let mail = self.mail(number, at, epoch, change.commit.clone());
        Envelope { commit: declared(change), urgent: false, ..mail }
    }
}

fn declared(change: &Change) -> Option<Commit> {
    Some(Commit { welcome: Bytes::new(), ..change.declared.clone() })
}

/// The encrypted conversation that Ana has with somebody.
fn with(user: UserId) -> ConversationId {
    direct_conversation(id(10), user, Protection::EndToEnd)
}

fn text(words: &str) -> ContentKind {
    ContentKind::Text(words.into())
}

/// Ana has begun a group with Bo's device, and written to it; the node's epoch is 1.
fn together(bo: &Other) -> (Ana, GroupId) {
    super::renewal::together(&bo.mls())
}

/// What a node can give to anybody who claims.
fn package_of(ana: &mut Ana) -> KeyPackage {
    packages_of(ana).0
}

/// One that is given once, and the one of last resort.
fn packages_of(ana: &mut Ana) -> (KeyPackage, KeyPackage) {
    let left = KeyPackagesLeft { one_time: 0, last_resort: false };
    let said = ana.say(NodeFrame::Pong(Pong { nonce: 0, time: ana.now, checkpoint: None, key_packages: Some(left) }));
    let body = said.iter().find_map(|frame| match frame {
        ClientFrame::KeyPackages(packages) => {
            Some((packages.id, packages.one_time[0].clone(), packages.last_resort.clone().expect("one of last resort")))
        }
        _ => None,
    });
    let (message, one_time, last_resort) = body.expect("packages");
    ana.say(NodeFrame::Accepted(Accepted { message, seq: None, at: NOW, revision: 3 }));
    let package = |body| KeyPackage { entry: RosterEntry { user: id(10), device: id(11) }, body };
    (package(one_time), package(last_resort))
}

impl Ana {
    /// How the node hears that each was taken, in order.
    fn takes(&mut self, mail: &[&Envelope]) -> Vec<AckOutcome> {
        let entries = mail.iter().map(|&envelope| EntryKind::Envelope(Box::new(envelope.clone()))).collect();
        let mut acks = self.deliver(entries);
        acks.sort_by_key(|&(number, _)| number);
        acks.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn told(&self) -> Vec<(SecurityEventKind, Option<DeviceId>)> {
        let events = self.store.history().security_events(0, 100).unwrap();
        events.into_iter().map(|event| (event.kind, event.device)).collect()
    }

    fn content_of(&self, number: u128) -> Option<MessageContent> {
        self.store.history().message(id(number)).unwrap().map(|message| message.content)
    }

    fn writes(&mut self, number: u128, conversation: ConversationId) -> Send {
        let command = Command::SendText { conversation, message: id(number), text: "for Bo alone".into() };
        let step = self.handle(vec![Input::Command(CommandId(1), command)]);
        let sent = self.frames(&step).into_iter().find_map(|frame| match frame {
            ClientFrame::Send(send) if send.message == id(number) => Some(*send),
            _ => None,
        });
        sent.expect("sent")
    }
}

/// The name of a group stands in clear in front of every message, and who begins one chooses it.
#[test]
fn a_group_by_the_name_of_another_does_not_take_its_place() {
    let (bo, mallory) = (Other::new(20, 21), Other::new(30, 31));
    let (mut ana, group) = together(&bo);
    let begun = mallory.begins(group, &[package_of(&mut ana)]);
    let request = Envelope { request: true, ..mallory.welcome(900, 1, 0, &begun) };
    assert_eq!(ana.takes(&[&request]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(id(31)))]);

    let send = ana.writes(901, with(id(20)));
    let header = header(send.message, send.conversation);
    assert!(mallory.mls().open(group, &header, &send.body).is_err(), "Mallory reads what Ana says to Bo");
    assert!(bo.mls().open(group, &header, &send.body).is_ok());
}

/// Who begins the group of a conversation anew may give it the name that it had.
#[test]
fn a_group_may_take_its_own_place() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    bo.mls().forget(group).unwrap();
    let begun = bo.begins(group, &[package_of(&mut ana)]);
    let says = bo.mail(901, 4, 2, bo.says(group, 901, with(id(20)), text("anew")));
    assert_eq!(ana.takes(&[&bo.welcome(900, 3, 1, &begun), &says]), [AckOutcome::Stored; 2]);
    assert_eq!((ana.content_of(901), ana.told()), (Some(MessageContent::Text("anew".into())), vec![]));
}

/// The keys of a package of last resort stay: a Welcome that comes again would lead back to a group that is over, and to whoever
/// was in it then.
#[test]
fn a_welcome_of_an_epoch_that_is_over_leads_nowhere() {
    // As it was, and as if it were of the present epoch.
    for epoch in [1, 2] {
        let bo = Other::new(20, 21);
        let (mut ana, group) = together(&bo);
        bo.mls().forget(group).unwrap();
        let begun = bo.begins(GroupId([7; 16]), &[packages_of(&mut ana).1]);
        let welcome = bo.welcome(900, 3, 1, &begun);
        assert_eq!(ana.takes(&[&welcome]), [AckOutcome::Stored]);
        let again = Envelope { message: id(901), seq: seq(4), epoch, ..welcome };
        assert_eq!(ana.takes(&[&again]), [AckOutcome::Unreadable]);
        assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(id(21)))]);
        let says = bo.mail(902, 5, 2, bo.says(GroupId([7; 16]), 902, with(id(20)), text("as before")));
        assert_eq!(ana.takes(&[&says]), [AckOutcome::Stored]);
    }
}

/// A leaf that gives itself new keys gives itself another name.
#[test]
fn nobody_becomes_somebody_else() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    let renewed = bo.mls().renew_as(group, id(10), id(12), &Secret::new([20; 32]));
    bo.mls().merge(group).unwrap();
    let forged = Envelope {
        sender_user: id(10),
        sender_device: id(12),
        peer: Some(id(20)),
        ..bo.mail(901, 4, 2, bo.says(group, 901, with(id(20)), text("what Ana never said")))
    };
    let acks = ana.takes(&[&bo.commit(900, 3, 1, &renewed), &forged]);
    assert_eq!(acks, [AckOutcome::Unreadable; 2]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(id(21)))]);
    assert!(!matches!(ana.content_of(901), Some(MessageContent::Text(_))));
}

/// Both at once: a node that registers a user speaks as somebody who was verified, in a group of their name.
#[test]
fn nobody_says_something_as_somebody_who_was_verified() {
    let (bo, mallory) = (Other::new(20, 21), Other::new(30, 31));
    let (mut ana, group) = together(&bo);
    ana.handle(vec![Input::Command(CommandId(3), Command::SetTrust { user: id(20), shown: None, verified: true })]);
    let begun = mallory.begins(group, &[package_of(&mut ana)]);
    let renewed = mallory.mls().renew_as(group, id(20), id(21), &Secret::new([30; 32]));
    mallory.mls().merge(group).unwrap();
    let forged = bo.mail(902, 3, 1, mallory.says(group, 902, with(id(20)), text("pay Mallory")));
    ana.takes(&[&mallory.welcome(900, 1, 0, &begun), &mallory.commit(901, 2, 1, &renewed), &forged]);
    assert!(!matches!(ana.content_of(902), Some(MessageContent::Text(_))));
    assert_eq!(ana.told().first(), Some(&(SecurityEventKind::ForgedChange, Some(id(31)))));
}

/// And asks for everything that was ever said, as a device of the user's own.
#[test]
fn nobody_is_given_the_history_as_another_device() {
    let (mut ana, _) = writing();
    claim(&mut ana);
    let notes = with(id(10));
    let commands = [
        Command::OpenDirect(id(10), Protection::EndToEnd),
        Command::SendText { conversation: notes, message: id(700), text: "notes to myself".into() },
    ];
    let step = ana.handle(commands.into_iter().map(|command| Input::Command(CommandId(0), command)).collect());
    let asked = ana.frames(&step).into_iter().find_map(|frame| match frame {
        ClientFrame::Claim(claim) => Some(claim.id),
        _ => None,
    });
    let claimed = Claimed { id: asked.unwrap(), epoch: 0, roster: vec![], gone: vec![], packages: vec![] };
    let said = ana.say(NodeFrame::Claimed(claimed));
    let [ClientFrame::Send(begins)] = said.as_slice() else { panic!("{said:?}") };
    for (message, at) in [(begins.message, 1), (id(700), 2)] {
        ana.say(NodeFrame::Accepted(Accepted { message, seq: Some(seq(at)), at: NOW, revision: at }));
    }
    let group = crate::store::SecuredRow::get(ana.store.connection(), notes).unwrap().group.unwrap();

    let mallory = Other::new(30, 31);
    let begun = mallory.begins(group, &[package_of(&mut ana)]);
    let renewed = mallory.mls().renew_as(group, id(10), id(12), &Secret::new([30; 32]));
    mallory.mls().merge(group).unwrap();
    let request = ContentKind::HistoryRequest(HistoryRequest { cursor: Bytes::new(), attempt: 0 });
    let asks = Envelope {
        conversation: notes,
        sender_user: id(10),
        sender_device: id(12),
        ..mallory.mail(902, 3, 1, mallory.says(group, 902, notes, request))
    };
    let mail = [mallory.welcome(900, 1, 0, &begun), mallory.commit(901, 2, 1, &renewed), asks];
    let entries = mail.into_iter().zip(1..);
    let entries = entries.map(|(envelope, number)| Entry { number, kind: EntryKind::Envelope(Box::new(envelope)) });
    let mut frames = ana.say(NodeFrame::Deliver(Deliver { entries: entries.collect() }));
    let step = ana.handle(vec![Input::Wake]);
    frames.extend(ana.frames(&step));
    let is_answer = |frame: &ClientFrame| matches!(frame, ClientFrame::Send(send) if send.only_device == Some(id(12)));
    assert!(!frames.iter().any(is_answer), "{frames:?}");
    assert_eq!(ana.told().first(), Some(&(SecurityEventKind::ForgedChange, Some(id(31)))));
}

#[test]
fn what_is_passed_off_as_another_devices_uses_no_key_up() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    let honest = bo.mail(900, 3, 1, bo.says(group, 900, with(id(20)), text("it is me")));
    let forged = Envelope { sender_device: id(22), ..honest.clone() };
    assert_eq!(ana.takes(&[&forged]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForgedMessage, Some(id(22)))]);
    // Under another id, too: it is bound to the text.
    let renamed = Envelope { message: id(901), seq: seq(4), ..honest };
    assert_eq!(ana.takes(&[&renamed]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told().last(), Some(&(SecurityEventKind::ForgedMessage, Some(id(21)))));
    let next = bo.mail(902, 5, 1, bo.says(group, 902, with(id(20)), text("the next")));
    assert_eq!(ana.takes(&[&next]), [AckOutcome::Stored]);
}

#[test]
fn what_was_read_does_not_come_again_as_another_message() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    let honest = bo.mail(900, 3, 1, bo.says(group, 900, with(id(20)), text("pay ten")));
    assert_eq!(ana.takes(&[&honest]), [AckOutcome::Stored]);
    // Its key is gone, and what comes as it was is known.
    assert_eq!((ana.takes(&[&honest]), ana.told()), (vec![AckOutcome::Stored], vec![]));
    let renamed = Envelope { message: id(901), seq: seq(4), ..honest };
    assert_eq!(ana.takes(&[&renamed]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForgedMessage, Some(id(21)))]);
}

#[test]
fn a_group_of_two_has_nobody_else() {
    let (bo, mallory) = (Other::new(20, 21), Other::new(30, 31));
    let (mut ana, _) = together(&bo);
    let packages = [package_of(&mut ana), mallory.package()];
    let begun = bo.begins(GroupId([7; 16]), &packages);
    assert_eq!(ana.takes(&[&bo.welcome(900, 3, 1, &begun)]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::UntrustedDevice, Some(id(21)))]);
}

#[test]
fn a_device_of_the_users_own_has_the_users_identity() {
    let (bo, made_up) = (Other::new(20, 21), Other::with_identity(10, 12, 99));
    let (mut ana, _) = together(&bo);
    let packages = [package_of(&mut ana), made_up.package()];
    let begun = bo.begins(GroupId([7; 16]), &packages);
    assert_eq!(ana.takes(&[&bo.welcome(900, 3, 1, &begun)]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::UntrustedDevice, Some(id(21)))]);
}

#[test]
fn a_change_is_what_was_declared_and_by_whom() {
    let (bo, laptop) = (Other::new(20, 21), Other::new(20, 22));
    type Edit = fn(&mut Envelope);
    let edits: [Edit; 3] = [
        |mail| mail.commit.as_mut().unwrap().added.clear(),
        |mail| mail.commit.as_mut().unwrap().removed.push(RosterEntry { user: id(20), device: id(23) }),
        |mail| mail.sender_device = id(22),
    ];
    for edit in edits {
        let (mut ana, group) = together(&bo);
        let change = bo.mls().change(group, &[laptop.package()], &[], |_| Ok(())).unwrap();
        let mut mail = bo.commit(900, 3, 1, &change);
        edit(&mut mail);
        assert_eq!(ana.takes(&[&mail]), [AckOutcome::Unreadable]);
        assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(mail.sender_device))]);
        bo.mls().forget(group).unwrap();
    }
    // So is a Welcome.
    let edits: [Edit; 2] = [
        |mail| mail.commit.as_mut().unwrap().added.push(RosterEntry { user: id(20), device: id(23) }),
        |mail| mail.sender_device = id(22),
    ];
    for edit in edits {
        let (mut ana, group) = together(&bo);
        bo.mls().forget(group).unwrap();
        let begun = bo.begins(GroupId([7; 16]), &[package_of(&mut ana)]);
        let mut mail = bo.welcome(900, 3, 1, &begun);
        edit(&mut mail);
        assert_eq!(ana.takes(&[&mail]), [AckOutcome::Unreadable]);
        assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(mail.sender_device))]);
        bo.mls().forget(GroupId([7; 16])).unwrap();
    }
}

#[test]
fn a_commit_that_nobody_can_follow_is_told_and_the_group_begun_anew() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    let change = bo.mls().change(group, &[], &[], |_| Ok(())).unwrap();
    let mail = Envelope { body: Bytes::from_static(b"garbage"), ..bo.commit(900, 3, 1, &change) };
    assert_eq!(ana.takes(&[&mail]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForgedChange, Some(id(21)))]);
    let command = Command::SendText { conversation: with(id(20)), message: id(901), text: "all the same".into() };
    let step = ana.handle(vec![Input::Command(CommandId(1), command)]);
    let frames = ana.frames(&step);
    assert!(frames.iter().any(|frame| matches!(frame, ClientFrame::Claim(claim) if claim.anew)), "{frames:?}");
}

/// A node shows two devices different changes at one epoch: what one says in its past the other cannot read.
#[test]
fn another_past_is_told() {
    let bo = Other::new(20, 21);
    let (mut ana, group) = together(&bo);
    bo.mls().forget(group).unwrap();
    let packages = [Other::new(10, 12).package()];
    bo.begins(group, &packages);
    let mail = bo.mail(900, 3, 1, bo.says(group, 900, with(id(20)), text("elsewhere")));
    assert_eq!(ana.takes(&[&mail]), [AckOutcome::Unreadable]);
    assert_eq!(ana.told(), [(SecurityEventKind::ForkedConversation, Some(id(21)))]);
}
