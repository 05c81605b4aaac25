//! Who a device belongs to.

use chasqui::{DeviceId, Timestamp, UserId};

/// The account of a data folder.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
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
    /// has linked.
    pub is_linked: bool,
}

impl From<chasqui::Account> for Account {
    fn from(account: chasqui::Account) -> Self {
        let chasqui::Account { user, name, device, node, is_linked } = account;
        Self { user, name, device, node, is_linked }
    }
}

/// A code is on its way to a telephone.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PhoneChallenge {
    /// What the code answers. Opaque; an app that may be closed while somebody looks for the code keeps it.
    pub id: String,
    /// Milliseconds for which the code is taken.
    pub expires_in_ms: i64,
    /// Milliseconds after which another code may be asked for.
    pub resend_after_ms: i64,
}

impl From<chasqui::PhoneChallenge> for PhoneChallenge {
    fn from(challenge: chasqui::PhoneChallenge) -> Self {
        let chasqui::PhoneChallenge { id, expires_in_ms, resend_after_ms } = challenge;
        Self { id, expires_in_ms: expires_in_ms.into(), resend_after_ms: resend_after_ms.into() }
    }
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct UserInfo {
    /// Who.
    pub user: UserId,
    /// As registered.
    pub name: String,
}

impl From<chasqui::UserInfo> for UserInfo {
    fn from(info: chasqui::UserInfo) -> Self {
        let chasqui::UserInfo { user, name } = info;
        Self { user, name }
    }
}

/// One of the user's own devices.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
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

impl From<chasqui::DeviceInfo> for DeviceInfo {
    fn from(info: chasqui::DeviceInfo) -> Self {
        let chasqui::DeviceInfo { device, name, created_at, last_seen_at, is_this_device } = info;
        Self { device, name, created_at, last_seen_at, is_this_device }
    }
}

/// What proves that it is the account's owner who deletes it or makes a new identity, and not whoever holds the device: one of what the
/// account has.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Display)]
pub enum AccountProof {
    /// For an account that has nothing to be proved by: of a telephone number without a PIN.
    Nothing,
    /// As registered.
    Password {
        /// In clear.
        password: String,
    },
    /// See `setPin`.
    Pin {
        /// In clear.
        pin: String,
    },
    /// A fresh token of the app's own backend.
    Token {
        /// A JWT.
        token: String,
    },
}

/// For logs: without what it is.
impl std::fmt::Display for AccountProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Password { .. } => "a password",
            Self::Pin { .. } => "a PIN",
            Self::Token { .. } => "a token",
        })
    }
}

impl From<AccountProof> for chasqui::AccountProof {
    fn from(proof: AccountProof) -> Self {
        match proof {
            AccountProof::Nothing => Self::none(),
            AccountProof::Password { password } => Self::password(&password),
            AccountProof::Pin { pin } => Self::pin(&pin),
            AccountProof::Token { token } => Self::token(&token),
        }
    }
}
