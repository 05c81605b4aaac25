//! Strangers write: what the recipient sees and says, and what they hear of it.

use chasqui::{ConversationId, ErrorCode, Failure, Message, MessageState};

use crate::stage::{Device, Pair, Relay, within};

const HAS_TO_WAIT: MessageState = MessageState::Failed(Failure::Refused(ErrorCode::RequestPending));

async fn strangers() -> Pair {
    Pair::at(Relay::configured(|config| config.request_messages = 1).await).await
}

async fn shows_request(device: &Device, chat: ConversationId) {
    let is_so = move |list: &[chasqui::ConversationSummary]| list.iter().any(|line| line.id == chat && line.is_request);
    device.until_listed("a request", is_so).await;
}

async fn shows_no_request(device: &Device, chat: ConversationId) {
    let is_so =
        move |list: &[chasqui::ConversationSummary]| list.iter().any(|line| line.id == chat && !line.is_request);
    device.until_listed("a conversation like others", is_so).await;
}

fn states(messages: &[&Message]) -> Vec<MessageState> {
    messages.iter().map(|message| message.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_on_one_device_offline_is_accepted_on_all_and_told() {
    let Pair { mut relay, ana, mut bo, chat } = strangers().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    laptop.online().await;
    ana.send_text(chat, "hello").await.unwrap();
    shows_request(&bo, chat).await;
    shows_request(&laptop, chat).await;
    bo.gets(chat, "hello").await;
    bo.mark_read(chat, None).await.unwrap();
    laptop.until_listed("read on the laptop too", |list| list[0].unread == 0).await;
    ana.send_text(chat, "hello?").await.unwrap();
    // Whatever Bo's devices had said would have come before the refusal.
    ana.until(chat, "a refusal", |messages| states(messages) == [MessageState::Sent, HAS_TO_WAIT]).await;

    relay.stop().await;
    bo.accept_request(chat).await.unwrap();
    bo.accept_request(chat).await.unwrap();
    shows_no_request(&bo, chat).await;
    bo.close().await.unwrap();
    relay.start_again().await;
    bo.client = chasqui::Client::open(chasqui::Config::new(bo.folder.path(), relay.url())).await.unwrap();
    for device in [&ana, &laptop] {
        device.network_up();
    }
    shows_no_request(&laptop, chat).await;
    ana.until(chat, "read", |messages| messages[0].state == MessageState::Read).await;
    let waited = ana.messages(chat).await.last().unwrap().id;
    ana.retry(waited).await.unwrap();
    bo.gets(chat, "hello?").await;
    ana.until(chat, "received", |messages| messages[1].state == MessageState::Received).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answering_accepts() {
    let Pair { relay: _relay, ana, bo, chat } = strangers().await;
    ana.send_text(chat, "hello").await.unwrap();
    shows_request(&bo, chat).await;
    assert_eq!(bo.total_unread().await.unwrap(), 0, "requests do not count");
    bo.send_text(chat, "hello yourself").await.unwrap();
    shows_no_request(&bo, chat).await;
    ana.gets(chat, "hello yourself").await;
    shows_no_request(&ana, chat).await;
    ana.until(chat, "received", |messages| messages[0].state == MessageState::Received).await;
    ana.send_text(chat, "how are you?").await.unwrap();
    bo.gets(chat, "how are you?").await;
    bo.until_listed("unread", |list| list[0].unread == 2).await;
}

/// What was read on one device is told when one answers that never had it.
#[tokio::test(flavor = "multi_thread")]
async fn who_writes_without_knowing_of_the_request_accepts_it() {
    let Pair { relay, ana, bo, chat } = strangers().await;
    ana.send_text(chat, "hello").await.unwrap();
    shows_request(&bo, chat).await;
    bo.mark_read(chat, None).await.unwrap();
    let laptop = Device::logged_in(&relay, "bo").await;
    laptop.online().await;
    laptop.open_readable(ana.user().await).await.unwrap();
    laptop.send_text(chat, "do we know each other?").await.unwrap();
    shows_no_request(&bo, chat).await;
    ana.until(chat, "read", |messages| messages[0].state == MessageState::Read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_is_gone_everywhere_and_may_be_asked_again_but_blocked_is_final() {
    let Pair { relay, ana, bo, chat } = strangers().await;
    let laptop = Device::logged_in(&relay, "bo").await;
    laptop.online().await;
    ana.send_text(chat, "buy this").await.unwrap();
    shows_request(&laptop, chat).await;
    shows_request(&bo, chat).await;
    bo.decline_request(chat, false).await.unwrap();
    assert_eq!(bo.conversations(10).await.unwrap(), []);
    laptop.until_listed("the request to go", |list| list.is_empty()).await;
    for device in [&bo, &laptop] {
        assert_eq!(device.texts(chat).await, [""; 0]);
        assert_eq!(device.search("buy", 10).await.unwrap(), []);
    }
    ana.send_text(chat, "buy that").await.unwrap();
    shows_request(&laptop, chat).await;
    laptop.decline_request(chat, true).await.unwrap();
    bo.until_listed("the request to go", |list| list.is_empty()).await;
    ana.send_text(chat, "buy!").await.unwrap();
    ana.until(chat, "a refusal", |messages| states(messages) == [MessageState::Sent, MessageState::Sent, HAS_TO_WAIT])
        .await;

    // A change of mind.
    let again = bo.open_readable(ana.user().await).await.unwrap();
    assert_eq!(again, chat);
    bo.send_text(chat, "well?").await.unwrap();
    ana.gets(chat, "well?").await;
    shows_no_request(&laptop, chat).await;
    ana.send_text(chat, "never mind").await.unwrap();
    bo.gets(chat, "never mind").await;
    assert!(matches!(bo.decline_request(chat, true).await, Err(chasqui::Error::Invalid { .. })), "it is no request");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to)
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_a_restored_node_forgot_is_said_again() {
    let Pair { mut relay, ana, bo, chat } = strangers().await;
    ana.send_text(chat, "hello").await.unwrap();
    shows_request(&bo, chat).await;
    relay.stop().await;
    let older = tempfile::tempdir().unwrap();
    copy(relay.folder(), older.path());
    relay.start_again().await;
    bo.network_up();
    bo.accept_request(chat).await.unwrap();
    ana.network_up();
    ana.until(chat, "received", |messages| messages[0].state == MessageState::Received).await;
    relay.stop().await;
    for entry in std::fs::read_dir(relay.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    copy(older.path(), relay.folder());
    relay.start_again().await;
    ana.network_up();
    bo.network_up();
    ana.send_text(chat, "and again").await.unwrap();
    // Until Bo's device is back, the node takes Ana for a stranger.
    let taken = async {
        let mut answered = MessageState::Pending;
        while answered != MessageState::Received {
            ana.until(chat, "an answer", |messages| {
                answered = messages[1].state;
                matches!(answered, MessageState::Received | HAS_TO_WAIT)
            })
            .await;
            if answered == HAS_TO_WAIT {
                let waits = ana.messages(chat).await[1].id;
                ana.retry(waits).await.unwrap();
            }
        }
    };
    within("Ana to be welcome again", taken).await;
    assert_eq!(bo.texts(chat).await, ["hello", "and again"]);
}
