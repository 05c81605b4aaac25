//! The peer: mosquitto with the same messages. A device is a client with a persistent session and a topic of its own;
//! a receipt is a second publish, back to the sender. All of it QoS 1 (MQTT 3.1.1, OASIS standard).

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::pairs::Shape;
use super::process::Process;
use super::report::{Latencies, Sample};
use super::{Outcome, Scale, texts};

struct Broker {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Broker {
    async fn start() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type none\n",
            address.port()
        );
        std::fs::write(&config, text)?;
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("mosquitto").env("PATH", path).arg("-c").arg(&config).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("mosquitto does not start ({error}); is it installed?"))?;
        let broker = Self { address, process: Process::new(child), _folder: folder };
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(broker);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("mosquitto does not listen".into())
    }
}

pub(crate) async fn pairs(name: &'static str, scale: Scale, shape: Shape) -> Outcome<Sample> {
    let broker = Broker::start().await?;
    let each = shape.each(scale);
    let mut senders = Vec::new();
    let mut receivers = JoinSet::new();
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    for pair in 0..shape.pairs {
        let (from, to) = (format!("d{}", 2 * pair), format!("d{}", 2 * pair + 1));
        senders.push((Client::connect(broker.address, &from).await?, to.clone()));
        let receiver = Client::connect(broker.address, &to).await?;
        receivers.spawn(receive(receiver, from, each, Arc::clone(&latencies)));
    }
    let total = each * shape.pairs;
    let cpu_before = broker.process.cpu()?;
    let started = texts::now();
    let mut sending = JoinSet::new();
    for (client, to) in senders {
        sending.spawn(send(client, to, each, shape.in_flight));
    }
    while let Some(done) = sending.join_next().await {
        done??;
    }
    let took = started.elapsed();
    let cpu = broker.process.cpu()? - cpu_before;
    while let Some(done) = receivers.join_next().await {
        done??;
    }
    let latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Sample::new(name, "mosquitto").rate(total, took).cpu(total, cpu).latencies(latencies))
}

async fn send(mut client: Client, to: String, messages: usize, in_flight: usize) -> Outcome {
    let (mut sent, mut done) = (0, 0);
    while done < messages {
        while sent < messages && sent - done < in_flight {
            client.publish(&to, &texts::body());
            sent += 1;
        }
        client.flush().await?;
        done += client.receive().await?.len();
    }
    client.flush().await
}

/// Its socket stays open until the sender is done: closing it could cut off its last word.
async fn receive(
    mut client: Client,
    from: String,
    messages: usize,
    latencies: Arc<Mutex<Latencies>>,
) -> Outcome<Client> {
    let mut received = 0;
    while received < messages {
        for body in client.receive().await? {
            received += 1;
            latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(texts::age(&body));
            // The receipt: which message it is about.
            client.publish(&from, &body[..16]);
        }
        client.flush().await?;
    }
    Ok(client)
}

/// As much of MQTT 3.1.1 as two clients need to pass messages with QoS 1.
struct Client {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    packet: u16,
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const QOS1: u8 = 1;

impl Client {
    async fn connect(to: SocketAddr, name: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, input: BytesMut::new(), output: BytesMut::new(), packet: 0 };
        let mut connect = Vec::new();
        text(&mut connect, "MQTT");
        // Level 4, no clean session, no keep-alive.
        connect.extend_from_slice(&[4, 0, 0, 0]);
        text(&mut connect, name);
        client.put(CONNECT, &connect);
        client.flush().await?;
        if client.packet().await?.0 != CONNACK {
            return Err("mosquitto did not answer connect".into());
        }
        let mut subscribe = vec![0, 1];
        text(&mut subscribe, name);
        subscribe.push(QOS1);
        client.put(SUBSCRIBE, &subscribe);
        client.flush().await?;
        client.packet().await?;
        Ok(client)
    }

    fn publish(&mut self, topic: &str, body: &[u8]) {
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        let mut publish = Vec::with_capacity(topic.len() + body.len() + 4);
        text(&mut publish, topic);
        publish.extend_from_slice(&self.packet.to_be_bytes());
        publish.extend_from_slice(body);
        self.put(PUBLISH | QOS1 << 1, &publish);
    }

    fn put(&mut self, kind: u8, content: &[u8]) {
        self.output.put_u8(kind);
        let mut length = content.len();
        loop {
            let byte = (length % 128) as u8;
            length /= 128;
            self.output.put_u8(if length > 0 { byte | 0x80 } else { byte });
            if length == 0 {
                break;
            }
        }
        self.output.extend_from_slice(content);
    }

    async fn flush(&mut self) -> Outcome {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// The bodies that have come; waits for at least one packet. Each is acknowledged with the next flush.
    async fn receive(&mut self) -> Outcome<Vec<Vec<u8>>> {
        let mut bodies = Vec::new();
        let mut next = Some(self.packet().await?);
        while let Some((kind, content)) = next {
            if kind & 0xF0 == PUBLISH {
                let topic = usize::from(u16::from_be_bytes([content[0], content[1]]));
                let packet = [content[2 + topic], content[3 + topic]];
                self.put(PUBACK, &packet);
                bodies.push(content[4 + topic..].to_vec());
            }
            next = self.buffered();
        }
        self.flush().await?;
        Ok(bodies)
    }

    async fn packet(&mut self) -> Outcome<(u8, Vec<u8>)> {
        loop {
            if let Some(packet) = self.buffered() {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("mosquitto closed the connection".into());
            }
        }
    }

    fn buffered(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut length, mut shift, mut at) = (0_usize, 0, 1);
        loop {
            let byte = *self.input.get(at)?;
            length |= usize::from(byte & 0x7F) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.input.len() < at + length {
            return None;
        }
        let kind = self.input[0];
        self.input.advance(at);
        Some((kind, self.input.split_to(length).to_vec()))
    }
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u16).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}
