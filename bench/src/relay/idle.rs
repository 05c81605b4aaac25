//! Connections that do nothing: what each costs in memory, and all of them in CPU.

use std::time::Duration;

use super::device::Device;
use super::node::{Node, Person};
use super::report::Sample;
use super::tls::Trust;
use super::{Outcome, Scale, texts};

const CONNECTIONS: usize = 10_000;
const WATCHED: u64 = 10;

/// Over TCP.
pub(crate) async fn plain(scale: Scale, verbose: bool) -> Outcome<Sample> {
    let node = Node::start(scale.of(CONNECTIONS), verbose)?;
    measure("idle", &node, None, scale).await
}

/// Over TLS, which the node speaks itself.
pub(crate) async fn tls(scale: Scale, verbose: bool) -> Outcome<Sample> {
    let (node, trust) = Node::start_with_tls(scale.of(CONNECTIONS), verbose)?;
    measure("idle-tls", &node, Some(&trust), scale).await
}

async fn measure(workload: &'static str, node: &Node, trust: Option<&Trust>, scale: Scale) -> Outcome<Sample> {
    let connections = scale.of(CONNECTIONS);
    let empty = node.process.resident()?;
    let cpu_before = node.process.cpu()?;
    let started = texts::now();
    let mut devices = Vec::new();
    for person in 0..u32::try_from(connections)? {
        devices.push(Device::open(node.place, Person(person), trust).await?);
    }
    let mut sample = Sample::new(workload, "chasqui");
    sample.part("connect", connections, started.elapsed(), node.process.cpu()? - cpu_before);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident = node.process.resident()?;
    let cpu_before = node.process.cpu()?;
    let watched = scale.seconds(WATCHED);
    tokio::time::sleep(watched).await;
    let cpu = node.process.cpu()? - cpu_before;
    sample.figure("empty_node_bytes", empty as f64);
    sample.figure("bytes_per_connection", resident.saturating_sub(empty) as f64 / connections as f64);
    sample.figure("idle_cpu_percent", 100.0 * cpu.as_secs_f64() / watched.as_secs_f64());
    drop(devices);
    Ok(sample)
}
