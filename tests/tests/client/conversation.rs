//! Two people talk: order, receipts, unread counts, read marks, offline, deletion.

use chasqui::{Delivery, Error, ErrorCode, Failure, Message, MessageId, MessageState, Undelivered, UserId};

use crate::stage::{Device, PASSWORD, Pair, Relay, text};

/// How far a message may only get further.
fn rank(state: MessageState) -> u8 {
    match state {
        MessageState::Pending => 0,
        MessageState::Sent => 1,
        MessageState::Received => 2,
        MessageState::Read => 3,
        MessageState::Undelivered(_) | MessageState::Failed(_) => panic!("not {state:?}"),
    }
}

async fn until_state(device: &Device, message: &Message, state: MessageState) {
    let (id, mut last) = (message.id, message.state);
    let arrives = |messages: &[&Message]| {
        let now = messages.iter().find(|message| message.id == id).expect("stays").state;
        assert!(rank(now) >= rank(last), "{last:?} went back to {now:?}");
        last = now;
        now == state
    };
    device.until(message.conversation, &format!("the message to be {state:?}"), arrives).await;
}

async fn sent(device: &Device, chat: chasqui::ConversationId, words: &str) -> Message {
    let id = device.send_text(chat, words).await.unwrap();
    device.message(id).await.unwrap().expect("is in the history when the call returns")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_begin_at_once_and_see_the_same() {
    let relay = Relay::start().await;
    let (ana, bo) = tokio::join!(Device::registered(&relay, "ana"), Device::registered(&relay, "bo"));
    let (to_bo, to_ana) = (ana.find_user("bo").await.unwrap().user, bo.find_user("ana").await.unwrap().user);
    let (chat, same) = tokio::join!(ana.open_readable(to_bo), bo.open_readable(to_ana));
    let chat = chat.unwrap();
    assert_eq!(Ok(chat), same);
    let say = async |who: &Device, name: &str| {
        for number in 0..20 {
            who.send_text(chat, format!("{name} {number}")).await.unwrap();
        }
    };
    tokio::join!(say(&ana, "ana"), say(&bo, "bo"));
    for device in [&ana, &bo] {
        let all_arrived = |messages: &[&Message]| {
            messages.len() == 40 && messages.iter().all(|message| message.state == MessageState::Received)
        };
        device.until(chat, "40 received messages", all_arrived).await;
    }
    let (of_ana, of_bo) = (ana.messages(chat).await, bo.messages(chat).await);
    let order = |messages: &[Message]| messages.iter().map(|message| (message.seq, message.id)).collect::<Vec<_>>();
    assert_eq!(order(&of_ana), order(&of_bo), "one order");
    let numbers: Vec<u64> = of_ana.iter().map(|message| message.seq.expect("accepted").number()).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>(), "without holes");
    for name in ["ana", "bo"] {
        let texts = of_ana.iter().map(text).filter(|text| text.starts_with(name));
        assert_eq!(texts.collect::<Vec<_>>(), (0..20).map(|number| format!("{name} {number}")).collect::<Vec<_>>());
    }
    let line = ana.conversation(chat).await.unwrap().expect("listed");
    assert_eq!((line.peer, line.peer_name.as_deref()), (Some(to_bo), Some("bo")));
    assert_eq!(line.last_message.as_ref(), of_ana.last());
}

