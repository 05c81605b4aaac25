//! Full-text search over the local history (FTS5).
//!
//! Words are folded (case, width, accents) and matched by prefix. Scripts that write without spaces (Han, kana, Hangul,
//! Thai and their neighbours) are cut into single characters and overlapping pairs, so that words of one and two
//! characters are found without a dictionary: a run in the query must occur as consecutive pairs.

use chasqui_wire::{Content, ContentKind};
use rusqlite::{Connection, params};

use super::unicode::{compose, decompose, is_combining_mark};
use super::{Ask as _, MessageKey, MessageKind, RowExt as _, StoreError, timeline};
use crate::domain::SearchHit;

/// What the index is to learn. Worked out where the message is at hand, written later.
#[derive(Debug)]
pub(crate) enum IndexChange {
    /// Makes a message findable.
    Add(MessageKey, Terms),
    /// Makes it unfindable.
    Remove(MessageKey),
}

impl IndexChange {
    pub(crate) fn add(key: MessageKey, text: &str) -> Self {
        Self::Add(key, Terms::of(text))
    }

    pub(crate) fn apply(&self, connection: &Connection) -> Result<(), StoreError> {
        match self {
            Self::Add(key, terms) => {
                let sql = "INSERT INTO message_index (rowid, words, singles, pairs) VALUES (?, ?, ?, ?)";
                let parameters = params![key.0, &terms.words, terms.singles(), terms.pairs()];
                connection.run(sql, parameters)?;
            }
            Self::Remove(key) => {
                connection.run("DELETE FROM message_index WHERE rowid = ?", params![key.0])?;
            }
        }
        Ok(())
    }
}

/// Makes every message findable, in an index that is empty.
pub(crate) fn index_all(connection: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT id, message, body FROM message WHERE deleted = 0 AND kind = ? AND body IS NOT NULL ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([MessageKind::Content as i64])?;
    while let Some(row) = rows.next()? {
        let body = row.get::<_, Vec<u8>>("body")?.into();
        if let Ok(Content { kind: ContentKind::Text(text), .. }) = Content::decode(body, row.wire("message")?) {
            IndexChange::add(MessageKey(row.get("id")?), &text).apply(connection)?;
        }
    }
    Ok(())
}

/// Messages that hold every term of `query`, newest first. A query without letters or digits finds nothing.
pub(crate) fn find(connection: &Connection, query: &str, limit: u32) -> Result<Vec<SearchHit>, StoreError> {
    let Some(expression) = Terms::of(query).expression() else { return Ok(Vec::new()) };
    let sql = "SELECT rowid FROM message_index WHERE message_index MATCH ? ORDER BY rowid DESC LIMIT ?";
    let keys = connection.all(sql, params![expression, limit], |row| row.get(0))?;
    let mut hits = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some((message, cursor)) = timeline::show_with_cursor(connection, MessageKey(key))? {
            hits.push(SearchHit { message, cursor });
        }
    }
    Ok(hits)
}

/// A text as what is indexed of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// Each followed by a space.
    words: String,
    /// Characters of scripts without spaces, run by run.
    runs: Vec<Vec<char>>,
    /// The run that is not complete yet.
    run: Vec<char>,
}

impl Terms {
    fn of(text: &str) -> Self {
        let mut terms = Self { words: String::with_capacity(text.len() + 1), ..Self::default() };
        decompose(text, |character| match character {
            '\0'..='\x7f' => terms.take(character.to_ascii_lowercase()),
            _ => character.to_lowercase().for_each(|character| terms.take(character)),
        });
        terms.end_word();
        terms.end_run();
        terms
    }

    fn take(&mut self, character: char) {
        if is_unspaced(character) {
            self.end_word();
            self.run.push(character);
        } else if character >= FIRST_COMBINING_MARK && is_combining_mark(character) {
            // An accent belongs to what stands before it and does not count.
        } else if character.is_alphanumeric() {
            self.end_run();
            self.words.push(character);
        } else {
            self.end_word();
            self.end_run();
        }
    }

    fn end_word(&mut self) {
        if !self.words.is_empty() && !self.words.ends_with(' ') {
            self.words.push(' ');
        }
    }

    fn end_run(&mut self) {
        if !self.run.is_empty() {
            // NFKD took Hangul syllables apart; a syllable is what people call a character.
            self.runs.push(compose(self.run.drain(..)));
        }
    }

    fn singles(&self) -> String {
        let mut out = String::new();
        for character in self.runs.iter().flatten() {
            out.push(*character);
            out.push(' ');
        }
        out
    }

    /// Pairs of a run stand next to each other; the `x` keeps the runs apart.
    fn pairs(&self) -> String {
        self.runs.iter().map(|run| pairs_of(run)).collect::<Vec<_>>().join(" x ")
    }

