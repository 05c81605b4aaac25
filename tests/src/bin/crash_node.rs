//! A relay that tests/tests/crash.rs kills: says where it listens, and runs until it is killed or stdin ends.

use std::error::Error;
use std::path::PathBuf;

use chasqui_node::config::Config;
use tokio::io::AsyncReadExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(listen)) = (arguments.next(), arguments.next()) else {
        return Err("usage: crash_node FOLDER ADDRESS".into());
    };
    let config = Config { data: PathBuf::from(data), listen: listen.parse()?, ..Config::default() };
    let running = chasqui_node::serve::start(config).await?;
    println!("{}", serde_json::json!({ "event": "listening", "address": running.address().to_string() }));
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    running.stop().await;
    Ok(())
}
