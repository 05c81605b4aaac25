//! Route: who of the devices that a message addresses takes it, and who is passed over.
//!
//! A device whose mailbox is full, or that was away for too long, is passed over alone and told later what it missed; the
//! message is refused only if nobody of the recipient could take it. See docs/adr/0005-passed-over.md.

use chasqui_wire::HoleReason;

use super::step::Step;
use super::{RelayError, Who};
use crate::store::{DeviceRow, UserRow};

/// A device that was not revoked.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActiveDevice {
    pub(super) row: DeviceRow,
    /// Not seen for too long: nothing is kept for it but what nobody else takes.
    pub(super) is_absent: bool,
}

/// What becomes of a message at each device that it addresses.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) takers: Vec<DeviceRow>,
    pub(super) passed_over: Vec<(DeviceRow, HoleReason)>,
}

impl Step<'_> {
    /// The route of a message to the devices of its recipient; `None` if none of them can take it.
    pub(super) fn route_to_peer(
        &mut self,
        who: Who,
        devices: &[ActiveDevice],
        bytes: u32,
    ) -> Result<Option<Route>, RelayError> {
        let mut route = Route::default();
        self.route(Some(who.user), devices.iter(), bytes, &mut route)?;
        if route.takers.is_empty() {
            // Those who were away for too long are the only ones left: for them it waits all the same.
            for device in devices.iter().filter(|device| device.is_absent) {
                if self.takes(device.row, Some(who.user), bytes)? {
                    route.takers.push(device.row);
                }
            }
            let takers = &route.takers;
            route.passed_over.retain(|(device, _)| !takers.contains(device));
        }
        Ok((!route.takers.is_empty()).then_some(route))
    }

    /// Adds the sender's own other devices among these. What they cannot take, the sending device holds.
    pub(super) fn route_to_siblings(
        &mut self,
        who: Who,
        devices: &[ActiveDevice],
        bytes: u32,
        route: &mut Route,
    ) -> Result<(), RelayError> {
        let siblings = devices.iter().filter(|device| device.row != who.device);
        self.route(None, siblings, bytes, route)
    }

    fn route<'a>(
        &mut self,
        sender: Option<UserRow>,
        devices: impl Iterator<Item = &'a ActiveDevice>,
        bytes: u32,
        route: &mut Route,
    ) -> Result<(), RelayError> {
        for device in devices {
            if device.is_absent {
                route.passed_over.push((device.row, HoleReason::Absent));
            } else if self.takes(device.row, sender, bytes)? {
                route.takers.push(device.row);
            } else {
                route.passed_over.push((device.row, HoleReason::MailboxFull));
            }
        }
        Ok(())
    }
}
