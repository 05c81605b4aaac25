//! Encrypted conversations, as far as one device shows it. What several do with each other, the simulation plays.

use super::*;

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
