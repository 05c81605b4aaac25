//! Key packages that the node is to have of this device, for those who put it in their groups. How long their secrets are kept:
//! `e2ee/key_package.rs`.

use chasqui_wire::{ClientFrame, KeyPackages};

use super::groups::Asked;
use super::identity::Identity;
use super::{Engine, SocketId, Turn};
use crate::e2ee::{Fault, Mls, Stale};
use crate::store::StoreError;

/// How many key packages a node should have of this device, and below how many it gets new ones.
const PACKAGES: u32 = 50;
const PACKAGES_LOW: u32 = 25;
impl Engine {
    /// Gives the node key packages when it has few or old ones, each time that it says how many it has. Not before the mail is in, which
    /// is more urgent, and may have Welcomes by packages whose secrets are forgotten then.
    pub(super) fn send_key_packages(&mut self, turn: &mut Turn<'_>, socket: SocketId) -> Result<(), StoreError> {
        let Some(own) = self.account.as_ref().and_then(Identity::linked) else { return Ok(()) };
        if !self.link.is_drained() {
            return Ok(());
        }
        let Some(left) = self.groups.packages.take() else { return Ok(()) };
        let mls = Mls::new(own, turn.db);
        // Devices' clocks are wrong by years, and jump; the node that could lie about the time could as well not answer.
        let now = self.node_time(turn.now);
        // What is held up comes again, and may be a Welcome.
        if self.groups.held_up.is_empty() && !self.recycle_socket {
            mls.forget_key_packages(now)?;
        }
        if self.groups.are_packages_offered() {
            return Ok(());
        }
        // All Welcomes that used some are in. A restored node has others than it was given.
        let is_dry = left.one_time == 0 && left.last_resort && !self.was_restored();
        if is_dry && mls.unused_key_packages(now)? >= PACKAGES_LOW {
            self.tell_of_exhaustion(turn)?;
        }
        let stale = mls.stale_key_packages(now)?;
        if stale == Stale::Nothing && left.last_resort && left.one_time >= PACKAGES_LOW {
            return Ok(());
        }
        let replace = stale == Stale::All;
        let missing = if replace { PACKAGES } else { PACKAGES.saturating_sub(left.one_time) };
        let needs_last_resort = stale != Stale::Nothing || !left.last_resort;
        let replaced = if needs_last_resort && !replace { Stale::LastResort } else { stale };
        let made = mls.offer_key_packages(missing, needs_last_resort, replaced, now);
        let (offering, one_time, last_resort) = match made {
            Ok(made) => made,
            Err(Fault::Store(error)) => return Err(error),
            Err(fault) => {
                tracing::error!(%fault, "no key packages can be made");
                return Ok(());
            }
        };
        let id = self.outbox.next_id();
        self.groups.asked.insert(id, Asked::Packages(offering));
        let packages = KeyPackages { id, link: *own.link(), one_time, last_resort, replace };
        turn.transmit(socket, &ClientFrame::KeyPackages(packages));
        Ok(())
    }
}
