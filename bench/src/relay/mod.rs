//! To be measured.

use std::error::Error;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    Err(format!("nothing is measured yet (json: {})", arguments.json).into())
}
