//! How the connection is.

/// How the connection to the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// Not connected; will try again by itself.
    Offline,
    /// On the way.
    Connecting,
    /// Connected, and what waited is arriving.
    CatchingUp,
    /// Connected and up to date.
    Online,
    /// Not connected, and trying again would not help.
    Blocked {
        /// Why.
        reason: Blocked,
    },
}

impl From<chasqui::ConnectionState> for ConnectionState {
    fn from(state: chasqui::ConnectionState) -> Self {
        match state {
            chasqui::ConnectionState::Offline => Self::Offline,
            chasqui::ConnectionState::Connecting => Self::Connecting,
            chasqui::ConnectionState::CatchingUp => Self::CatchingUp,
            chasqui::ConnectionState::Online => Self::Online,
            chasqui::ConnectionState::Blocked(reason) => Self::Blocked { reason: reason.into() },
        }
    }
}

/// Why trying again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Blocked {
    /// The folder has no enrolled device: register or log in.
    NotEnrolled,
    /// The app suspended the client.
    Suspended,
    /// The node does not know this device or its key.
    Unauthorised,
    /// The device was revoked, or the account deleted: `devices` fails with `account_deleted` then.
    Revoked,
    /// The node speaks no protocol version that this version speaks, or serves another app.
    Incompatible,
    /// The device's disk is full or takes no writes. Mail waits at the node, queries are answered, and everything goes on
    /// by itself when there is room.
    StorageFull,
    /// This folder is a copy, or was restored from an older one, and its device went on elsewhere: log in again, as a new
    /// device. The history stays, and what was not sent goes out then.
    Copied,
    /// The history was damaged and the device's keys could not be saved: log in again, as a new device.
    KeysLost,
}

impl From<chasqui::Blocked> for Blocked {
    fn from(reason: chasqui::Blocked) -> Self {
        match reason {
            chasqui::Blocked::NotEnrolled => Self::NotEnrolled,
            chasqui::Blocked::Suspended => Self::Suspended,
            chasqui::Blocked::Unauthorised => Self::Unauthorised,
            chasqui::Blocked::Revoked => Self::Revoked,
            chasqui::Blocked::StorageFull => Self::StorageFull,
            chasqui::Blocked::Copied => Self::Copied,
            chasqui::Blocked::KeysLost => Self::KeysLost,
            // There is no other; a test fails when there is.
            chasqui::Blocked::Incompatible | _ => Self::Incompatible,
        }
    }
}
