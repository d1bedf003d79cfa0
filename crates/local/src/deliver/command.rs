//! Delivery to a command: argv without a shell, a scrubbed environment, the message on its
//! standard input, and an exit code of sysexits.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use envelope::{Detail, Enhanced, Status};
use ipc::mailbox::Store;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use super::content::Quoting;
use super::letter::Letter;
use super::{Answer, fault};

/// How long a command may take.
const TIME: Duration = Duration::from_secs(10 * 60);
/// How long what it left in the background may keep its output open.
const GRACE: Duration = Duration::from_secs(1);
/// Bytes of output that are looked at for its first line.
const MAX_OUTPUT: usize = 1024;
const BUFFER: usize = 64 * 1024;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Who says that it is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `local.mailbox`
    Configuration,
    /// An alias, or a user's `.forward`, which may say what a failure is to mean.
    User { failure: Option<u8> },
}

impl Source {
    /// The exit code that a failure is to mean.
    fn takes(self, ended: ExitStatus) -> ExitStatus {
        match self {
            Self::User { failure: Some(code) } if ended.code().is_some_and(|code| code != 0) => {
                ExitStatus::from_raw(i32::from(code) << 8)
            }
            Self::User { .. } | Self::Configuration => ended,
        }
    }
}

pub(crate) async fn deliver(argv: Vec<String>, letter: Letter, source: Source) -> Answer {
    let letter = Arc::new(letter);
    (letter.store.number, run(&argv, &letter, source, TIME).await)
}

async fn run(argv: &[String], letter: &Arc<Letter>, source: Source, time: Duration) -> Status {
    let Some((program, arguments)) = argv.split_first() else {
        return Status::fault("the command is empty");
    };
    let mut command = Command::new(program);
    command.args(arguments);
    set_up(&mut command, &letter.store);
    match command.spawn() {
        Ok(child) => attend(program, child, letter, (source, time)).await,
        // The command that the configuration names cannot be started: a fault of ours.
        Err(error) if source == Source::Configuration => {
            Status::fault(format!("{program}: {error}"))
        }
        // smrsh(8)'s words. X.3.5: not configured as it should be.
        Err(error) => {
            let name = program.rsplit('/').next().unwrap_or(program);
            let text = format!("\"{name}\" not available for sendmail programs ({error})");
            Status::Deferred(Detail::ours(Enhanced(3, 5), text))
        }
    }
}

fn set_up(command: &mut Command, store: &Store) {
    let home: &Path = &store.home;
    let detail = store.detail.as_deref().unwrap_or_default();
    command
        .env_clear()
        .env("HOME", home)
        .env("USER", &store.user)
        .env("LOGNAME", &store.user)
        .env("SHELL", "/bin/sh")
        .env("PATH", PATH)
        .env("SENDER", store.reverse_path.to_string())
        .env("RECIPIENT", store.recipient.to_string())
        .env("EXTENSION", detail)
        .current_dir(if home.is_dir() { home } else { Path::new("/") })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
}

async fn attend(
    program: &str,
    mut child: Child,
    letter: &Arc<Letter>,
    (source, time): (Source, Duration),
) -> Status {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let fed = feed(child.stdin.take(), letter);
    let errors = beginning(child.stderr.take());
    let output = beginning(child.stdout.take());
    let Ok(ended) = tokio::time::timeout(time, child.wait()).await else {
        if let Some(group) = group {
            // It may have ended this very moment.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        // The command is the user's or the administrator's: this expires as anything else.
        let text = format!("{program}: took longer than {} s", time.as_secs());
        return Status::Deferred(Detail::ours(fault::MAILBOX, text));
    };
    if let Ok(Ok(Err(error))) = tokio::time::timeout(GRACE, fed).await {
        return fault::status(&format!("the content, for {program}"), &error);
    }
    let said = match first_line(errors).await {
        said if said.is_empty() => first_line(output).await,
        said => said,
    };
    match ended {
        Ok(ended) => status(program, source.takes(ended), &said),
        Err(error) => fault::status(program, &error),
    }
}

/// Writes the message to the command from another thread. A command need not read everything.
fn feed(stdin: Option<ChildStdin>, letter: &Arc<Letter>) -> JoinHandle<io::Result<()>> {
    let letter = Arc::clone(letter);
    tokio::task::spawn_blocking(move || {
        let Some(stdin) = stdin else {
            return Ok(());
        };
        let mut out = BufWriter::with_capacity(BUFFER, File::from(stdin.into_owned_fd()?));
        let Letter { store, content } = &*letter;
        match content.write(&mut out, store, Quoting::None).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    })
}

/// Reads output to its end, so that the command never waits for us, and keeps its beginning.
fn beginning<R: AsyncRead + Unpin + Send + 'static>(output: Option<R>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut kept = Vec::new();
        let Some(mut output) = output else {
            return kept;
        };
        let mut room = [0; MAX_OUTPUT];
        while let Ok(read @ 1..) = output.read(&mut room).await {
            let wanted = read.min(MAX_OUTPUT - kept.len());
            kept.extend_from_slice(room.get(..wanted).unwrap_or_default());
        }
        kept
    })
}