    /// The FTS5 expression that asks for all of it.
    fn expression(&self) -> Option<String> {
        let words = self.words.split_terminator(' ').map(|word| format!("words : \"{word}\" *"));
        let runs = self.runs.iter().map(|run| match run.as_slice() {
            [single] => format!("singles : \"{single}\""),
            _ => format!("pairs : \"{}\"", pairs_of(run)),
        });
        let all: Vec<String> = words.chain(runs).collect();
        (!all.is_empty()).then(|| all.join(" AND "))
    }
}

fn pairs_of(run: &[char]) -> String {
    run.windows(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Unicode 16, UnicodeData.txt: below it nothing has category M.
const FIRST_COMBINING_MARK: char = '\u{300}';

/// Scripts that are written without spaces between words, and Hangul, whose particles cling to words.
/// Ranges: Unicode 16, Blocks.txt.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF      // Thai, Lao
        | 0x1000..=0x109F    // Myanmar
        | 0x1100..=0x11FF    // Hangul Jamo
        | 0x1780..=0x17FF    // Khmer
        | 0x3005..=0x3007    // iteration mark, closing mark, zero
        | 0x3040..=0x30FF    // Hiragana, Katakana
        | 0x3100..=0x312F    // Bopomofo
        | 0x31F0..=0x31FF    // Katakana extensions
        | 0x3400..=0x4DBF    // Han extension A
        | 0x4E00..=0x9FFF    // Han
        | 0xA960..=0xA97F    // Jamo extended A
        | 0xAC00..=0xD7FF    // Hangul syllables, Jamo extended B
        | 0xF900..=0xFAFF    // compatibility Han
        | 0x20000..=0x3FFFF) // Han extensions B and later
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    #[track_caller]
    fn check(text: &str, query: &str, found: bool) {
        let connection = Connection::open_in_memory().unwrap();
        super::super::migrate(&connection).unwrap();
        IndexChange::add(MessageKey(1), text).apply(&connection).unwrap();
        let Some(expression) = Terms::of(query).expression() else { return assert!(!found, "{query:?} asks nothing") };
        let sql = "SELECT count(*) FROM message_index WHERE message_index MATCH ?";
        let hits: u32 = connection.query_row(sql, [&expression], |row| row.get(0)).unwrap();
        assert_eq!(hits == 1, found, "{query:?} in {text:?} by {expression}");
    }

    /// The same, a whole text at a time, as slow as it is plain.
    fn plainly(text: &str) -> (Vec<String>, Vec<String>) {
        let (mut words, mut runs) = (vec![String::new()], vec![String::new()]);
        for character in text.nfkd().flat_map(char::to_lowercase) {
            let (is_run, is_mark) = (is_unspaced(character), is_combining_mark(character));
            if is_mark && !is_run {
                continue;
            }
            let into = if is_run { &mut runs } else { &mut words };
            if is_run || character.is_alphanumeric() {
                into.last_mut().unwrap().push(character);
            } else {
                words.push(String::new());
            }
            if is_run {
                words.push(String::new());
            } else {
                runs.push(String::new());
            }
        }
        words.retain(|word| !word.is_empty());
        runs.retain(|run| !run.is_empty());
        (words, runs.iter().map(|run| run.nfc().collect()).collect())
    }

    proptest! {
        #[test]
        fn cutting_a_text_at_ascii_changes_nothing(text in "([a-zA-Z0-9 .,'’-]|\\PC|[àéñüßĐǆ]|[\u{300}-\u{36f}]|[가-힣ァ-ヺｱ-ﾝ北京กขิี]){0,40}") {
            let terms = Terms::of(&text);
            let runs: Vec<String> = terms.runs.iter().map(|run| run.iter().collect()).collect();
            let words: Vec<String> = terms.words.split_terminator(' ').map(str::to_owned).collect();
            prop_assert_eq!((words, runs), plainly(&text));
        }
    }

    #[test]
    fn words_by_prefix_case_and_accent() {
        check("Nos vemos en el CAFÉ mañana", "cafe", true);
        check("Nos vemos en el CAFÉ mañana", "manana vem", true);
        check("Nos vemos en el café", "afe", false);
        check("Straße ＡＢＣ", "abc", true);
        check("don't \"quote\" NEAR(x) OR *", "\"quote\" OR", true);
        check("anything", "\"*()!?", false);
    }

    #[test]
    fn scripts_without_spaces() {
        check("我们明天去北京吃饭", "北京", true);
        check("我们明天去北京吃饭", "饭", true);
        check("我们明天去北京吃饭", "明天去北京", true);
        check("我们明天去北京吃饭", "北去", false);
        check("AB北 京", "北京", false);
        check("東京タワーで会いましょう", "タワー", true);
        check("東京タワーで会いましょう", "で", true);
        check("ガ", "ガ", true);
        check("ｶﾞ", "ガ", true);
        check("내일 서울에서 만나요", "서울", true);
        check("내일 서울에서 만나요", "만", true);
        check("พรุ่งนี้ไปกินข้าวกัน", "ข้าว", true);
        check("พรุ่งนี้ไปกินข้าวกัน", "กิน", true);
        check("พรุ่งนี้ไปกินข้าวกัน", "ดี", false);
        check("iPhone手机", "手机 iphone", true);
    }
}
