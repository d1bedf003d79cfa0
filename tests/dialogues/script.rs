//! Reads the dialogues of `tests/dialogues/server/*.smtp`.
//!
//! The first line names the rule: `# RFC 5321 §4.1.1.2: title`. Then, one a line:
//!
//! | line | meaning |
//! |---|---|
//! | `# …` and empty lines | nothing |
//! | `set KEY VALUE` | the server's configuration, before the dialogue: a key of `[limits]`, `role` (`mx` or `submission`), `policyd gone`, `qmgr gone` or `qmgr full`, and `split no` where it matters that what is sent together arrives together |
//! | `c: text` | the client sends the text with CRLF; what stands in a row is sent together |
//! | `c<: text` | the same as it is: no CRLF, `\r` `\n` `\0` `\\` `\xNN` stand for bytes, and `\{N×text}` for N times the text |
//! | `s: text` | the server sends this line; `...` at its end stands for any rest |
//! | `close` | the server closes the connection |
//! | `gone` | the client closes the connection |
//! | `wait SECONDS` | time passes |
//! | `drain` | the server is asked to end |
//! | `queued N` | so many messages have reached the queue |
//! | `content<: text` | the content of the last one, as for `c<:` |
//!
//! The server is `mx.mail.test`; `alice`, `bob` and `postmaster` at `mail.test` and at the server's
//! name are known, and nobody may relay.

use std::path::{Path, PathBuf};

/// One file.
#[derive(Debug)]
pub struct Script {
    pub path: PathBuf,
    /// `RFC 5321 §4.1.1.2: title`
    pub title: String,
    pub settings: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

/// What happens next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Send(Vec<u8>),
    Expect(String),
    Close,
    Gone,
    Wait(u64),
    Drain,
    Queued(usize),
    Content(Vec<u8>),
}

/// All scripts of a directory, by name.
pub fn all(directory: &Path) -> Vec<Script> {
    let files = std::fs::read_dir(directory).expect("the directory of the dialogues");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "smtp"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable dialogue");
        parse(path.clone(), &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.into_iter().map(read).collect()
}

/// Does a line of the server fit what was expected?
pub fn fits(expected: &str, line: &str) -> bool {
    expected.strip_suffix("...").map_or(line == expected, |start| line.starts_with(start))
}

impl Script {
    /// The value of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings.find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

fn parse(path: PathBuf, text: &str) -> Result<Script, String> {
    let title = text.lines().next().and_then(|line| line.strip_prefix("# RFC "));
    let title = format!("RFC {}", title.ok_or("the first line is not `# RFC …`")?);
    let mut script = Script { path, title, settings: Vec::new(), steps: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        let error = |what: &str| format!("line {}: {what}: {line}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(setting) = line.strip_prefix("set ") {
            let (key, value) = setting.split_once(' ').ok_or_else(|| error("no value"))?;
            script.settings.push((key.to_owned(), value.to_owned()));
            continue;
        }
        let step = step(line).ok_or_else(|| error("unknown"))?;
        match (step, script.steps.last_mut()) {
            (Step::Send(more), Some(Step::Send(before))) => before.extend(more),
            (step, _) => script.steps.push(step),
        }
    }
    Ok(script)
}

fn step(line: &str) -> Option<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    Some(match word {
        "c:" => Step::Send(format!("{rest}\r\n").into_bytes()),
        "c<:" => Step::Send(unescape(rest)?),
        "s:" => Step::Expect(rest.to_owned()),
        "close" => Step::Close,
        "gone" => Step::Gone,
        "wait" => Step::Wait(rest.parse().ok()?),
        "drain" => Step::Drain,
        "queued" => Step::Queued(rest.parse().ok()?),
        "content<:" => Step::Content(unescape(rest)?),
        _ => return None,
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let mut chars = escape.chars();
        rest = match chars.next()? {
            'r' => push(&mut out, b'\r', chars.as_str()),
            'n' => push(&mut out, b'\n', chars.as_str()),
            '0' => push(&mut out, 0, chars.as_str()),
            '\\' => push(&mut out, b'\\', chars.as_str()),
            'x' => {
                let (hex, rest) = chars.as_str().split_at_checked(2)?;
                push(&mut out, u8::from_str_radix(hex, 16).ok()?, rest)
            }
            '{' => {
                let (repeated, rest) = chars.as_str().split_once('}')?;
                let (times, text) = repeated.split_once('×')?;
                out.extend(unescape(text)?.repeat(times.parse().ok()?));
                rest
            }
            _ => return None,
        };
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

fn push<'a>(out: &mut Vec<u8>, byte: u8, rest: &'a str) -> &'a str {
    out.push(byte);
    rest
}
