//! What a welcomed device may say.

use chasqui_wire::{ClientFrame, ErrorCode, GoodbyeReason, NodeFrame, Pong, Read, Rejected, Timestamp, signing};

use super::hello::is_signed;
use super::{Output, Peer, Session, transmit, unsupported};
use crate::relay::Op;

impl Session {
    pub(super) fn open_frame(&mut self, now: Timestamp, peer: Peer, frame: ClientFrame) -> Vec<Output> {
        match frame {
            ClientFrame::Hello(_) => self.goodbye(GoodbyeReason::ProtocolError, "a second hello"),
            ClientFrame::Send(send) => self.ask(Op::Publish(send)),
            ClientFrame::Read(read) => self.read(peer, read),
            ClientFrame::Ack(ack) => vec![Output::Submit(Op::Acknowledge(ack))],
            ClientFrame::Signal(_) => vec![unsupported("this node does not pass signals on")],
            ClientFrame::Ping(ping) => {
                let checkpoint = self.checkpoint.clone();
                vec![transmit(&NodeFrame::Pong(Pong { nonce: ping.nonce, time: now, checkpoint }))]
            }
        }
    }

    /// Verified here, where it costs nobody else's time, and not in the relay.
    fn read(&mut self, peer: Peer, read: Read) -> Vec<Output> {
        let signed = signing::read(self.realm, peer.user, peer.device, &read);
        if is_signed(&peer.key, &signed, &read.signature) {
            return self.ask(Op::Read(Box::new(read)));
        }
        vec![transmit(&NodeFrame::Rejected(Rejected {
            message: read.id,
            code: ErrorCode::Invalid,
            detail: "wrong signature".to_owned(),
            retry_after_ms: 0,
        }))]
    }

    /// Twice the announced number is forgiven: a device may count answers that are still on their way.
    fn ask(&mut self, op: Op) -> Vec<Output> {
        if self.unanswered >= self.limits.sends_in_flight.saturating_mul(2) {
            return self.goodbye(GoodbyeReason::Overloaded, "more unanswered sends than limits.sends_in_flight");
        }
        self.unanswered += 1;
        vec![Output::Submit(op)]
    }
}
