//! Linking a further device, and what a device that was not linked can do.

use chasqui::{Error, MessageContent, MessageState, Protection};

use crate::identity::has_history;
use crate::stage::{Device, PASSWORD, Pair, link, within};

#[tokio::test]
async fn a_linked_device_writes_and_reads_what_is_written_from_then_on() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    let laptop = Device::logged_in(&relay, "ana").await;
    assert!(!laptop.account().await.unwrap().unwrap().is_linked);
    link(&ana, &laptop).await;
    has_history(&laptop).await;
    // Linking is nobody's conversation, and neither is the history.
    let listed = |list: Vec<chasqui::ConversationSummary>| list.iter().map(|line| line.id).collect::<Vec<_>>();
    assert_eq!(listed(laptop.conversations(10).await.unwrap()), listed(ana.conversations(10).await.unwrap()));
    bo.send_text(chat, "for both").await.unwrap();
    laptop.gets(chat, "for both").await;
    ana.gets(chat, "for both").await;
    assert_eq!(laptop.open_direct(bo.user().await).await.unwrap(), chat);
    laptop.send_text(chat, "from the laptop").await.unwrap();
    bo.gets(chat, "from the laptop").await;
    ana.gets(chat, "from the laptop").await;
    assert_eq!(laptop.texts(chat).await, ["before", "for both", "from the laptop"]);
    assert_eq!(ana.texts(chat).await, ["before", "for both", "from the laptop"]);
}

#[tokio::test]
async fn a_device_that_was_not_linked_says_so() {
    let Pair { relay, ana, bo, chat } = Pair::in_secret().await;
    let laptop = Device::logged_in(&relay, "ana").await;
    assert_eq!(laptop.open_direct(bo.user().await).await.unwrap(), chat);
    assert_eq!(laptop.send_text(chat, "no").await, Err(Error::NotLinked));
    assert_eq!(laptop.link_device("chasqui:link:1:AAAA").await, Err(Error::NotLinked));
    // What the node can read goes on.
    let readable = laptop.open_direct_as(bo.user().await, Protection::NodeReadable).await.unwrap();
    assert_ne!(readable, chat);
    laptop.send_text(readable, "yes").await.unwrap();
    bo.gets(readable, "yes").await;
    ana.gets(readable, "yes").await;
    let kinds: Vec<Protection> =
        ana.conversations(10).await.unwrap().iter().map(|conversation| conversation.protection).collect();
    assert_eq!(kinds, [Protection::NodeReadable, Protection::EndToEnd]);
}

