//! Which part of a script is said when, and on which device. Pure.
//!
//! Three parts: everybody is there; somebody is away; everybody is there again. Ana speaks on her phone and on her
//! laptop in turn.

use crate::script::{Line, Person, Script};

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Phone,
    Laptop,
    Bo,
}

/// Consecutive messages on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn<'a> {
    pub(crate) seat: Seat,
    pub(crate) texts: Vec<&'a str>,
}

/// How a part is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Everybody listens to what came before: the order of the script.
    InTurn(Vec<Turn<'a>>),
    /// Both users speak at once, each in the order of the script.
    AtOnce { ana: Vec<Turn<'a>>, bo: Vec<&'a str> },
}

/// A whole script.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) before: Part<'a>,
    pub(crate) ana_apart: Vec<Turn<'a>>,
    pub(crate) bo_apart: Vec<&'a str>,
    /// Who is away in between: somebody for whom the messages of that part have to wait.
    pub(crate) away: Seat,
    pub(crate) after: Part<'a>,
}

/// Turns that are played one by one; each costs a way from device to device and some commits.
const MAX_TURNS: usize = 100;

impl<'a> Plan<'a> {
    pub(crate) fn of(script: &'a Script) -> Self {
        let lines = script.lines.as_slice();
        let (from, until) = middle(lines);
        let apart = &lines[from..until];
        let (ana_apart, bo_apart) = (ana_turns(apart), texts_of(apart, Person::Bo));
        // Ana's mail waits for Bo. Where only Bo speaks, his mail has to wait for one of Ana's devices.
        let away = if ana_apart.is_empty() && !bo_apart.is_empty() { Seat::Laptop } else { Seat::Bo };
        Self { before: part(&lines[..from]), ana_apart, bo_apart, away, after: part(&lines[until..]) }
    }
}

/// The second third; grown until Ana says something in it, if she says anything at all.
fn middle(lines: &[Line]) -> (usize, usize) {
    let (from, until) = (lines.len() / 3, lines.len() - lines.len() / 3);
    let ana = |line: &Line| line.from == Person::Ana;
    if lines[from..until].iter().any(ana) {
        (from, until)
    } else if let Some(later) = lines[until..].iter().position(ana) {
        (from, until + later + 1)
    } else if let Some(earlier) = lines[..from].iter().rposition(ana) {
        (earlier, until)
    } else {
        (from, until)
    }
}

fn part(lines: &[Line]) -> Part<'_> {
    let turns = turns(lines);
    if turns.len() <= MAX_TURNS {
        Part::InTurn(turns)
    } else {
        Part::AtOnce { ana: ana_turns(lines), bo: texts_of(lines, Person::Bo) }
    }
}

fn texts_of(lines: &[Line], person: Person) -> Vec<&str> {
    lines.iter().filter(|line| line.from == person).map(|line| line.text.as_str()).collect()
}

/// What Ana says, regardless of Bo, in a few runs.
fn ana_turns(lines: &[Line]) -> Vec<Turn<'_>> {
    let texts = texts_of(lines, Person::Ana);
    let seats = [Seat::Phone, Seat::Laptop].into_iter().cycle();
    texts.chunks(run_length(texts.len())).zip(seats).map(|(texts, seat)| Turn { seat, texts: texts.to_vec() }).collect()
}

/// The lines in their order. Ana changes the device when Bo has spoken, and within a long speech.
fn turns(lines: &[Line]) -> Vec<Turn<'_>> {
    let longest = run_length(lines.iter().filter(|line| line.from == Person::Ana).count());
    let mut seats = [Seat::Phone, Seat::Laptop].into_iter().cycle();
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for line in lines {
        let text = line.text.as_str();
        match (turns.last_mut(), line.from) {
            (Some(turn), Person::Bo) if turn.seat == Seat::Bo => turn.texts.push(text),
            (Some(turn), Person::Ana) if turn.seat != Seat::Bo && turn.texts.len() < longest => turn.texts.push(text),
            (_, Person::Bo) => turns.push(Turn { seat: Seat::Bo, texts: vec![text] }),
            (_, Person::Ana) => {
                turns.extend(seats.next().map(|seat| Turn { seat, texts: vec![text] }));
            }
        }
    }
    turns
}

/// Four runs, but not of single messages.
fn run_length(texts: usize) -> usize {
    texts.div_ceil(4).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(speakers: &str) -> Script {
        let line = |speaker| Line { from: if speaker == 'a' { Person::Ana } else { Person::Bo }, text: "x".into() };
        Script { lines: speakers.chars().map(line).collect() }
    }

    fn shown(part: &Part<'_>) -> String {
        match part {
            Part::InTurn(turns) => show_turns(turns),
            Part::AtOnce { ana, bo } => format!("{} | {}", show_turns(ana), bo.len()),
        }
    }

    fn show_turns(turns: &[Turn<'_>]) -> String {
        let show = |turn: &Turn<'_>| format!("{:?}{}", turn.seat, turn.texts.len());
        turns.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(speakers: &str, expected: &str) {
        let script = script(speakers);
        let plan = Plan::of(&script);
        let apart = format!("{} | {}, {:?} away", show_turns(&plan.ana_apart), plan.bo_apart.len(), plan.away);
        assert_eq!(format!("{} / {apart} / {}", shown(&plan.before), shown(&plan.after)), expected);
    }

    #[test]
    fn thirds() {
        check("", " /  | 0, Bo away / ");
        check("a", " / Phone1 | 0, Bo away / ");
        check("b", " /  | 1, Laptop away / ");
        check("ababab", "Phone1 Bo1 / Phone1 | 1, Bo away / Phone1 Bo1");
        check("aaaaaaaaa", "Phone2 Laptop1 / Phone2 Laptop1 | 0, Bo away / Phone2 Laptop1");
    }

    #[test]
    fn the_middle_grows_to_the_nearest_word_of_ana() {
        check("bbbbba", "Bo2 / Phone1 | 3, Bo away / ");
        check("abbbbb", " / Phone1 | 3, Bo away / Bo2");
        check("bbbbbb", "Bo2 /  | 2, Laptop away / Bo2");
    }

    #[test]
    fn a_long_dialogue_is_spoken_at_once() {
        let script = script(&"ab".repeat(600));
        let plan = Plan::of(&script);
        assert_eq!(shown(&plan.before), "Phone50 Laptop50 Phone50 Laptop50 | 200");
    }
}
