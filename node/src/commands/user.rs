//! `chasqui-node user` and `chasqui-node device`: who is known, deleting an account, and shutting a device out.

use chasqui_node::inspect::{DeviceReport, Inspection, UserReport};
use chasqui_wire::DeviceId;
use clap::{Args, Subcommand};

use super::Failure;
use super::print::{json, since};
use super::settings::Settings;

#[derive(Args)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// List users by name.
    List {
        #[command(flatten)]
        settings: Settings,
        /// Only names that begin so.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only names after this one.
        #[arg(long, default_value = "")]
        after: String,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        at_most: u32,
        /// Instead, the ids of all accounts that were deleted, one a line: to delete them again after a restore.
        #[arg(long, conflicts_with_all = ["prefix", "after", "at_most", "json"])]
        deleted: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show a user and the devices of that user.
    Show {
        /// The user's id or name.
        user: String,
        #[command(flatten)]
        settings: Settings,
        /// One JSON object a line: the user, then each device.
        #[arg(long)]
        json: bool,
    },
    /// Print what the node holds about a user, for that user, as JSON.
    Export {
        /// The user's id or name.
        user: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Delete an account for good: what it had sent is still delivered, everything else of it goes.
    Delete {
        /// The user's id or name.
        user: String,
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Args)]
pub(super) struct Device {
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Subcommand)]
enum DeviceCommand {
    /// List a user's devices, revoked ones too.
    List {
        /// The user's id or name.
        user: String,
        #[command(flatten)]
        settings: Settings,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shut a device out: its socket is closed, its mail dropped and reported to those who wrote it.
    Revoke {
        /// The device's id.
        device: DeviceId,
        #[command(flatten)]
        settings: Settings,
    },
}

impl User {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            UserCommand::List { settings, deleted: true, .. } => {
                Inspection::open(&settings.resolve()?.data)?.deleted()?.iter().for_each(|user| println!("{user}"));
            }
            UserCommand::List { settings, prefix, after, at_most, json: is_json, deleted: false } => {
                let users = Inspection::open(&settings.resolve()?.data)?.users(&prefix, &after, at_most)?;
                users.iter().for_each(|user| if is_json { json(user) } else { print_user(user) });
            }
            UserCommand::Show { user, settings, json: is_json } => {
                let inspection = Inspection::open(&settings.resolve()?.data)?;
                let user = inspection.user(&user)?.ok_or(Failure::NoUser(user))?;
                if is_json {
                    json(&user)
                } else {
                    print_user(&user)
                }
                print_devices(&inspection.devices(user.user)?, is_json);
            }
            UserCommand::Export { user, settings } => {
                let inspection = Inspection::open(&settings.resolve()?.data)?;
                let found = inspection.user(&user)?.ok_or_else(|| Failure::NoUser(user.clone()))?;
                json(&inspection.report(found.user)?.ok_or(Failure::NoUser(user))?);
            }
            UserCommand::Delete { user, settings } => {
                let config = settings.resolve()?;
                let deleted = super::block_on(chasqui_node::admin::delete_user(&config, &user))??;
                println!("deleted {deleted}");
            }
        }
        Ok(())
    }
}

impl Device {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.command {
            DeviceCommand::List { user, settings, json } => {
                let inspection = Inspection::open(&settings.resolve()?.data)?;
                let user = inspection.user(&user)?.ok_or(Failure::NoUser(user))?;
                print_devices(&inspection.devices(user.user)?, json);
            }
            DeviceCommand::Revoke { device, settings } => {
                let config = settings.resolve()?;
                let user = super::block_on(chasqui_node::admin::revoke_device(&config, device))??;
                println!("revoked {device} of user {user}");
            }
        }
        Ok(())
    }
}

fn print_user(user: &UserReport) {
    let (devices, entries, seen) = (user.devices, user.entries, since(user.last_seen_at));
    println!("{} {:<20} {devices} devices, {entries} entries waiting, last seen {seen}", user.user, user.name);
}

fn print_devices(devices: &[DeviceReport], is_json: bool) {
    for device in devices {
        if is_json {
            json(device);
            continue;
        }
        let state = match device.revoked_at {
            Some(at) => format!("revoked {}", since(Some(at))),
            None => format!("{} entries waiting, last seen {}", device.entries, since(device.last_seen_at)),
        };
        println!("{} {:<20} {state}", device.device, device.name);
    }
}