#[tokio::test]
async fn a_wrong_code_or_a_second_thought_links_nobody() {
    let Pair { relay, ana, bo: _, chat: _ } = Pair::in_secret().await;
    let laptop = Device::logged_in(&relay, "ana").await;
    for wrong in ["", "https://example.org", "chasqui:link:1:", "chasqui:link:1:AAAA", "chasqui:link:2:AAAA"] {
        assert!(matches!(ana.link_device(wrong).await, Err(Error::Invalid { .. })), "{wrong}");
    }
    assert!(matches!(ana.begin_linking().await, Err(Error::Invalid { .. })), "linked already");
    assert!(matches!(ana.confirm_linking().await, Err(Error::Invalid { .. })), "no number is shown");
    assert!(matches!(laptop.linking_number().await, Err(Error::LinkingFailed { .. })), "nothing was begun");

    // Of somebody else's device: the node knows whose it is.
    let _dan = Device::registered(&relay, "dan").await;
    let dans = Device::logged_in(&relay, "dan").await;
    let code = dans.begin_linking().await.unwrap();
    let linked = within("the refusal", ana.link_device(&code)).await;
    assert!(matches!(linked, Err(Error::LinkingFailed { .. })), "{linked:?}");

    let code = laptop.begin_linking().await.unwrap();
    let shown = within("both numbers", async { tokio::join!(ana.link_device(&code), laptop.linking_number()) }).await;
    assert_eq!(shown.0.unwrap(), shown.1.unwrap());
    let (confirmed, cancelled) =
        within("the end", async { tokio::join!(laptop.confirm_linking(), ana.cancel_linking()) }).await;
    cancelled.unwrap();
    assert!(matches!(confirmed, Err(Error::LinkingFailed { .. })), "{confirmed:?}");
    assert!(!laptop.account().await.unwrap().unwrap().is_linked);

    // Also when it was cancelled before somebody says yes.
    let code = laptop.begin_linking().await.unwrap();
    let shown = within("both numbers", async { tokio::join!(ana.link_device(&code), laptop.linking_number()) }).await;
    assert_eq!(shown.0.unwrap(), shown.1.unwrap());
    laptop.cancel_linking().await.unwrap();
    within("the refusal", async {
        while ana.linking_number().await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
    let confirmed = ana.confirm_linking().await;
    assert!(matches!(confirmed, Err(Error::LinkingFailed { .. })), "{confirmed:?}");
    // An old code is of no use, a new one is.
    link(&ana, &laptop).await;
}

/// A telephone in the hand, and two devices that show codes.
#[tokio::test]
async fn of_two_codes_the_later_counts_and_the_first_device_is_told() {
    let Pair { relay, ana, bo: _, chat: _ } = Pair::in_secret().await;
    let (laptop, tablet) = (Device::logged_in(&relay, "ana").await, Device::logged_in(&relay, "ana").await);
    let code = laptop.begin_linking().await.unwrap();
    let shown = within("both numbers", async { tokio::join!(ana.link_device(&code), laptop.linking_number()) }).await;
    let number = shown.0.unwrap();
    assert_eq!(Ok(&number), shown.1.as_ref());
    // The camera still sees the first one.
    assert_eq!(within("the same number", ana.link_device(&code)).await.unwrap(), number);
    let waits = tokio::spawn({
        let laptop = laptop.client.clone();
        async move { laptop.confirm_linking().await }
    });
    link(&ana, &tablet).await;
    let ended = within("the end of the first", waits).await.unwrap();
    assert!(matches!(&ended, Err(Error::LinkingFailed { detail }) if detail.contains("other device")), "{ended:?}");
    assert!(!laptop.account().await.unwrap().unwrap().is_linked);

    // The first is not reached before the second is read: whoever waits for it is not given the second one's number.
    let code = laptop.begin_linking().await.unwrap();
    laptop.suspend().await.unwrap();
    let third = Device::logged_in(&relay, "ana").await;
    let waits = tokio::spawn({
        let (ana, code) = (ana.client.clone(), code.clone());
        async move { ana.link_device(&code).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    link(&ana, &third).await;
    let ended = within("the end of the wait", waits).await.unwrap();
    assert!(matches!(ended, Err(Error::LinkingFailed { .. })), "{ended:?}");
    laptop.resume().await.unwrap();
    let ended = within("the end on the first", laptop.linking_number()).await;
    assert!(matches!(ended, Err(Error::LinkingFailed { .. })), "{ended:?}");
    link(&ana, &laptop).await;
}

/// Two telephones that read the code of one device, and one that begins anew.
#[tokio::test]
async fn keys_are_shown_to_one_device_and_the_other_is_told() {
    let Pair { relay, ana, bo: _, chat: _ } = Pair::in_secret().await;
    let (laptop, tablet) = (Device::logged_in(&relay, "ana").await, Device::logged_in(&relay, "ana").await);
    link(&ana, &tablet).await;
    let code = laptop.begin_linking().await.unwrap();
    let shown = within("both numbers", async { tokio::join!(ana.link_device(&code), laptop.linking_number()) }).await;
    assert_eq!(shown.0.unwrap(), shown.1.unwrap());
    let late = within("the refusal", tablet.link_device(&code)).await;
    assert!(matches!(late, Err(Error::LinkingFailed { .. })), "{late:?}");
    laptop.linking_number().await.expect("it goes on with the first");
    // Begun anew, with another code: who shows a number is told.
    laptop.begin_linking().await.unwrap();
    within("the end", async {
        while ana.linking_number().await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
    link(&tablet, &laptop).await;
}

#[tokio::test]
async fn whoever_logs_in_again_in_the_same_folder_has_the_identity_still() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::in_secret().await;
    ana.send_text(chat, "before").await.unwrap();
    bo.gets(chat, "before").await;
    ana.online().await;
    ana.logout().await.unwrap();
    assert!(ana.account().await.unwrap().is_none());
    ana.login("ana", PASSWORD, "phone").await.unwrap();
    assert!(ana.account().await.unwrap().unwrap().is_linked);
    let message = ana.send_text(chat, "after").await.unwrap();
    bo.gets(chat, "after").await;
    bo.send_text(chat, "and back").await.unwrap();
    ana.gets(chat, "and back").await;
    ana.until(chat, "received", |messages| {
        let of = |state| matches!(state, MessageState::Received | MessageState::Read);
        messages.iter().any(|shown| shown.id == message && of(shown.state))
    })
    .await;
    let contents = bo.messages(chat).await;
    assert!(contents.iter().all(|message| matches!(message.content, MessageContent::Text(_))));
}
