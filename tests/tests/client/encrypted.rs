//! Conversations that the node cannot read: what people see of them is what they see of any.

use chasqui::{Message, MessageState, Protection};

use crate::stage::{Device, Pair, Relay, text};

#[tokio::test(flavor = "multi_thread")]
async fn both_begin_at_once_and_see_the_same() {
    let relay = Relay::start().await;
    let (ana, bo) = tokio::join!(Device::registered(&relay, "ana"), Device::registered(&relay, "bo"));
    let (to_bo, to_ana) = (bo.user().await, ana.user().await);
    let (chat, same) = tokio::join!(ana.open_direct(to_bo), bo.open_direct(to_ana));
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
    let order = async |device: &Device| {
        let messages = device.messages(chat).await;
        messages.iter().map(|message| (message.seq, message.id, text(message))).collect::<Vec<_>>()
    };
    assert_eq!(order(&ana).await, order(&bo).await, "one order");
    for name in ["ana", "bo"] {
        let texts = ana.texts(chat).await.into_iter().filter(|text| text.starts_with(name));
        assert_eq!(texts.collect::<Vec<_>>(), (0..20).map(|number| format!("{name} {number}")).collect::<Vec<_>>());
    }
    assert_eq!(ana.conversation(chat).await.unwrap().unwrap().protection, Protection::EndToEnd);
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_sent_received_read_across_restarts() {
    let Pair { mut relay, mut ana, mut bo, chat } = Pair::in_secret().await;
    let is = |id, wanted| move |messages: &[&Message]| messages.iter().any(|it| it.id == id && it.state == wanted);
    ana.send_text(chat, "the first").await.unwrap();
    bo.gets(chat, "the first").await;
    bo.close().await.unwrap();
    relay.stop().await;
    let message = ana.send_text(chat, "hola").await.unwrap();
    ana.until(chat, "pending", is(message, MessageState::Pending)).await;
    // What was encrypted, and what was not yet, outlives the process.
    ana.reopen(&relay).await;
    relay.start_again().await;
    ana.network_up();
    ana.until(chat, "sent", is(message, MessageState::Sent)).await;
    bo.reopen(&relay).await;
    bo.gets(chat, "hola").await;
    ana.until(chat, "received", is(message, MessageState::Received)).await;
    bo.mark_read(chat, None).await.unwrap();
    ana.until(chat, "read", is(message, MessageState::Read)).await;
    assert_eq!(bo.texts(chat).await, ["the first", "hola"]);
}

/// Whoever writes to somebody who has just signed up need not know how far that has come.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_somebody_who_is_not_ready() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::in_secret().await;
    bo.online().await;
    bo.suspend().await.unwrap();
    ana.send_text(chat, "early").await.unwrap();
    bo.resume().await.unwrap();
    bo.gets(chat, "early").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_to_oneself_need_nobody_else() {
    let Pair { relay: _relay, ana, .. } = Pair::in_secret().await;
    let notes = ana.open_direct(ana.user().await).await.unwrap();
    let note = ana.send_text(notes, "milk").await.unwrap();
    ana.until(notes, "the note to be sent", |messages| {
        messages.iter().any(|it| it.id == note && it.state == MessageState::Sent)
    })
    .await;
}

/// The longest text that is taken is also carried.
#[tokio::test(flavor = "multi_thread")]
async fn texts_up_to_the_limit_arrive() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::in_secret().await;
    ana.online().await;
    let mut longest = None;
    for length in (64_000..=66_000).rev() {
        match ana.send_text(chat, "x".repeat(length)).await {
            Ok(_) => {
                longest = Some(length);
                break;
            }
            Err(chasqui::Error::TooLarge { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let longest = "x".repeat(longest.expect("some length is taken"));
    bo.gets(chat, &longest).await;
    assert_eq!(bo.search("xxx", 5).await.unwrap().len(), 1);
}
