//! `chasqui-node backup` and `chasqui-node restore`.

use std::path::PathBuf;

use chasqui_node::admin;
use chasqui_node::inspect::Inspection;
use chasqui_node::relay::Manifest;
use clap::Args;

use super::Failure;
use super::settings::Settings;

#[derive(Args)]
pub(super) struct Backup {
    /// A folder that is missing or empty, and that the node may write.
    target: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve()?;
        // The node that runs may stand in another folder.
        let target = std::path::absolute(&self.target)?;
        let manifest = super::block_on(admin::back_up(&config, &target))??;
        let Manifest { era, revision, messages, .. } = manifest;
        println!("{} holds {messages} messages, era {era}, {revision} commits", target.display());
        Ok(())
    }
}

#[derive(Args)]
pub(super) struct Restore {
    /// The folder of the backup.
    backup: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Restore although `check` finds problems in the backup.
    #[arg(long)]
    despite_problems: bool,
}

impl Restore {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve()?;
        Manifest::read(&self.backup)?;
        let problems = Inspection::open_stopped(&self.backup)?.check(config.realm)?.problems();
        if problems > 0 && !self.despite_problems {
            return Err(Failure::Problems { problems, folder: self.backup });
        }
        let restored = admin::restore(&config, &self.backup)?;
        println!("{} holds the backup, in era {}", config.data.display(), restored.era);
        if !restored.is_remembered {
            println!(
                "note: {} cannot be written, so it does not remember this restore: do not restore it again within five minutes",
                self.backup.display()
            );
        }
        Ok(())
    }
}
