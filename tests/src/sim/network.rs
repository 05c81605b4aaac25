//! Sockets between devices and the node: ordered within a socket, not between sockets; they break, or die silently.

use bytes::Bytes;
use chasqui::engine::SocketId;
use chasqui_node::relay::SessionId;

/// One socket.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) device: usize,
    pub(super) socket: SocketId,
    pub(super) session: SessionId,
    /// A dead wire carries nothing; its ends find out by themselves.
    pub(super) alive: bool,
    /// When the last frame in each direction arrives: later ones arrive later.
    pub(super) to_node_at: u64,
    pub(super) to_device_at: u64,
}

/// Names a wire.
pub(super) type WireId = u64;

/// What arrives at one end of a wire.
#[derive(Clone, Debug)]
pub(super) enum Arrival {
    Frame(Bytes),
    Opened,
    Closed,
}

use super::faults::Fault;
use super::world::{Happening, World};

impl World {
    /// A socket opens: both ends hear of it.
    pub(super) fn open_wire(&mut self, device: usize, socket: SocketId) -> WireId {
        self.next_wire += 1;
        let id = self.next_wire;
        let session = SessionId(id);
        let wire = Wire { device, socket, session, alive: true, to_node_at: self.now, to_device_at: self.now };
        self.wires.insert(id, wire);
        if let Some(at) = self.travel(id, true) {
            self.at(at, Happening::ToNode(id, Arrival::Opened));
        }
        if let Some(at) = self.travel(id, false) {
            self.at(at, Happening::ToDevice(id, Arrival::Opened));
        }
        id
    }

    /// When a frame that leaves now arrives; `None` if it is lost with its wire.
    pub(super) fn travel(&mut self, id: WireId, to_node: bool) -> Option<u64> {
        if !self.wires.get(&id)?.alive {
            return None;
        }
        if self.strikes(self.climate.drop_socket, Fault::SocketDropped) {
            self.wire_breaks(id);
            return None;
        }
        if self.strikes(self.climate.half_open, Fault::SocketHalfOpen) {
            self.wire_dies(id);
            return None;
        }
        let late = self.strikes(self.climate.delay, Fault::FrameDelayed);
        let latency = if late { self.rng.between(500, 8_000) } else { self.rng.between(1, 60) };
        let now = self.now;
        let wire = self.wires.get_mut(&id)?;
        let last = if to_node { &mut wire.to_node_at } else { &mut wire.to_device_at };
        *last = (*last).max(now + latency);
        Some(*last)
    }

    /// Once, or twice: a proxy or a driver repeats a frame.
    pub(super) fn times_sent(&mut self) -> u32 {
        1 + u32::from(self.strikes(self.climate.duplicate, Fault::FrameDuplicated))
    }

    /// Both ends are told, after a while; what is under way is lost.
    pub(super) fn wire_breaks(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(&id)
            && std::mem::take(&mut wire.alive)
        {
            self.note(format!("wire {id} breaks"));
            let (node, device) = (self.rng.between(1, 2_000), self.rng.between(1, 2_000));
            self.after(node, Happening::ToNode(id, Arrival::Closed));
            self.after(device, Happening::ToDevice(id, Arrival::Closed));
        }
    }

    /// Nobody is told.
    pub(super) fn wire_dies(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(&id)
            && std::mem::take(&mut wire.alive)
        {
            self.note(format!("wire {id} dies silently"));
        }
    }

    /// The device closed its end, or its process ended: what it had sent before still arrives.
    pub(super) fn device_hangs_up(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get(&id)
            && wire.alive
        {
            let at = wire.to_node_at + 1;
            self.at(at, Happening::ToNode(id, Arrival::Closed));
        }
    }

    /// The node closed its end: what it had sent before still arrives.
    pub(super) fn node_hangs_up(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get(&id)
            && wire.alive
        {
            let at = wire.to_device_at + 1;
            self.at(at, Happening::ToDevice(id, Arrival::Closed));
        }
    }
}
