//! The drop directory: where a message waits when no daemon answers.
//!
//! A file holds `MAIL FROM:<…>`, `RCPT TO:<…>` for each recipient and `DATA`, as a client says
//! them to a server that offers everything, and then the content to the end of the file, with
//! CRLF line ends and its dots as they are. It is written as `tmp.PID.RANDOM`, synced, and renamed
//! to `SECONDS.PID.RANDOM`.
//!
//! **Invariant:** what has its last name is whole and durable.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::sys::signal::{SigSet, Signal};
use smtp::client::{Mail, Session};

/// Leaves the message in `directory`. SIGINT, SIGTERM and SIGHUP wait meanwhile.
///
/// # Errors
/// It is not there, and nothing of it is.
pub(super) fn leave(directory: &Path, mail: &Mail<'_>, content: &[u8]) -> io::Result<()> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let held_back: SigSet = signals.into_iter().collect();
    held_back.thread_block()?;
    let left = write(directory, mail, content);
    held_back.thread_unblock()?;
    left
}

fn write(directory: &Path, mail: &Mail<'_>, content: &[u8]) -> io::Result<()> {
    let name = format!("{}.{:016x}", std::process::id(), fastrand::u64(..));
    let unfinished = directory.join(format!("tmp.{name}"));
    let finished = directory.join(format!("{}.{name}", crate::now()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&unfinished)?;
    let durable = fill(&mut file, mail, content)
        .and_then(|()| fs::rename(&unfinished, &finished))
        .and_then(|()| sync_directory(directory, &file));
    if durable.is_err() {
        // Whichever of the names it has; what is half done must not be found.
        let _ = fs::remove_file(&unfinished);
        let _ = fs::remove_file(&finished);
    }
    durable
}

fn fill(file: &mut File, mail: &Mail<'_>, content: &[u8]) -> io::Result<()> {
    // Whatever the umask says: the group of the directory reads it.
    file.set_permissions(Permissions::from_mode(0o640))?;
    file.write_all(&commands(mail))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Messages that wait there.
pub(super) fn count(directory: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        count += usize::from(!name.to_string_lossy().starts_with("tmp."));
    }
    Ok(count)
}

/// Who may not read the directory cannot sync it by itself, but can sync its file system.
fn sync_directory(directory: &Path, file: &File) -> io::Result<()> {
    match File::open(directory) {
        Ok(directory) => directory.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(nix::unistd::syncfs(file)?)
        }
        Err(error) => Err(error),
    }
}

/// A whole command group, as the client writes it to a server that offers every extension.
fn commands(mail: &Mail<'_>) -> Vec<u8> {
    let mut session = Session::new("drop", "drop");
    session.receive(b"220 drop\r\n");
    let _ = session.outgoing();
    session.receive(
        b"250-drop\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n\
          250 XSUBMIT\r\n",
    );
    session.begin(mail);
    session.outgoing()
}

#[cfg(test)]
mod tests {
    use envelope::{Aliasing, Body, Label, Notify, Recipient, Return, ReversePath, Submission};

    use super::*;

    #[test]
    fn a_file_holds_the_transaction() {
        let directory = tempfile::tempdir().unwrap();
        let mut recipient = Recipient::plain("bob@x.test".parse().unwrap());
        recipient.notify = Notify { success: true, failure: true, delay: false, stated: true };
        let tag = Label::read("cron", Label::WORD);
        let said = Submission { aliasing: Aliasing::Skipped, tag, ..Submission::default() };
        let mail = Mail {
            reverse_path: &ReversePath(Some("alice@here.test".parse().unwrap())),
            recipients: &[recipient, Recipient::plain("carol@x.test".parse().unwrap())],
            body: Body::EightBitMime,
            utf8_headers: true,
            ret: Some(Return::Headers),
            envid: Some("a b"),
            size: 14,
            submission: Some(&said),
        };
        leave(directory.path(), &mail, "A: ä\r\n\r\n.\r\n".as_bytes()).unwrap();
        let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap()).collect();
        assert_eq!(files.len(), 1);
        fs::write(directory.path().join("tmp.1"), "").unwrap();
        assert_eq!(count(directory.path()).unwrap(), 1);
        assert!(files[0].file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(
            fs::read_to_string(files[0].path()).unwrap(),
            "MAIL FROM:<alice@here.test> SIZE=14 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b \
             XNOALIASES XTAG=cron\r\n\
             RCPT TO:<bob@x.test> NOTIFY=SUCCESS,FAILURE\r\nRCPT TO:<carol@x.test>\r\nDATA\r\n\
             A: ä\r\n\r\n.\r\n"
        );
    }

    #[test]
    fn no_directory_no_message() {
        let mail = Mail {
            reverse_path: &ReversePath::NULL,
            recipients: &[],
            body: Body::SevenBit,
            utf8_headers: false,
            ret: None,
            envid: None,
            size: 0,
            submission: None,
        };
        assert!(leave(Path::new("/nonexistent"), &mail, b"").is_err());
    }
}
