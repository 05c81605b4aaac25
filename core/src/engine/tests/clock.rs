//! Clocks that are off by years, and that people set while everything runs. Ages are counted by the node's clock.

use super::*;
use crate::domain::Failure;

const YEARS_MS: i64 = 10 * 365 * DAY_MS as i64;

impl Ana {
    /// The device's clock shows `millis` more or less; the node's does not.
    fn set_clock(&mut self, millis: i64) {
        self.now = Timestamp(self.now.0 + millis);
    }

    /// The socket breaks, and a new one opens; `node_time` is what the node's clock shows.
    fn come_back(&mut self, node_time: Timestamp) -> Vec<ClientFrame> {
        self.handle(vec![Input::Disconnected(self.socket)]);
        let step = self.handle(vec![Input::NetworkUp]);
        let socket = step.outputs.iter().find_map(|output| match output {
            Output::Connect(socket) => Some(*socket),
            _ => None,
        });
        self.socket = socket.expect("connects");
        self.welcome_at(node_time)
    }

    fn welcome_at(&mut self, time: Timestamp) -> Vec<ClientFrame> {
        let challenge = Challenge { nonce: [0; 32], realm: id(1), version_min: 1, version_max: 1 };
        self.handle(vec![Input::Connected(self.socket)]);
        self.say(NodeFrame::Challenge(challenge));
        self.say(NodeFrame::Welcome(Welcome {
            user: id(10),
            limits: Limits::DEFAULT,
            checkpoint: checkpoint(),
            eras: Vec::new(),
            time,
            http_token: String::new().into(),
            http_token_expires_at: time.plus_millis(900_000),
            key_packages: None,
            identity_key: None,
        }))
    }
}

fn later(days: u64) -> Timestamp {
    NOW.plus_millis(days * DAY_MS)
}

#[test]
fn what_was_never_sent_has_no_age() {
    for clock in [0, YEARS_MS, -YEARS_MS] {
        let mut ana = Ana::new();
        ana.send(1, "written offline");
        ana.now = ana.now.plus_millis(90 * DAY_MS);
        ana.set_clock(clock);
        let said = ana.welcome_at(later(90));
        assert!(matches!(said.as_slice(), [ClientFrame::Send(_)]), "{said:?}");
    }
}

#[test]
fn what_went_unanswered_for_a_month_of_the_node_fails_and_can_be_retried() {
    for clock in [0, YEARS_MS, -YEARS_MS] {
        let mut ana = Ana::online();
        ana.send(1, "unanswered");
        ana.set_clock(clock);
        ana.come_back(later(29));
        assert_eq!(ana.state_of(1), MessageState::Pending, "29 days, by a clock that is {clock} off");
        ana.come_back(later(31));
        assert_eq!(ana.state_of(1), MessageState::Failed(Failure::TooOld));
        let step = ana.handle(vec![Input::Command(CommandId(2), Command::Retry(id(1)))]);
        assert!(matches!(ana.frames(&step).as_slice(), [ClientFrame::Send(_)]));
        assert_eq!(ana.state_of(1), MessageState::Pending);
    }
}

#[test]
fn a_clock_that_is_set_while_connected_fails_nothing() {
    for clock in [YEARS_MS, -YEARS_MS, 60_000, -60_000] {
        let mut ana = Ana::online();
        ana.send(1, "before");
        ana.set_clock(clock);
        ana.send(2, "after");
        ana.come_back(later(0));
        assert_eq!((ana.state_of(1), ana.state_of(2)), (MessageState::Pending, MessageState::Pending), "{clock}");
        ana.accept(1, seq(1), 1);
        ana.accept(2, seq(2), 2);
        assert_eq!((ana.state_of(1), ana.state_of(2)), (MessageState::Sent, MessageState::Sent));
    }
}

#[test]
fn timers_survive_a_clock_that_is_set_back() {
    let mut ana = Ana::online();
    let is_soon = |step: &Step, now: Timestamp| step.wake_at.is_some_and(|at| at.millis_since(now) < 120_000);
    ana.set_clock(-YEARS_MS);
    let step = ana.handle(vec![Input::Wake]);
    assert!(is_soon(&step, ana.now), "a living socket is asked whether it lives: {step:?}");
    let step = ana.handle(vec![Input::Disconnected(ana.socket)]);
    assert!(is_soon(&step, ana.now));
    ana.set_clock(-YEARS_MS);
    let step = ana.handle(vec![Input::Wake]);
    assert!(is_soon(&step, ana.now), "comes back soon: {step:?}");
    ana.now = ana.now.plus_millis(61_000);
    let step = ana.handle(vec![Input::Wake]);
    assert!(step.outputs.iter().any(|output| matches!(output, Output::Connect(_))), "{step:?}");
}

#[test]
fn a_lane_that_pauses_does_not_pause_for_years() {
    let mut ana = Ana::online();
    ana.send(1, "hello");
    ana.reject(1, ErrorCode::MailboxFull);
    ana.set_clock(-YEARS_MS);
    ana.handle(vec![Input::Wake]);
    ana.now = ana.now.plus_millis(20_000);
    let step = ana.handle(vec![Input::Wake]);
    assert!(ana.frames(&step).iter().any(|frame| matches!(frame, ClientFrame::Send(_))), "{step:?}");
}
