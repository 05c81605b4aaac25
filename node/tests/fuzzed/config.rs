//! Configuration files: what is wrong is said on one line, what is read survives being written, and what passes the
//! check gives limits that devices take.

use std::path::Path;

use chasqui_node::config::{Config, ConfigError};
use chasqui_wire::{Checkpoint, Limits, NodeFrame, Timestamp, UserId, Welcome};

/// Whether a node would start with it.
pub(crate) fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let config = match read(text) {
        Ok(config) => config,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains('\n'), "{said}");
            return false;
        }
    };
    let written = toml::to_string(&config).expect("a configuration is a table");
    assert_eq!(read(&written).expect("what was written is read"), config);
    if config.check().is_err() {
        return false;
    }
    let welcome = NodeFrame::Welcome(welcome(config.limits.into()));
    assert_eq!(NodeFrame::decode(welcome.encode(), &Limits::DEFAULT), Ok(welcome));
    true
}

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("node.toml"))
}

fn welcome(limits: Limits) -> Welcome {
    Welcome {
        user: UserId::from_bytes([1; 16]),
        limits,
        checkpoint: Checkpoint { era: 0, revision: 0, opening: [0; 8], seal: [0; 32] },
        eras: Vec::new(),
        time: Timestamp(0),
        http_token: String::new().into(),
        http_token_expires_at: Timestamp(0),
        key_packages: None,
        identity_key: None,
    }
}
