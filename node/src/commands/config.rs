//! `chasqui-node config`: the configuration as it takes effect, and where each value comes from.
//!
//! What it prints can be used as a file. Values that nobody should see are never printed.

use std::fmt::Write as _;

use chasqui_node::config::{ConfigError, manual};
use clap::{ArgMatches, Args};

use super::settings::{Settings, Source};
use super::{Failure, certificate};

#[derive(Args)]
pub(super) struct ShowConfig {
    #[command(flatten)]
    settings: Settings,
    /// Print a commented file with every key at its default instead.
    #[arg(long)]
    default: bool,
    /// Look instead whether its values fit together and its certificate is of use; a node may run meanwhile.
    #[arg(long, conflicts_with = "default")]
    check: bool,
}

impl ShowConfig {
    pub(super) fn run(self, given: &ArgMatches) -> Result<(), Failure> {
        if self.default {
            print!("{}", manual::example());
            return Ok(());
        }
        if self.check {
            certificate::look(&self.settings.resolve()?)?;
            println!("the configuration can be used");
            return Ok(());
        }
        let file = match self.settings.file() {
            Some(path) => {
                let unreadable = |source| ConfigError::Unreadable { path: path.clone(), source };
                // Whether it is TOML is for `resolve` to say.
                std::fs::read_to_string(path).map_err(unreadable)?.parse().unwrap_or_default()
            }
            None => toml::Table::new(),
        };
        let effective = self.settings.resolve()?;
        let effective = toml::Table::try_from(&effective).expect("a configuration is a table");
        print!("{}", page(&effective, |key| Source::of(key, given, find(&file, key).is_some())));
        Ok(())
    }
}

fn page(effective: &toml::Table, source: impl Fn(&str) -> Source) -> String {
    let mut lines = Vec::new();
    let mut table = "";
    for key in manual::keys() {
        let (inside, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if inside != table {
            table = inside;
            lines.push((String::new(), None));
            lines.push((format!("[{table}]"), None));
        }
        match find(effective, key.name) {
            Some(_) if is_secret(name) => lines.push((format!("# {name} is set"), Some(source(key.name).to_string()))),
            Some(value) => lines.push((format!("{name} = {value}"), Some(source(key.name).to_string()))),
            None => lines.push((format!("# {name} is not set"), Some(key.default.to_owned()))),
        }
    }
    let width = lines.iter().filter(|(_, note)| note.is_some()).map(|(line, _)| line.len()).max().unwrap_or(0);
    lines.into_iter().fold(String::new(), |mut page, (line, note)| {
        match note {
            Some(note) => writeln!(page, "{line:width$}  # {note}").expect("a String takes everything"),
            None => writeln!(page, "{line}").expect("a String takes everything"),
        }
        page
    })
}

fn find<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    match key.split_once('.') {
        Some((inside, name)) => find(table.get(inside)?.as_table()?, name),
        None => table.get(key),
    }
}

/// Files that hold secrets are named, what is in them is not.
fn is_secret(name: &str) -> bool {
    ["secret", "password", "token", "credentials"].iter().any(|word| name.rsplit('_').next() == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_a_file_again_and_shows_no_secret() {
        let effective: toml::Table = "data = \"a\"\nlog = \"warn\"\n[limits]\nbody_bytes = 5".parse().unwrap();
        let page = page(&effective, |key| if key == "log" { Source::File } else { Source::Default });
        assert!(page.lines().any(|line| line.starts_with("log = \"warn\"") && line.ends_with("# file")), "{page}");
        assert!(page.contains("# realm is not set"), "{page}");
        let mut again: toml::Table = page.parse().unwrap();
        again.retain(|_, value| value.as_table().is_none_or(|table| !table.is_empty()));
        assert_eq!(again, effective);
        assert!(is_secret("push_secret") && !is_secret("token_lifetime_seconds"));
    }
}
