//! Who this device belongs to.

use chasqui_wire::http;
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
    /// Whether this device takes part in end-to-end encrypted conversations: the user's first one does, and those that another one
    /// has linked ([`crate::Client::begin_linking`]).
    pub is_linked: bool,
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

/// What proves that it is the account's owner who deletes it, and not whoever holds the device: one of what the account has.
#[derive(Clone, Debug, Default)]
pub struct AccountProof(pub(crate) http::AccountProof);

impl AccountProof {
    /// For an account that has nothing to be proved by: of a telephone number without a PIN.
    pub fn none() -> Self {
        Self::default()
    }

    /// As registered.
    pub fn password(password: &str) -> Self {
        Self(http::AccountProof { password: Some(password.into()), ..http::AccountProof::default() })
    }

    /// See [`crate::Client::set_pin`].
    pub fn pin(pin: &str) -> Self {
        Self(http::AccountProof { pin: Some(pin.into()), ..http::AccountProof::default() })
    }

    /// A fresh token (JWT) of the app's own backend.
    pub fn token(token: &str) -> Self {
        Self(http::AccountProof { token: Some(token.into()), ..http::AccountProof::default() })
    }
}
