//! Who people are: safety numbers, new identities, and what a device gets from another one or from a backup.

use chasqui::{AccountProof, Client, Config, Error, MessageState, SecurityEventKind, Trust};

use crate::stage::{Device, PASSWORD, Pair, Relay, link, text, within};

/// The next security event of that kind.
async fn event(device: &Device, kind: SecurityEventKind) -> chasqui::SecurityEvent {
    let mut events = device.observe_security_events(0);
    within("a security event", async {
        loop {
            let event = events.next().await.unwrap();
            if event.kind == kind {
                return event;
            }
        }
    })
    .await
}

/// Waits until everything that the device wrote was received.
async fn all_received(device: &Device, chat: chasqui::ConversationId) {
    let is_received = |state| matches!(state, MessageState::Received | MessageState::Read);
    device
        .until(chat, "all to be received", |messages| {
            messages.iter().filter(|shown| shown.is_own).all(|shown| is_received(shown.state))
        })
        .await;
}

/// Waits until all of another device's history is here.
pub(super) async fn has_history(device: &Device) {
    let mut transfer = device.observe_history_transfer();
    within("the history", async { while transfer.next().await.unwrap().is_some() {} }).await;
}

#[tokio::test]
async fn both_sides_compare_the_same_number() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::in_secret().await;
    let (ana_id, bo_id) = (ana.user().await, bo.user().await);
    let (here, there) = (ana.safety_number(bo_id).await.unwrap(), bo.safety_number(ana_id).await.unwrap());
    assert_eq!(here.digits, there.digits);
    assert_eq!((here.trust, here.changed_at), (Trust::Unverified, None));
    assert_eq!(ana.verify(bo_id, &there.scannable).await, Ok(true));
    assert_eq!(ana.safety_number(bo_id).await.unwrap().trust, Trust::Verified);
    assert_eq!(ana.conversation(chat).await.unwrap().unwrap().peer_trust, Trust::Verified);
    // Whoever scans the own code has compared nothing.
    assert_eq!(bo.verify(ana_id, &there.scannable).await, Ok(false));
    assert_eq!(bo.safety_number(ana_id).await.unwrap().trust, Trust::Unverified);
    assert!(matches!(bo.verify(ana_id, "https://example.org").await, Err(Error::Invalid { .. })));
    assert!(matches!(bo.safety_number(bo_id).await, Err(Error::Invalid { .. })));
    ana.set_verified(bo_id, false).await.unwrap();
    assert_eq!(ana.safety_number(bo_id).await.unwrap().trust, Trust::Unverified);
}

#[tokio::test]
async fn what_people_compared_on_one_device_the_others_know() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    let (ana_id, bo_id) = (ana.user().await, bo.user().await);
    let laptop = Device::logged_in(&relay, "ana").await;
    link(&ana, &laptop).await;
    has_history(&laptop).await;
    assert_eq!(laptop.conversation(chat).await.unwrap().unwrap().peer_trust, Trust::Unverified);
    let shown = bo.safety_number(ana_id).await.unwrap().scannable;
    assert_eq!(ana.verify(bo_id, &shown).await, Ok(true));
    trusts(&laptop, bo_id, Trust::Verified).await;
    laptop.set_verified(bo_id, false).await.unwrap();
    trusts(&ana, bo_id, Trust::Unverified).await;
    // Nobody else hears of it, and nobody is shown that devices talk.
    assert_eq!(bo.safety_number(ana_id).await.unwrap().trust, Trust::Unverified);
    assert!(bo.security_events(0, 10).await.unwrap().is_empty());
    assert!(ana.conversations(10).await.unwrap().iter().all(|line| line.peer == Some(bo_id)));
}

