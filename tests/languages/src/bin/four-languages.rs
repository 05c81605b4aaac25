//! Four languages, one chat: a client in each language registers at one node, everybody writes to everybody at once, and in
//! the end both sides of each conversation hold the same messages in the same order, all of them read.
//!
//! `four-languages NODE LANGUAGE=PROGRAM…`: the node's program, and each actor's, with its arguments if it has any.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use chasqui_languages::{Answer, Line, Order};

/// Texts that each sends to each other.
const EACH: u32 = 20;
/// For one answer. A browser or a virtual machine may have to start first.
const PATIENCE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "correct horse";

fn main() -> ExitCode {
    match play() {
        Ok(passed) => {
            println!("{passed} passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// Says how many conversations were compared.
fn play() -> Result<u32, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let node = arguments.next().ok_or("usage: four-languages NODE LANGUAGE=PROGRAM…")?;
    // Outside of a folder of the system, so that an actor that lives in a folder of its own sees it.
    let stage = tempfile::tempdir_in(std::env::current_dir()?.join("target"))?;
    let mut serve = Command::new(node);
    serve.args(["serve", "--log", "error", "--allowed-origins", "*", "--listen", "127.0.0.1:0", "--data"]);
    serve.arg(stage.path().join("relay"));
    let mut node = Process::start("node", serve)?;
    let listening: serde_json::Value = serde_json::from_str(&node.hear()?)?;
    let url = format!("http://{}", listening["address"].as_str().ok_or("the node does not say where it listens")?);

    let mut actors = Vec::new();
    for argument in arguments {
        let (language, program) = argument.split_once('=').ok_or("an actor is LANGUAGE=PROGRAM")?;
        actors.push(Actor::start(language, program)?);
    }
    if actors.len() < 2 {
        return Err("a chat takes two".into());
    }
    for actor in &mut actors {
        actor.tell(&actor.registration(stage.path(), &url))?;
    }
    all_done(&mut actors)?;
    let names: Vec<String> = actors.iter().map(|actor| actor.name.clone()).collect();
    // Round by round, so that all write at the same time.
    for step in 1..names.len() {
        for (place, actor) in actors.iter_mut().enumerate() {
            actor.tell(&Order::Write { to: names[(place + step) % names.len()].clone(), count: EACH })?;
        }
        all_done(&mut actors)?;
    }
    let compared = compare(&mut actors, &names)?;
    for actor in &mut actors {
        actor.process.leave()?;
    }
    Ok(compared)
}

fn all_done(actors: &mut [Actor]) -> Result<(), Box<dyn Error>> {
    for actor in actors {
        match actor.hear()? {
            Answer::Done => {}
            other => return Err(format!("{}: {other:?}", actor.name).into()),
        }
    }
    Ok(())
}

/// Both sides of every conversation settle at the same time: each waits for the other to read.
fn compare(actors: &mut [Actor], names: &[String]) -> Result<u32, Box<dyn Error>> {
    let mut passed = 0;
    for first in 0..actors.len() {
        for second in first + 1..actors.len() {
            for (one, other) in [(first, second), (second, first)] {
                actors[one].tell(&Order::Settle { with: names[other].clone(), messages: 2 * EACH })?;
            }
            let sides = [actors[first].history()?, actors[second].history()?];
            check(&sides, [&names[first], &names[second]])?;
            println!("{} and {}: the same {} messages, all read", names[first], names[second], sides[0].len());
            passed += 1;
        }
    }
    Ok(passed)
}

fn check([one, other]: &[Vec<Line>; 2], names: [&str; 2]) -> Result<(), Box<dyn Error>> {
    if one != other {
        return Err(format!("{} and {} differ: {one:#?} and {other:#?}", names[0], names[1]).into());
    }
    if !one.windows(2).all(|pair| pair[0].seq < pair[1].seq) {
        return Err(format!("{} and {}: not in the order of their positions", names[0], names[1]).into());
    }
    for [from, to] in [[names[0], names[1]], [names[1], names[0]]] {
        let own = format!("{from} to {to} ");
        let texts: Vec<&str> =
            one.iter().map(|line| line.text.as_str()).filter(|text| text.starts_with(&own)).collect();
        let wanted: Vec<String> = (1..=EACH).map(|number| format!("{own}{number}")).collect();
        if texts != wanted {
            return Err(format!("what {from} wrote to {to}: {texts:?}").into());
        }
    }
    Ok(())
}

/// A client in some language. Its user is called like the language.
struct Actor {
    name: String,
    process: Process,
}

impl Actor {
    fn start(language: &str, program: &str) -> Result<Self, Box<dyn Error>> {
        let mut words = program.split_whitespace();
        let mut command = Command::new(words.next().ok_or("an actor needs a program")?);
        command.args(words);
        Ok(Self { name: language.to_owned(), process: Process::start(language, command)? })
    }

    fn registration(&self, stage: &Path, node: &str) -> Order {
        let folder = stage.join(&self.name).display().to_string();
        Order::Register { folder, node: node.to_owned(), name: self.name.clone(), password: PASSWORD.into() }
    }

    fn tell(&mut self, order: &Order) -> Result<(), Box<dyn Error>> {
        self.process.tell(&serde_json::to_string(order)?)
    }

    fn hear(&mut self) -> Result<Answer, Box<dyn Error>> {
        let line = self.process.hear()?;
        serde_json::from_str(&line).map_err(|error| format!("{} said {line:?}: {error}", self.name).into())
    }

    fn history(&mut self) -> Result<Vec<Line>, Box<dyn Error>> {
        match self.hear()? {
            Answer::History { lines } => Ok(lines),
            other => Err(format!("{}: {other:?}", self.name).into()),
        }
    }
}

/// A program whose lines are heard. It does not outlive this one.
struct Process {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(name: &str, mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (orders, output) = (child.stdin.take(), child.stdout.take().ok_or("no stdout")?);
        let (heard, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name: name.to_owned(), child, orders, lines })
    }

    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let orders = self.orders.as_mut().ok_or("no stdin")?;
        writeln!(orders, "{line}")?;
        Ok(orders.flush()?)
    }

    /// Nobody speaks any more: it removes what is its own, and its output ends.
    fn leave(&mut self) -> Result<(), Box<dyn Error>> {
        drop(self.orders.take());
        match self.lines.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("{} does not leave", self.name).into()),
            Ok(line) => Err(format!("{} says {line} at the end", self.name).into()),
        }
    }

    fn hear(&mut self) -> Result<String, Box<dyn Error>> {
        self.lines.recv_timeout(PATIENCE).map_err(|error| format!("{} says nothing: {error}", self.name).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Whoever does not leave when nobody speaks any more is not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
