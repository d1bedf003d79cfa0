//! The two messages of the demo.

use std::process::Stdio;
use std::time::Duration;

use envelope::{QueueId, printable};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::ground::{Ground, HOSTNAME, USER};
use super::say;
use crate::pennypost::start::find;
use crate::{Exit, Failure};

/// How long a whole submission may take.
const SUBMISSION: Duration = Duration::from_secs(30);
/// Bytes of a reply line that are read (RFC 5321 §4.5.3.1.5 allows 512).
const MAX_LINE: u64 = 4096;

const LETTER: &str = "\
From: A stranger <stranger@example.net>
To: Alice <alice@demo.example>
Subject: Hello from the network

Dear Alice,

this came through SMTP: smtpd heard it, policyd found that you live here, qmgr
wrote it to disk before anybody said 250, and local put it into your mailbox.
";

const NOTE: &str = "\
Subject: Hello from a program

Dear Alice,

this came through sendmail, as cron and shell scripts send it. The fields that
it lacked (From, Date, Message-ID) were added on the way.
";

/// Speaks SMTP, shows the dialogue, and returns the queue id that the reply names.
pub(super) async fn through_smtp(ground: &Ground) -> Result<QueueId, Failure> {
    let dialogue = async {
        let stream = TcpStream::connect(ground.mx).await.map_err(lost)?;
        let mut dialogue = Dialogue { stream: BufReader::new(stream) };
        dialogue.reply(220).await?;
        dialogue.say("EHLO client.example.net", 250).await?;
        dialogue.say("MAIL FROM:<stranger@example.net>", 250).await?;
        dialogue.say(&format!("RCPT TO:<{USER}@{HOSTNAME}>"), 250).await?;
        dialogue.say("DATA", 354).await?;
        say("   -> (the message)")?;
        dialogue.write(&LETTER.replace('\n', "\r\n")).await?;
        let accepted = dialogue.say(".", 250).await?;
        dialogue.say("QUIT", 221).await?;
        id_in(&accepted)
    };
    within_time(dialogue).await
}

/// Runs the executable `sendmail` as a program would, and returns the queue id that it shows.
pub(super) async fn through_sendmail(ground: &Ground) -> Result<QueueId, Failure> {
    say(&format!("   $ PENNYPOST_ROOT={} sendmail -v -i {USER} < note", ground.root().display()))?;
    let mut command = Command::new(find("sendmail")?);
    command.env("PENNYPOST_ROOT", ground.root()).env("LOGNAME", USER).env("NAME", "Alice");
    command.args(["-v", "-i", USER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let run = async {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().map_err(lost)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(NOTE.as_bytes()).await.map_err(lost)?;
        }
        let output = child.wait_with_output().await.map_err(lost)?;
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        shown.lines().try_for_each(|line| say(&format!("   {}", printable(line))))?;
        if !output.status.success() {
            let text = format!("sendmail ended with {}", output.status);
            return Err(Failure::new(Exit::Unavailable, text));
        }
        id_in(&shown)
    };
    within_time(run).await
}

async fn within_time<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(SUBMISSION, step).await.unwrap_or_else(|_| {
        let text = format!("the mail system did not answer within {} s", SUBMISSION.as_secs());
        Err(Failure::new(Exit::TempFail, text))
    })
}

/// A client that shows what it says and hears.
struct Dialogue {
    stream: BufReader<TcpStream>,
}

impl Dialogue {
    async fn say(&mut self, line: &str, expected: u16) -> Result<String, Failure> {
        say(&format!("   -> {line}"))?;
        self.write(&format!("{line}\r\n")).await?;
        self.reply(expected).await
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.stream.write_all(text.as_bytes()).await.map_err(lost)
    }

    /// The last line of a reply, all of which is shown.
    async fn reply(&mut self, expected: u16) -> Result<String, Failure> {
        loop {
            let mut line = Vec::new();
            let mut reader = (&mut self.stream).take(MAX_LINE);
            reader.read_until(b'\n', &mut line).await.map_err(lost)?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            say(&format!("   <- {}", printable(&line)))?;
            match (line.get(..3), line.get(3..4)) {
                (Some(_), Some("-")) => {}
                (Some(code), _) if code == expected.to_string() => return Ok(line),
                (_, _) => {
                    let text = format!("expected {expected}, and heard: {}", printable(&line));
                    return Err(Failure::new(Exit::Protocol, text));
                }
            }
        }
    }
}

fn lost(error: std::io::Error) -> Failure {
    Failure::new(Exit::IoErr, format!("the conversation broke: {error}"))
}

/// The queue id among these words.
fn id_in(text: &str) -> Result<QueueId, Failure> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| word.parse().ok()).ok_or_else(|| {
        let text = format!("no queue id in: {}", printable(text));
        Failure::new(Exit::Protocol, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_words() {
        let id = QueueId::new(1 << 59).unwrap();
        for text in
            [format!("250 2.0.0 Ok: queued as {id}"), format!("a@b... Accepted (2.0.0 {id}.)")]
        {
            assert_eq!(id_in(&text).unwrap(), id);
        }
        assert!(id_in("250 2.0.0 Ok").is_err());
    }
}
