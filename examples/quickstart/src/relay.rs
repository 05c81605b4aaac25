//! The relay's process: the node as a library, with its embedded store, on a free port of the loopback interface.
//!
//! It says where it listens, and stops when stdin ends, so that it never outlives its director.

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chasqui_node::config::Config;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

/// What it says once devices can connect; the same as `chasqui-node serve`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    Listening { address: SocketAddr },
}

pub(crate) async fn run(data: PathBuf) -> Result<(), Box<dyn Error>> {
    // All that a relay can be made to say, beside what it stores: pieces of messages are looked for in both.
    std::fs::create_dir_all(&data)?;
    let log = std::fs::File::options().create(true).append(true).open(data.join("relay.log"))?;
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE).with_writer(log).init();
    let config = Config { data, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Config::default() };
    let running = chasqui_node::serve::start(config).await?;
    let line = serde_json::to_string(&Event::Listening { address: running.address() })?;
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    // Nobody says anything: the end is the order to stop.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    running.stop().await;
    Ok(())
}
