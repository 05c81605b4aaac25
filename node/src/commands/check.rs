//! `chasqui-node check`: whether a stopped node's data, or a backup, is whole; and whether its certificate is of use.

use std::path::PathBuf;

use chasqui_node::inspect::{Finding, Inspection};
use clap::Args;

use super::settings::Settings;
use super::{Failure, certificate};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: Settings,
    /// Check the backup in this folder instead of the node's data.
    #[arg(long, value_name = "FOLDER")]
    backup: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.settings.resolve()?;
        let folder = match &self.backup {
            Some(backup) => {
                chasqui_node::relay::Manifest::read(backup)?;
                backup.clone()
            }
            None => config.data.clone(),
        };
        // It is not in a backup.
        let certificate = if self.backup.is_none() { certificate::look(&config) } else { Ok(()) };
        let inspection = Inspection::open_stopped(&folder)?;
        let verdict = inspection.check(config.realm)?;
        for finding in &verdict.findings {
            match finding {
                Finding::Problem(line) => println!("problem: {line}"),
                Finding::Note(line) => println!("note: {line}"),
            }
        }
        match verdict.problems() {
            0 => {
                println!(
                    "{} is whole: schema {}, {} messages in {} segments",
                    folder.display(),
                    verdict.schema,
                    verdict.messages,
                    verdict.segments
                );
                certificate
            }
            problems => Err(Failure::Problems { problems, folder }),
        }
    }
}
