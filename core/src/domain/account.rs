//! Who this device belongs to.

use chasqui_wire::{DeviceId, Timestamp, UserId};

/// The account of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
    /// This installation.
    pub device: DeviceId,
    /// The node's base URL.
    pub node: String,
}

/// A code is on its way to a telephone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneChallenge {
    /// What the code answers, for [`crate::Client::enrol_with_code`]. Opaque; an app that may be closed while somebody
    /// looks for the code keeps it.
    pub id: String,
    /// Milliseconds for which the code is taken.
    pub expires_in_ms: u32,
    /// Milliseconds after which another code may be asked for.
    pub resend_after_ms: u32,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
}

/// One of the user's own devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which.
    pub device: DeviceId,
    /// For people.
    pub name: String,
    /// By the node's clock.
    pub created_at: Timestamp,
    /// When it last opened or closed a socket, by the node's clock.
    pub last_seen_at: Option<Timestamp>,
    /// Whether it is the device that asks.
    pub is_this_device: bool,
}