/// The first line that is not empty.
async fn first_line(mut output: JoinHandle<Vec<u8>>) -> String {
    let Ok(Ok(kept)) = tokio::time::timeout(GRACE, &mut output).await else {
        output.abort();
        return String::new();
    };
    let text = String::from_utf8_lossy(&kept);
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// What an exit code means to sendmail (sysexits.h, and its texts), in the words of the command
/// where it said something.
fn status(program: &str, ended: ExitStatus, said: &str) -> Status {
    let Some(code) = ended.code() else {
        let signal = ended.signal().unwrap_or_default();
        let text = format!("{program}: ended by signal {signal}");
        return Status::Deferred(Detail::ours(fault::MAILBOX, text));
    };
    let (class, enhanced, meaning): (fn(Detail) -> Status, _, _) = match code {
        0 => (Status::Delivered, Enhanced::UNDEFINED, "delivered to command"),
        64 => (Status::Failed, Enhanced::UNDEFINED, "Command line usage error"),
        65 => (Status::Failed, Enhanced(6, 0), "Data format error"),
        66 => (Status::Failed, Enhanced::SYSTEM, "Cannot open input"),
        67 => (Status::Failed, Enhanced::BAD_MAILBOX, "User unknown"),
        68 => (Status::Failed, Enhanced::BAD_SYSTEM, "Host unknown"),
        69 => (Status::Failed, Enhanced::UNDEFINED, "Service unavailable"),
        70 => (Status::Failed, Enhanced::SYSTEM, "Internal error"),
        71 => (Status::Deferred, Enhanced::UNDEFINED, "Operating system error"),
        72 => (Status::Failed, Enhanced(3, 5), "System file missing"),
        73 => (Status::Failed, Enhanced::UNDEFINED, "Can't create output"),
        74 => (Status::Deferred, Enhanced::UNDEFINED, "I/O error"),
        75 => (Status::Deferred, Enhanced::UNDEFINED, "Deferred"),
        76 => (Status::Failed, Enhanced::PROTOCOL, "Remote protocol error"),
        77 => (Status::Failed, Enhanced(7, 0), "Insufficient permission"),
        78 => (Status::Failed, Enhanced(3, 5), "Local configuration error"),
        // A shell's way to say that it could not start a program: not the sender's fault.
        126 | 127 => (Status::Deferred, fault::MAILBOX, "Command not found"),
        129..=159 => (Status::Deferred, fault::MAILBOX, "Ended by a signal"),
        _ => (Status::Failed, Enhanced::SYSTEM, "unknown mailer error"),
    };
    let text = match (code, said) {
        (0, _) => meaning.to_owned(),
        (_, "") => format!("{meaning} ({program}: exit {code})"),
        (_, said) => format!("{meaning}: {said} ({program}: exit {code})"),
    };
    class(Detail::ours(enhanced, text))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::Instant;

    use bytes::Bytes;
    use nix::libc::O_NONBLOCK;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::content::Content;
    use crate::letter;

    #[test]
    fn exit_codes_as_sendmail_reads_them() {
        let code = |code: i32, said| status("x", ExitStatus::from_raw(code << 8), said);
        let cases = [
            (0, "2.0.0"),
            (64, "5.0.0"),
            (65, "5.6.0"),
            (66, "5.3.0"),
            (67, "5.1.1"),
            (68, "5.1.2"),
            (69, "5.0.0"),
            (70, "5.3.0"),
            (71, "4.0.0"),
            (72, "5.3.5"),
            (73, "5.0.0"),
            (74, "4.0.0"),
            (75, "4.0.0"),
            (76, "5.5.0"),
            (77, "5.7.0"),
            (78, "5.3.5"),
            (126, "4.2.0"),
            (127, "4.2.0"),
            (137, "4.2.0"),
            (1, "5.3.0"),
            (255, "5.3.0"),
        ];
        for (exit, dsn) in cases {
            assert_eq!(code(exit, "").code(), dsn, "exit {exit}");
        }
        let text = code(67, "nobody here").detail().text.clone();
        assert_eq!(text, "User unknown: nobody here (x: exit 67)");
        assert_eq!(status("x", ExitStatus::from_raw(9), "").code(), "4.2.0");
    }
    #[test]
    fn a_command_that_takes_too_long_ends_with_all_that_it_started() {
        let home = tempfile::tempdir().unwrap();
        let fifo = home.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let mut open = OpenOptions::new();
        let mut reader = open.read(true).custom_flags(O_NONBLOCK).open(&fifo).unwrap();
        let store = Store { home: home.path().to_owned(), ..letter::tests::store() };
        let content = Content::new(Bytes::from_static(b"x"), None, 1, 0);
        let letter = Arc::new(Letter { store, content });
        let argv = ["/bin/sh", "-c", "exec 3>fifo; sleep 1000000 & wait"].map(String::from);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status =
            runtime.block_on(run(&argv, &letter, Source::Configuration, Duration::from_secs(2)));
        assert_eq!(status.to_string(), "4.2.0 (/bin/sh: took longer than 2 s)");
        // The end of the file comes when the last writer is gone.
        let deadline = Instant::now() + Duration::from_secs(60);
        while reader.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            assert!(Instant::now() < deadline, "what it started goes on");
            std::thread::yield_now();
        }
    }
}
