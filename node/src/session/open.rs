//! What a welcomed device may say.

use chasqui_wire::{
    Ack, ClientFrame, ErrorCode, GoodbyeReason, KeyPackages, MessageId, NodeFrame, Pong, Read, Rejected, Signal,
    Timestamp, signing,
};

use super::hello::is_signed;
use super::{Output, Peer, SIGNAL_EVERY, SIGNALS, Session, transmit};
use crate::relay::Op;

impl Session {
    pub(super) fn open_frame(&mut self, now: Timestamp, peer: Peer, frame: ClientFrame) -> Vec<Output> {
        match frame {
            ClientFrame::Hello(_) => self.goodbye(GoodbyeReason::ProtocolError, "a second hello"),
            ClientFrame::Send(send) => {
                let bytes = send.body.len() + send.commit.as_ref().map_or(0, |commit| commit.welcome.len());
                self.ask(bytes, Op::Publish(send))
            }
            ClientFrame::Read(read) => self.read(peer, read),
            ClientFrame::Admit(admit) => self.ask(0, Op::Admit(Box::new(admit))),
            ClientFrame::Ack(ack) => self.acknowledge(ack),
            ClientFrame::KeyPackages(packages) => self.key_packages(peer, packages),
            ClientFrame::Claim(claim) => self.ask(0, Op::Claim(Box::new(claim))),
            ClientFrame::Signal(signal) => self.signal(now, signal),
            ClientFrame::Ping(ping) => {
                let (checkpoint, key_packages) = (self.checkpoint.clone(), self.key_packages);
                vec![transmit(&NodeFrame::Pong(Pong { nonce: ping.nonce, time: now, checkpoint, key_packages }))]
            }
        }
    }

    /// Verified here, where it costs nobody else's time, and not in the relay.
    fn read(&mut self, peer: Peer, read: Read) -> Vec<Output> {
        let signed = signing::read(self.realm, peer.user, peer.device, &read);
        if is_signed(&peer.key, &signed, &read.signature) {
            return self.ask(0, Op::Read(Box::new(read)));
        }
        vec![rejected(read.id, ErrorCode::Invalid, "wrong signature")]
    }

    /// Verified here as well: from then on the node knows the device as one that its user has linked.
    fn key_packages(&mut self, peer: Peer, packages: KeyPackages) -> Vec<Output> {
        let linked = signing::link(self.realm, peer.user, peer.device, &peer.key);
        if is_signed(&peer.identity_key, &linked, &packages.link) {
            let bodies = packages.one_time.iter().chain(&packages.last_resort);
            let bytes = bodies.map(|body| body.len()).sum();
            return self.ask(bytes, Op::KeyPackages(Box::new(packages)));
        }
        vec![rejected(packages.id, ErrorCode::NotLinked, "the link is not by the user's identity key")]
    }

    /// What was not delivered here, or was acknowledged already, costs the relay nothing.
    fn acknowledge(&mut self, mut ack: Ack) -> Vec<Output> {
        ack.items.retain(|item| self.delivered.remove(&item.number));
        if ack.items.is_empty() { Vec::new() } else { vec![Output::Submit(Op::Acknowledge(ack))] }
    }

    /// Nobody answers signals, so nothing else holds back a device that says too many. Those are dropped here, where they cost
    /// nobody anything.
    fn signal(&mut self, now: Timestamp, signal: Signal) -> Vec<Output> {
        // A clock that went back must not keep it silent for ever.
        let lacking = self.signals_full_at.millis_since(now).min(SIGNALS * SIGNAL_EVERY);
        let then = lacking + SIGNAL_EVERY;
        if then > SIGNALS * SIGNAL_EVERY {
            self.dropped_signals += 1;
            return Vec::new();
        }
        self.signals_full_at = now.plus_millis(then);
        vec![Output::Submit(Op::Signal(signal))]
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

/// A refusal that the relay was not asked about.
fn rejected(message: MessageId, code: ErrorCode, detail: &str) -> Output {
    transmit(&NodeFrame::Rejected(Rejected { message, code, detail: detail.to_owned(), retry_after_ms: 0 }))
}
