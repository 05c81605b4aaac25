//! What a welcomed device may say.

use chasqui_wire::{Ack, ClientFrame, ErrorCode, GoodbyeReason, NodeFrame, Pong, Read, Rejected, Timestamp, signing};

use super::hello::is_signed;
use super::{Output, Peer, Session, transmit, unsupported};
use crate::relay::Op;

impl Session {
    pub(super) fn open_frame(&mut self, now: Timestamp, peer: Peer, frame: ClientFrame) -> Vec<Output> {
        match frame {
            ClientFrame::Hello(_) => self.goodbye(GoodbyeReason::ProtocolError, "a second hello"),
            ClientFrame::Send(send) => self.ask(send.body.len(), Op::Publish(send)),
            ClientFrame::Read(read) => self.read(peer, read),
            ClientFrame::Admit(admit) => self.ask(0, Op::Admit(Box::new(admit))),
            ClientFrame::Ack(ack) => self.acknowledge(ack),
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
            return self.ask(0, Op::Read(Box::new(read)));
        }
        vec![transmit(&NodeFrame::Rejected(Rejected {
            message: read.id,
            code: ErrorCode::Invalid,
            detail: "wrong signature".to_owned(),
            retry_after_ms: 0,
        }))]
    }

    /// What was not delivered here, or was acknowledged already, costs the relay nothing.
    fn acknowledge(&mut self, mut ack: Ack) -> Vec<Output> {
        ack.items.retain(|item| self.delivered.remove(&item.number));
        if ack.items.is_empty() { Vec::new() } else { vec![Output::Submit(Op::Acknowledge(ack))] }
    }

    /// A frame that was read although [`Session::wants_input`] said no may end the socket.
    fn ask(&mut self, body_bytes: usize, op: Op) -> Vec<Output> {
        if self.unanswered.len() >= self.most_unanswered() {
            return self.goodbye(GoodbyeReason::Overloaded, "more unanswered sends than limits.sends_in_flight");
        }
        let bytes = u32::try_from(body_bytes).expect("a body lies within a frame");
        self.unanswered.push_back(bytes);
        self.unanswered_bytes += u64::from(bytes);
        vec![Output::Submit(op)]
    }
}