/// Waits until the device thinks so of somebody.
async fn trusts(device: &Device, user: chasqui::UserId, trust: Trust) {
    let mut changes = device.observe_conversations(10);
    within("another trust", async {
        while device.safety_number(user).await.unwrap().trust != trust {
            changes.next().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_further_device_changes_no_safety_number() {
    let Pair { relay, ana, bo, chat: _ } = Pair::in_secret().await;
    let before = bo.safety_number(ana.user().await).await.unwrap();
    let laptop = Device::logged_in(&relay, "ana").await;
    assert_eq!(laptop.safety_number(bo.user().await).await, Err(Error::NotLinked));
    link(&ana, &laptop).await;
    assert_eq!(laptop.safety_number(bo.user().await).await.unwrap().digits, before.digits);
}

#[tokio::test]
async fn a_linked_device_gets_the_history() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    for number in 0..30 {
        let (from, to) = if number % 2 == 0 { (&ana, &bo) } else { (&bo, &ana) };
        from.send_text(chat, format!("old {number}")).await.unwrap();
        to.gets(chat, &format!("old {number}")).await;
    }
    let long = "x".repeat(60_000);
    for _ in 0..6 {
        ana.send_text(chat, long.clone()).await.unwrap();
    }
    ana.mark_read(chat, None).await.unwrap();
    all_received(&ana, chat).await;
    let laptop = Device::logged_in(&relay, "ana").await;
    link(&ana, &laptop).await;
    bo.send_text(chat, "new").await.unwrap();
    laptop.gets(chat, "new").await;
    has_history(&laptop).await;
    ana.gets(chat, "new").await;
    assert_eq!(laptop.texts(chat).await, ana.texts(chat).await);
    // With what became of it, and what was read.
    let (here, there) = (ana.messages(chat).await, laptop.messages(chat).await);
    let shown = |messages: &[chasqui::Message]| {
        messages.iter().map(|shown| (shown.id, shown.seq, shown.created_at, shown.accepted_at)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&here), shown(&there));
    let old = |messages: &[chasqui::Message]| messages[..36].iter().map(|shown| shown.state).collect::<Vec<_>>();
    assert_eq!(old(&here), old(&there));
    let unread = |device: &Device| device.client.clone();
    let (here, there) = (unread(&ana).conversation(chat).await, unread(&laptop).conversation(chat).await);
    assert_eq!(here.unwrap().unwrap().unread, there.unwrap().unwrap().unread);
    assert_eq!(laptop.search("old 17", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_has_lost_everything_makes_a_new_identity_and_goes_on() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    let (ana_id, bo_id) = (ana.user().await, bo.user().await);
    let number = bo.safety_number(ana_id).await.unwrap();
    // The telephone lies in the river; nobody revokes it.
    ana.suspend().await.unwrap();
    let new = Device::logged_in(&relay, "ana").await;
    assert!(!new.account().await.unwrap().unwrap().is_linked);
    let proved = new.reset_identity(AccountProof::password("wrong")).await;
    assert_eq!(proved, Err(Error::ProofNeeded));
    new.reset_identity(AccountProof::password(PASSWORD)).await.unwrap();
    assert!(new.account().await.unwrap().unwrap().is_linked);
    assert_eq!(new.open_direct(bo_id).await.unwrap(), chat);
    new.send_text(chat, "it is me").await.unwrap();
    bo.gets(chat, "it is me").await;
    let changed = event(&bo, SecurityEventKind::IdentityChanged).await;
    assert_eq!((changed.user, changed.conversation), (Some(ana_id), Some(chat)));
    let after = bo.safety_number(ana_id).await.unwrap();
    assert_ne!(after.digits, number.digits);
    assert_eq!(after.trust, Trust::Unverified);
    assert!(after.changed_at.is_some());
    assert_eq!(after.digits, new.safety_number(bo_id).await.unwrap().digits);
    bo.send_text(chat, "so it is").await.unwrap();
    new.gets(chat, "so it is").await;
    // Bo was shown everything, and no "unable to decrypt".
    assert_eq!(bo.texts(chat).await, ["before", "it is me", "so it is"]);

    // The telephone is found. It is not linked any more, and says so.
    ana.resume().await.unwrap();
    event(&ana, SecurityEventKind::OwnIdentityReplaced).await;
    assert!(!ana.account().await.unwrap().unwrap().is_linked);
    assert_eq!(ana.send_text(chat, "no").await, Err(Error::NotLinked));
    link(&new, &ana).await;
    ana.send_text(chat, "found").await.unwrap();
    bo.gets(chat, "found").await;
    new.gets(chat, "found").await;
    // What was said in the meantime comes from the other device.
    has_history(&ana).await;
    assert_eq!(ana.texts(chat).await, ["before", "it is me", "so it is", "found"]);
}

#[tokio::test]
async fn to_whom_somebody_verified_nothing_is_sent_under_another_identity_before_they_say_so() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    let (ana_id, bo_id) = (ana.user().await, bo.user().await);
    bo.verify(ana_id, &ana.safety_number(bo_id).await.unwrap().scannable).await.unwrap();
    ana.suspend().await.unwrap();
    let new = Device::logged_in(&relay, "ana").await;
    new.reset_identity(AccountProof::password(PASSWORD)).await.unwrap();
    new.open_direct(bo_id).await.unwrap();
    new.send_text(chat, "it is me").await.unwrap();
    bo.gets(chat, "it is me").await;
    assert_eq!(bo.conversation(chat).await.unwrap().unwrap().peer_trust, Trust::Changed);
    let message = bo.send_text(chat, "is it?").await.unwrap();
    new.send_text(chat, "yes").await.unwrap();
    bo.gets(chat, "yes").await;
    assert_eq!(bo.message(message).await.unwrap().unwrap().state, MessageState::Pending);
    bo.set_verified(ana_id, false).await.unwrap();
    new.gets(chat, "is it?").await;
    assert_eq!(bo.conversation(chat).await.unwrap().unwrap().peer_trust, Trust::Unverified);
}

#[tokio::test]
async fn a_backup_brings_everything_back() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    for number in 0..20 {
        let (from, to) = if number % 2 == 0 { (&ana, &bo) } else { (&bo, &ana) };
        from.send_text(chat, format!("old {number}")).await.unwrap();
        to.gets(chat, &format!("old {number}")).await;
    }
    let (ana_id, bo_id) = (ana.user().await, bo.user().await);
    ana.set_verified(bo_id, true).await.unwrap();
    let number = bo.safety_number(ana_id).await.unwrap();
    all_received(&ana, chat).await;
    let phrase = Client::new_recovery_phrase().unwrap();
    let backup = ana.back_up(Vec::new(), &phrase).await.unwrap();
    let texts = ana.texts(chat).await;
    for text in &texts {
        assert!(!backup.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "sealed");
    }
    // What came after it is not in it, and the relay has forgotten it: it was confirmed.
    bo.send_text(chat, "after the backup").await.unwrap();
    ana.gets(chat, "after the backup").await;
    drop(ana);

    let new = Device::blank(&relay.url()).await;
    let other = Client::new_recovery_phrase().unwrap();
    assert_eq!(new.restore(backup.as_slice(), &other).await, Err(Error::WrongPhrase));
    assert_eq!(new.restore(backup.as_slice(), "12345").await, Err(Error::WrongPhrase));
    let cut = new.restore(&backup[..backup.len() - 1], &phrase).await;
    assert!(matches!(cut, Err(Error::Invalid { .. })), "{cut:?}");
    new.restore(backup.as_slice(), &phrase).await.unwrap();
    new.restore(backup.as_slice(), &phrase).await.unwrap();
    assert_eq!(new.texts(chat).await, texts, "before anybody logged in");
    let stranger = new.login("bo", PASSWORD, "phone").await;
    assert!(matches!(stranger, Err(Error::Invalid { .. })), "{stranger:?}");
    let account = new.login("ana", PASSWORD, "phone").await.unwrap();
    assert!(account.is_linked);
    new.send_text(chat, "back").await.unwrap();
    bo.gets(chat, "back").await;
    bo.send_text(chat, "welcome back").await.unwrap();
    new.gets(chat, "welcome back").await;
    // Bo's next word names it, so it is asked for.
    let all: Vec<String> = [texts, ["after the backup", "back", "welcome back"].map(str::to_owned).to_vec()].concat();
    let are_all = |shown: &[&chasqui::Message]| shown.iter().map(|message| text(message)).eq(all.iter().cloned());
    new.until(chat, "all that was said", are_all).await;
    // Nobody had to be told anything.
    assert_eq!(bo.safety_number(ana_id).await.unwrap().digits, number.digits);
    assert!(bo.security_events(0, 10).await.unwrap().is_empty());
    assert_eq!(new.safety_number(bo_id).await.unwrap().trust, Trust::Verified);
    // An older backup over what is newer changes nothing.
    new.restore(backup.as_slice(), &phrase).await.unwrap();
    assert_eq!(new.texts(chat).await, all);
    bo.send_text(chat, "still here").await.unwrap();
    new.gets(chat, "still here").await;
}

#[tokio::test]
async fn a_backup_has_the_identity_also_of_who_logged_out() {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    ana.online().await;
    let phrase = Client::new_recovery_phrase().unwrap();
    ana.logout().await.unwrap();
    let backup = ana.back_up(Vec::new(), &phrase).await.unwrap();
    let new = Device::blank(&relay.url()).await;
    new.restore(backup.as_slice(), &phrase).await.unwrap();
    assert!(new.login("ana", PASSWORD, "phone").await.unwrap().is_linked);
}

#[tokio::test]
async fn an_older_backup_verifies_nobody_again() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "hello").await.unwrap();
    bo.gets(chat, "hello").await;
    let bo_id = bo.user().await;
    ana.set_verified(bo_id, true).await.unwrap();
    let phrase = Client::new_recovery_phrase().unwrap();
    let backup = ana.back_up(Vec::new(), &phrase).await.unwrap();
    ana.set_verified(bo_id, false).await.unwrap();
    ana.restore(backup.as_slice(), &phrase).await.unwrap();
    assert_eq!(ana.safety_number(bo_id).await.unwrap().trust, Trust::Unverified, "that was taken back");
}

#[tokio::test]
async fn a_backup_is_nobody_elses() {
    let Pair { relay: _relay, ana, bo, chat: _ } = Pair::in_secret().await;
    let phrase = Client::new_recovery_phrase().unwrap();
    let backup = ana.back_up(Vec::new(), &phrase).await.unwrap();
    let restored = bo.restore(backup.as_slice(), &phrase).await;
    assert!(matches!(restored, Err(Error::Invalid { .. })), "{restored:?}");
    let folder = tempfile::tempdir().unwrap();
    let nobody = Client::open(Config::new(folder.path(), "http://127.0.0.1:1")).await.unwrap();
    assert_eq!(nobody.back_up(Vec::new(), &phrase).await.map(drop), Err(Error::NotEnrolled));
    assert_eq!(nobody.back_up(Vec::new(), "no phrase").await.map(drop), Err(Error::WrongPhrase));
}

#[tokio::test]
async fn what_was_written_before_is_not_given_to_a_later_identity() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    bo.open_direct(ana.user().await).await.unwrap();
    let old = bo.send_text(chat, "for the old one").await.unwrap();
    ana.gets(chat, "for the old one").await;
    all_received(&bo, chat).await;
    ana.suspend().await.unwrap();
    let new = Device::logged_in(&relay, "ana").await;
    new.reset_identity(AccountProof::password(PASSWORD)).await.unwrap();
    new.open_direct(bo.user().await).await.unwrap();
    new.send_text(chat, "new").await.unwrap();
    bo.gets(chat, "new").await;
    // Whoever has the new identity asks for the old message: a placeholder of it is all that it takes.
    new.client.close().await.unwrap();
    let history = rusqlite::Connection::open(new.folder.path().join("history.db")).unwrap();
    let sql = "INSERT INTO message (conversation, message, anchor, place, seq, sender, sender_device, incoming, kind, state,
                   created_at, accepted_at, body)
               SELECT conversation.id, ?1, 2, 0, 2, ?2, ?3, 1, 2, 1, 0, 0, x'00' FROM conversation WHERE conversation = ?4";
    let message = bo.message(old).await.unwrap().unwrap();
    let parameters = (old.as_bytes(), message.sender.as_bytes(), message.sender_device.as_bytes(), chat.as_bytes());
    assert_eq!(history.execute(sql, parameters).unwrap(), 1);
    history.execute("INSERT INTO recovery (message, ask_at) VALUES (last_insert_rowid(), 0)", []).unwrap();
    drop(history);
    let client = Client::open(Config::new(new.folder.path(), relay.url())).await.unwrap();
    let new = Device { client, folder: new.folder };
    // The request goes before what is written after it, and so would the answer.
    new.online().await;
    new.send_text(chat, "and?").await.unwrap();
    bo.gets(chat, "and?").await;
    bo.send_text(chat, "nothing").await.unwrap();
    new.until(chat, "the answer", |messages| {
        let said = |shown: &&chasqui::Message| shown.content == chasqui::MessageContent::Text("nothing".into());
        messages.iter().any(said)
    })
    .await;
    let shown = new.message(old).await.unwrap().unwrap();
    assert_eq!(shown.content, chasqui::MessageContent::Unreadable);
}

#[tokio::test]
async fn what_changed_while_people_compared_is_not_verified() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    let ana_id = ana.user().await;
    bo.safety_number(ana_id).await.unwrap();
    ana.suspend().await.unwrap();
    let new = Device::logged_in(&relay, "ana").await;
    new.reset_identity(AccountProof::password(PASSWORD)).await.unwrap();
    new.open_direct(bo.user().await).await.unwrap();
    new.send_text(chat, "it is me").await.unwrap();
    bo.gets(chat, "it is me").await;
    let verified = bo.set_verified(ana_id, true).await;
    assert!(matches!(verified, Err(Error::Invalid { .. })), "{verified:?}");
    bo.safety_number(ana_id).await.unwrap();
    bo.set_verified(ana_id, true).await.unwrap();
}
