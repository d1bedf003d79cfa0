//! Options as getopt(3) reads them, for the small commands.

use crate::{Exit, Failure};

/// What stands in a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Flag(char),
    /// An option and its argument.
    Option(char, String),
    /// What is no option.
    Plain(String),
}

/// The words of a command line; in `letters` a colon follows each letter that takes an argument.
///
/// # Errors
/// Exit code 64: a letter that is not there, or has no argument.
pub(crate) fn read(
    letters: &str,
    words: impl IntoIterator<Item = String>,
) -> Result<Vec<Word>, Failure> {
    let mut read = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            read.extend(words.by_ref().map(Word::Plain));
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            options(letters, cluster, &mut words, &mut read)?;
        } else {
            read.push(Word::Plain(word));
        }
    }
    Ok(read)
}

fn options(
    letters: &str,
    cluster: &str,
    words: &mut impl Iterator<Item = String>,
    read: &mut Vec<Word>,
) -> Result<(), Failure> {
    let wrong = |text: String| Failure::new(Exit::Usage, text);
    let mut rest = cluster.chars();
    while let Some(letter) = rest.next() {
        let Some((_, after)) = letters.split_once(letter).filter(|_| letter != ':') else {
            return Err(wrong(format!("invalid option -- '{letter}'")));
        };
        if !after.starts_with(':') {
            read.push(Word::Flag(letter));
            continue;
        }
        let glued = rest.as_str().to_owned();
        let argument = if glued.is_empty() { words.next() } else { Some(glued) };
        let missing = || wrong(format!("option requires an argument -- '{letter}'"));
        read.push(Word::Option(letter, argument.ok_or_else(missing)?));
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Vec<Word>, Failure> {
        read("ab:", line.split(' ').map(str::to_owned))
    }

    #[test]
    fn letters_and_arguments() {
        let option = |text: &str| Word::Option('b', text.to_owned());
        let plain = |text: &str| Word::Plain(text.to_owned());
        let read = read_line("-aab1 x -b 2 - -- -a").unwrap();
        let a = Word::Flag('a');
        assert_eq!(
            read,
            [a.clone(), a, option("1"), plain("x"), option("2"), plain("-"), plain("-a")]
        );
        for wrong in ["-c", "-:", "-b", "-ac"] {
            assert_eq!(read_line(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }
}