/// As an app does whose first call was cut off, and which cannot know how far it got.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_under_its_id_is_sent_once() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    let id = |number: u8| MessageId::from_bytes([number; 16]);
    for number in [1, 1, 2, 1, 3, 2] {
        ana.send_text_as(id(number), chat, format!("text {number}")).await.unwrap();
    }
    bo.until(chat, "three messages", |messages| messages.len() == 3).await;
    ana.send_text_as(id(2), chat, "text 2").await.unwrap();
    let marker = ana.send_text(chat, "the end").await.unwrap();
    let is_last = |messages: &[&Message]| messages.last().is_some_and(|message| message.id == marker);
    bo.until(chat, "the end", is_last).await;
    for device in [&ana, &bo] {
        let ids: Vec<MessageId> = device.messages(chat).await.iter().map(|message| message.id).collect();
        assert_eq!(ids, [id(1), id(2), id(3), marker]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_sent_received_read() {
    let Pair { mut relay, ana, mut bo, chat } = Pair::meet().await;
    let (to_ana, to_bo) = (ana.user().await, bo.user().await);
    bo.online().await;
    bo.close().await.unwrap();
    relay.stop().await;
    let message = sent(&ana, chat, "hola").await;
    assert_eq!((message.state, message.seq, message.accepted_at), (MessageState::Pending, None, None));
    assert_eq!((message.is_own, message.sender, message.deliveries.len()), (true, to_ana, 0));

    relay.start_again().await;
    ana.network_up();
    until_state(&ana, &message, MessageState::Sent).await;
    let message = ana.message(message.id).await.unwrap().unwrap();
    assert_eq!(message.seq.map(|seq| seq.number()), Some(1));
    assert!(message.accepted_at.is_some());
    let nothing_yet = Delivery { user: to_bo, received_at: None, read_at: None, undelivered: None };
    assert_eq!(message.deliveries, [nothing_yet]);

    bo.reopen(&relay).await;
    until_state(&ana, &message, MessageState::Received).await;
    let message = ana.message(message.id).await.unwrap().unwrap();
    let received_at = message.deliveries[0].received_at.expect("the node's word");
    assert!(received_at >= message.accepted_at.unwrap());
    assert_eq!(message.deliveries[0].read_at, None);
    let arrived = &bo.messages(chat).await[0];
    assert_eq!((arrived.id, arrived.seq, arrived.created_at), (message.id, message.seq, message.created_at));
    assert_eq!((arrived.is_own, arrived.sender, arrived.state), (false, to_ana, MessageState::Received));

    bo.mark_read(chat, None).await.unwrap();
    until_state(&ana, &message, MessageState::Read).await;
    let message = ana.message(message.id).await.unwrap().unwrap();
    let delivery = &message.deliveries[0];
    assert_eq!((delivery.received_at, delivery.undelivered), (Some(received_at), None));
    assert!(delivery.read_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_is_counted_and_read_everywhere() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    let cleo = Device::registered(&relay, "cleo").await;
    let other = cleo.open_readable(bo.user().await).await.unwrap();
    for number in 1..=5 {
        ana.send_text(chat, format!("{number}")).await.unwrap();
    }
    cleo.send_text(other, "hi").await.unwrap();
    let unread_is = async |device: &Device, wanted: [u32; 2]| {
        let what = format!("{wanted:?} unread");
        let of =
            |list: &[chasqui::ConversationSummary], id| list.iter().find(|line| line.id == id).map(|line| line.unread);
        device.until_listed(&what, |list| [of(list, chat), of(list, other)] == wanted.map(Some)).await;
        assert_eq!(device.total_unread().await.unwrap(), wanted.iter().sum::<u32>());
    };
    unread_is(&bo, [5, 1]).await;
    unread_is(&laptop, [5, 1]).await;

    // Up to the third, on the phone; the laptop follows.
    let third = bo.messages(chat).await[2].seq;
    bo.mark_read(chat, third).await.unwrap();
    unread_is(&bo, [2, 1]).await;
    unread_is(&laptop, [2, 1]).await;
    assert_eq!(laptop.conversation(chat).await.unwrap().unwrap().read_up_to, third);
    let states = |messages: &[&Message]| messages.iter().map(|message| message.state).collect::<Vec<_>>();
    let (read, got) = (MessageState::Read, MessageState::Received);
    ana.until(chat, "three to be read", |messages| states(messages) == [read, read, read, got, got]).await;

    // A mark never goes back.
    bo.mark_read(chat, bo.messages(chat).await[0].seq).await.unwrap();
    assert_eq!(bo.total_unread().await.unwrap(), 3);

    // The rest on the laptop; the phone follows.
    laptop.mark_read(chat, None).await.unwrap();
    unread_is(&bo, [0, 1]).await;
    ana.until(chat, "all to be read", |messages| messages.iter().all(|message| message.state == read)).await;
    assert_eq!(ana.total_unread().await.unwrap(), 0, "what oneself wrote is not unread");

    // What arrives later is unread again.
    ana.send_text(chat, "6").await.unwrap();
    unread_is(&laptop, [1, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_offline_goes_out_in_order() {
    let Pair { mut relay, mut ana, bo, chat } = Pair::meet().await;
    ana.send_text(chat, "0").await.unwrap();
    bo.gets(chat, "0").await;
    relay.stop().await;
    for number in 1..=30 {
        ana.send_text(chat, number.to_string()).await.unwrap();
    }
    assert_eq!(ana.find_user("bo").await.unwrap().user, bo.user().await, "people met before are found offline");
    assert!(matches!(ana.find_user("cleo").await, Err(Error::Offline { .. })));
    // The app is closed and started again before there is a network.
    ana.reopen(&relay).await;
    for number in 31..=60 {
        ana.send_text(chat, number.to_string()).await.unwrap();
    }
    let written: Vec<String> = (0..=60).map(|number| number.to_string()).collect();
    assert_eq!(ana.texts(chat).await, written);
    relay.start_again().await;
    ana.network_up();
    bo.network_up();
    bo.gets(chat, "60").await;
    assert_eq!(bo.texts(chat).await, written);
    assert_eq!(ana.texts(chat).await, written);
    ana.until(chat, "all received", |messages| messages.iter().all(|message| message.state == MessageState::Received))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_devices_see_what_was_sent_and_what_became_of_it() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let laptop = Device::logged_in(&relay, "ana").await;
    ana.send_text(chat, "from the phone").await.unwrap();
    laptop.gets(chat, "from the phone").await;
    let message = laptop.messages(chat).await.remove(0);
    assert!(message.is_own);
    assert_eq!(laptop.total_unread().await.unwrap(), 0);
    bo.gets(chat, "from the phone").await;
    bo.mark_read(chat, None).await.unwrap();
    until_state(&laptop, &message, MessageState::Read).await;
    until_state(&ana, &message, MessageState::Read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_to_oneself() {
    let relay = Relay::start().await;
    let phone = Device::registered(&relay, "ana").await;
    let laptop = Device::logged_in(&relay, "ana").await;
    let own = phone.user().await;
    let notes = phone.open_readable(own).await.unwrap();
    let message = sent(&phone, notes, "buy potatoes").await;
    until_state(&phone, &message, MessageState::Sent).await;
    laptop.gets(notes, "buy potatoes").await;
    assert_eq!(laptop.open_readable(own).await.unwrap(), notes);
    laptop.send_text(notes, "and maize").await.unwrap();
    phone.gets(notes, "and maize").await;
    for device in [&phone, &laptop] {
        assert_eq!(device.texts(notes).await, ["buy potatoes", "and maize"]);
        assert_eq!(device.total_unread().await.unwrap(), 0);
        assert_eq!(device.conversation(notes).await.unwrap().unwrap().peer, Some(own));
        assert!(device.messages(notes).await.iter().all(|message| message.is_own && message.deliveries.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_message_stays_away() {
    let Pair { mut relay, ana, mut bo, chat } = Pair::meet().await;
    for words in ["one", "two", "three"] {
        ana.send_text(chat, words).await.unwrap();
    }
    bo.gets(chat, "three").await;
    let two = bo.messages(chat).await[1].id;
    bo.delete(two).await.unwrap();
    assert_eq!(bo.texts(chat).await, ["one", "three"]);
    assert_eq!(bo.message(two).await.unwrap(), None);
    assert_eq!(bo.search("two", 10).await.unwrap(), []);
    assert_eq!(bo.total_unread().await.unwrap(), 2);
    assert_eq!(bo.delete(two).await, Err(Error::NotFound { what: "message" }));
    let three = bo.messages(chat).await[1].id;
    bo.delete(three).await.unwrap();
    let line = bo.conversation(chat).await.unwrap().unwrap();
    assert_eq!(line.last_message.as_ref().map(text), Some("one".to_owned()));

    // Not even on a device that starts again, and only there.
    bo.reopen(&relay).await;
    bo.online().await;
    assert_eq!(bo.texts(chat).await, ["one"]);
    assert_eq!(ana.texts(chat).await, ["one", "two", "three"]);
    bo.mark_read(chat, None).await.unwrap();
    let read = |messages: &[&Message]| messages[0].state == MessageState::Read;
    ana.until(chat, "the first to be read", read).await;
    assert_eq!(ana.messages(chat).await[1].state, MessageState::Received, "nobody says that what was deleted was read");

    relay.stop().await;
    let pending = sent(&ana, chat, "four").await;
    assert!(matches!(ana.delete(pending.id).await, Err(Error::Invalid { .. })), "it is on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_every_sort_and_size() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    assert!(matches!(ana.send_text(chat, "").await, Err(Error::Invalid { .. })));
    let size = match ana.send_text(chat, "x".repeat(70_000)).await {
        Err(Error::TooLarge { size, limit: 65_536 }) => size,
        other => panic!("{other:?}"),
    };
    assert!((70_000..71_000).contains(&size), "{size}");
    let unknown = "0190f5f0-0000-7000-8000-000000000001".parse().unwrap();
    assert_eq!(ana.send_text(unknown, "hi").await, Err(Error::NotFound { what: "conversation" }));
    assert_eq!(ana.texts(chat).await, [""; 0], "nothing of a refused text is kept");
    let texts = [
        " ".to_owned(),
        "two\nlines\u{0}and NUL".to_owned(),
        "👩🏽‍🚀 ñandú Übung 你好 สวัสดี \u{202e}right to left".to_owned(),
        "'; DROP TABLE message; --".to_owned(),
        "x".repeat(65_400),
        "界".repeat(21_800),
    ];
    for text in &texts {
        ana.send_text(chat, text.clone()).await.unwrap();
    }
    bo.until(chat, "all texts", |messages| messages.len() == texts.len()).await;
    assert_eq!(bo.texts(chat).await, texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_nobody_fails_alone() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    let nobody: UserId = "0190f5f0-0000-7000-8000-000000000001".parse().unwrap();
    let nowhere = ana.open_readable(nobody).await.unwrap();
    let lost = ana.send_text(nowhere, "anybody?").await.unwrap();
    let also = ana.send_text(nowhere, "hello?").await.unwrap();
    ana.send_text(chat, "hi").await.unwrap();
    bo.gets(chat, "hi").await;
    let failed = MessageState::Failed(Failure::Refused(ErrorCode::UnknownUser));
    let all_failed = |messages: &[&Message]| messages.iter().all(|message| message.state == failed);
    ana.until(nowhere, "both to fail", all_failed).await;
    assert_eq!(ana.texts(nowhere).await, ["anybody?", "hello?"]);
    ana.retry(lost).await.unwrap();
    ana.until(nowhere, "the retry to fail", all_failed).await;
    ana.delete(also).await.unwrap();
    let received = bo.messages(chat).await[0].id;
    ana.until(chat, "it to be received", |messages| messages[0].state == MessageState::Received).await;
    assert!(matches!(ana.retry(received).await, Err(Error::Invalid { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_can_be_sent_again() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    bo.logout().await.unwrap();
    let message = ana.send_text(chat, "are you there?").await.unwrap();
    let failed = MessageState::Failed(Failure::Refused(ErrorCode::Unreachable));
    ana.until(chat, "it to fail: Bo has no device", |messages| messages[0].state == failed).await;
    let laptop = Device::logged_in(&relay, "bo").await;
    ana.retry(message).await.unwrap();
    laptop.gets(chat, "are you there?").await;
    ana.until(chat, "it to be received", |messages| messages[0].state == MessageState::Received).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_author_is_told_when_the_last_device_is_gone() {
    let Pair { relay, ana, bo, chat } = Pair::meet().await;
    let phone = bo.account().await.unwrap().unwrap().device;
    bo.online().await;
    bo.close().await.unwrap();
    ana.send_text(chat, "for the phone only").await.unwrap();
    ana.until(chat, "it to be sent", |messages| messages[0].state == MessageState::Sent).await;
    let laptop = Device::blank(&relay.url()).await;
    laptop.login("bo", PASSWORD, "laptop").await.unwrap();
    laptop.revoke_device(phone).await.unwrap();
    let gone = MessageState::Undelivered(Undelivered::DeviceGone);
    ana.until(chat, "it to be undelivered", |messages| messages[0].state == gone).await;
    assert_eq!(ana.messages(chat).await[0].deliveries[0].undelivered, Some(Undelivered::DeviceGone));
    laptop.online().await;
    assert_eq!(laptop.texts(chat).await, [""; 0]);
}
