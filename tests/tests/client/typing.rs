//! Who is typing: seen while it happens, by those who know each other.

use std::time::Duration;

use chasqui::{ConversationId, Error, ErrorCode, Failure, Message, MessageState, Typing};

use crate::identity::has_history;
use crate::stage::{Device, Pair, Relay, link, within};

/// Waits until the device sees exactly these people typing there.
async fn sees(device: &Device, what: &str, wanted: &[Typing]) {
    let mut lists = device.observe_typing();
    within(what, async { while lists.next().await.unwrap() != wanted {} }).await;
    assert_eq!(device.typing(), wanted, "{what}");
}

/// As an app does, key by key, until it is seen: a signal may be lost, and is said again.
async fn types_until(device: &Device, chat: ConversationId, seen: impl Future<Output = ()>) {
    let keys = async {
        let mut keys = tokio::time::interval(Duration::from_millis(100));
        loop {
            keys.tick().await;
            device.set_typing(chat, true).await.unwrap();
        }
    };
    tokio::select! {
        () = seen => {}
        () = keys => {}
    }
}

/// Both have said something, and heard of it.
async fn talk(pair: &Pair) {
    let Pair { ana, bo, chat, .. } = pair;
    ana.online().await;
    bo.online().await;
    for (from, to, text) in [(ana, bo, "hello"), (bo, ana, "hello yourself")] {
        from.send_text(*chat, text).await.unwrap();
        to.gets(*chat, text).await;
    }
}

/// Shows and ends: by a word, by a message, by itself, and with the connection.
async fn shows_and_ends(pair: &Pair) {
    let Pair { ana, bo, chat, .. } = pair;
    talk(pair).await;
    let anas = [Typing { conversation: *chat, user: ana.user().await }];
    types_until(ana, *chat, sees(bo, "Ana to type", &anas)).await;
    assert_eq!(ana.typing(), [], "one does not see oneself");
    ana.set_typing(*chat, false).await.unwrap();
    sees(bo, "Ana to stop", &[]).await;

    types_until(ana, *chat, sees(bo, "Ana to type again", &anas)).await;
    ana.send_text(*chat, "what I typed").await.unwrap();
    sees(bo, "the message in its place", &[]).await;
    bo.gets(*chat, "what I typed").await;

    types_until(ana, *chat, sees(bo, "Ana to type once more", &anas)).await;
    // Nobody says that it ended.
    sees(bo, "it to end by itself", &[]).await;

    let bos = [Typing { conversation: *chat, user: bo.user().await }];
    types_until(bo, *chat, sees(ana, "Bo to type", &bos)).await;
    ana.suspend().await.unwrap();
    sees(ana, "nothing without a connection", &[]).await;
    assert_eq!(ana.set_typing(*chat, true).await, Err(Error::Suspended));
    ana.resume().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_shows_and_ends() {
    shows_and_ends(&Pair::meet().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_shows_and_ends_where_nobody_else_can_read_it() {
    let pair = Pair::in_secret().await;
    shows_and_ends(&pair).await;
    // A further device of Bo's is in the group with the next message, and sees it from then on.
    let Pair { relay, ana, bo, chat } = pair;
    let laptop = Device::logged_in(&relay, "bo").await;
    let anas = [Typing { conversation: chat, user: ana.user().await }];
    link(&bo, &laptop).await;
    has_history(&laptop).await;
    ana.send_text(chat, "to all of you").await.unwrap();
    laptop.gets(chat, "to all of you").await;
    bo.gets(chat, "to all of you").await;
    let both = async {
        tokio::join!(sees(&bo, "Ana to type", &anas), sees(&laptop, "Ana to type", &anas));
    };
    types_until(&ana, chat, both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_nothing_before_they_are_accepted() {
    let pair = Pair::at(Relay::configured(|config| config.request_messages = 1).await).await;
    let Pair { relay: _relay, ana, bo, chat } = &pair;
    ana.online().await;
    bo.online().await;
    ana.send_text(*chat, "hello").await.unwrap();
    bo.gets(*chat, "hello").await;
    bo.set_typing(*chat, true).await.unwrap();
    ana.set_typing(*chat, true).await.unwrap();
    // The relay has dealt with what came before on the same socket.
    let second = ana.send_text(*chat, "hello?").await.unwrap();
    let refused = MessageState::Failed(Failure::Refused(ErrorCode::RequestPending));
    let is_refused = |messages: &[&Message]| messages.iter().any(|it| it.id == second && it.state == refused);
    ana.until(*chat, "a refusal", is_refused).await;
    assert_eq!(ana.typing(), []);
    let answer = bo.send_text(*chat, "hello yourself").await.unwrap();
    let is_sent =
        |messages: &[&Message]| messages.iter().any(|it| it.id == answer && it.state != MessageState::Pending);
    bo.until(*chat, "the answer to be sent", is_sent).await;
    assert_eq!(bo.typing(), []);
    ana.gets(*chat, "hello yourself").await;

    let bos = [Typing { conversation: *chat, user: bo.user().await }];
    types_until(bo, *chat, sees(ana, "Bo to type", &bos)).await;
    let anas = [Typing { conversation: *chat, user: ana.user().await }];
    types_until(ana, *chat, sees(bo, "Ana to type", &anas)).await;
    let unknown = ConversationId::from_bytes([9; 16]);
    assert!(matches!(ana.set_typing(unknown, true).await, Err(Error::NotFound { .. })));
}
