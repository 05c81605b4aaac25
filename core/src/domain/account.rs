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
