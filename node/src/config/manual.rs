//! docs/configuration.md as data: what `chasqui-node config` says about each key. A test keeps the page true.

use std::fmt::Write as _;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// With its table: `limits.body_bytes`.
    pub name: &'static str,
    /// Its flag and its environment variable, if it has them.
    pub setters: &'static str,
    /// As the page says it: a value, or what happens without one.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Every key, in the order of the page, which has those of a table together.
pub fn keys() -> Vec<Key> {
    PAGE.lines().filter_map(key).collect()
}

fn key(line: &'static str) -> Option<Key> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
    let (name, rest) = cells.split_first()?;
    let name = name.strip_suffix('`')?;
    match rest {
        [default, about, ""] => Some(Key { name, setters: "", default, about }),
        [setters, default, about, ""] => Some(Key { name, setters, default, about }),
        _ => None,
    }
}

/// A file in which every key stands at its default, commented out.
pub fn example() -> String {
    let mut page =
        "# A Chasqui node's configuration. Every line is the default; remove its `# ` to change it.\n\n".to_owned();
    let mut table = "";
    for key in keys() {
        let (inside, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if inside != table {
            table = inside;
            writeln!(page, "[{table}]").expect("a String takes everything");
        }
        let about = key.about.replace('`', "");
        writeln!(page, "# {about}").expect("a String takes everything");
        match value(key.default) {
            Some(value) => writeln!(page, "# {name} = {value}\n").expect("a String takes everything"),
            None => writeln!(page, "# Without it: {}.\n# {name} =\n", key.default).expect("a String takes everything"),
        }
    }
    page
}

/// A default as TOML; `None` if it is a sentence.
fn value(default: &str) -> Option<String> {
    let bare = default.trim_matches('`');
    let is_quoted = bare.len() < default.len();
    let is_toml = |text: &str| format!("x = {text}").parse::<toml::Table>().is_ok();
    if is_toml(bare) {
        return Some(bare.to_owned());
    }
    is_quoted.then(|| format!("\"{bare}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_example_holds_the_defaults() {
        let example = example();
        assert_eq!(toml::from_str::<Config>(&example).unwrap(), Config::default());
        let is_value = |line: &&str| line.starts_with("# ") && line.contains(" = ") && !line.contains("  ");
        let without_comments: Vec<&str> =
            example.lines().map(|line| if is_value(&line) { &line[2..] } else { line }).collect();
        let uncommented = without_comments.join("\n");
        assert_eq!(toml::from_str::<Config>(&uncommented).unwrap(), Config::default(), "{uncommented}");
        let values = without_comments.iter().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();
        assert!(values * 2 > keys().len(), "most have a value: {uncommented}");
    }

    #[test]
    fn every_key_is_explained() {
        assert!(keys().iter().all(|key| !key.about.is_empty() && !key.default.is_empty()));
    }
}
