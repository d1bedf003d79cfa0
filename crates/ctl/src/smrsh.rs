//! `smrsh -c COMMAND`: runs programs of one directory, and nothing else (smrsh(8)).
//!
//! The rules are those by which aliases and `.forward` run programs ([`envelope::command`]), and like
//! there no shell reads the command.
//!
//! **Invariant:** a program gets `PATH` and nothing else of the caller's environment.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use envelope::command::{Program, Refusal, Step, What, When, parse};
use envelope::printable;
use nix::unistd::{AccessFlags, Uid, access};

use crate::site::Site;
use crate::{Exit, Failure, finish};

const USAGE: &str = "Usage: smrsh -c command";

const HELP: &str = "\
smrsh: run programs of one directory, and no others

Usage: smrsh -c COMMAND

To be used in place of a shell where people who are not to be trusted may name commands. COMMAND is
programs with arguments, echo and exit, joined by && and ||; 'exec' before a program means nothing. Of
a path only the last part counts: the program is looked for in the directory of local.programs
(pennypost.toml; /etc/mail/smrsh). Refused, even in quotes, are  < | > ^ ( ) ; & ` $  and line ends.
No shell reads the command, so that nothing expands.

The exit code is that of the last program; 69: refused, 64: wrong use. What is refused is logged
(facility mail, level crit).

Examples:
  smrsh -c '/usr/bin/vacation alice'
  smrsh -c 'filter --strict && archive || exit 75'
";

/// All that a program finds in its environment.
const PATH: &str = "/bin:/usr/bin:/usr/ucb";
/// Where programs are while the configuration cannot be read.
const PROGRAMS: &str = "smrsh";

/// The whole command.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        ["-c", text] => obey(text),
        ["--help"] => {
            let said = io::stdout().write_all(HELP.as_bytes());
            finish("smrsh", said.map(|()| Exit::Ok).map_err(Failure::from))
        }
        _ => {
            log(LogLevel::Error, "usage");
            finish("smrsh", Err(Failure::new(Exit::Usage, USAGE)))
        }
    }
}

fn obey(text: &str) -> ExitCode {
    let directory = directory(&Site::from_environment());
    match checked(text, &directory).and_then(|steps| run(&steps, &directory)) {
        Ok(code) => ExitCode::from(code),
        Err(Refused { said, logged }) => {
            log(LogLevel::Critical, &format!("uid {}: {logged}", Uid::current()));
            finish("smrsh", Err(Failure::new(Exit::Unavailable, said)))
        }
    }
}

fn directory(site: &Site) -> PathBuf {
    let config = site.load();
    config.map_or_else(|_| site.tables().join(PROGRAMS), |config| config.local.programs)
}

/// Why the command is not run, for its caller and for the log.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    said: String,
    logged: String,
}

/// The steps, if all may be run: nothing is begun otherwise.
fn checked(text: &str, directory: &Path) -> Result<Vec<Step>, Refused> {
    let steps = parse(text).map_err(|refusal| Refused::of(&refusal, text))?;
    for step in &steps {
        if let What::Program(program) = &step.what {
            check(program, directory)?;
        }
    }
    Ok(steps)
}

fn check(program: &Program, directory: &Path) -> Result<(), Refused> {
    let path = program.path(directory);
    let why = match path.metadata() {
        Err(_) => " (stat failed)",
        Ok(found) if !found.is_file() => " (not a file)",
        Ok(_) if access(&path, AccessFlags::X_OK).is_err() => "",
        Ok(_) => return Ok(()),
    };
    let name = printable(program.name());
    Err(Refused {
        said: format!("\"{name}\" not available for sendmail programs{why}"),
        logged: format!("attempt to use \"{name}\"{why}"),
    })
}

impl Refused {
    fn of(refusal: &Refusal, text: &str) -> Self {
        let said = refusal.to_string();
        let logged = match refusal {
            Refusal::Character(c) => {
                format!("attempt to use {} in command: {}", c.escape_default(), printable(text))
            }
            Refusal::Empty
            | Refusal::TooLong
            | Refusal::Quote
            | Refusal::Missing(_)
            | Refusal::Name(_)
            | Refusal::ExitCode(_)
            | Refusal::NotOne => printable(&said).to_string(),
        };
        Self { said: printable(&said).to_string(), logged }
    }
}

/// Does one step after the other; the exit code is that of the last that was done.
fn run(steps: &[Step], directory: &Path) -> Result<u8, Refused> {
    let mut last = 0;
    for (number, Step { when, what }) in (1..).zip(steps) {
        let applies = match when {
            When::Always => true,
            When::Success => last == 0,
            When::Failure => last != 0,
        };
        if !applies {
            continue;
        }
        last = match what {
            What::Exit(code) => return Ok(code.unwrap_or(last)),
            What::Echo(words) => echo(words),
            What::Program(program) => start(program, directory, number == steps.len())?,
        };
    }
    Ok(last)
}

fn echo(words: &[String]) -> u8 {
    writeln!(io::stdout(), "{}", words.join(" ")).map_or(Exit::IoErr as u8, |()| 0)
}

/// `is_last`: the program takes our place.
fn start(program: &Program, directory: &Path, is_last: bool) -> Result<u8, Refused> {
    let path = program.path(directory);
    let mut command = Command::new(&path);
    command.args(&program.arguments).env_clear().env("PATH", PATH);
    let started = if is_last { Err(command.exec()) } else { command.status() };
    started.map(code).map_err(|error| {
        let text = format!("{}: {error}", path.display());
        Refused { said: text.clone(), logged: text }
    })
}

/// As a shell tells of a signal.
fn code(ended: ExitStatus) -> u8 {
    let code = ended.code().or(ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[derive(Debug, Clone, Copy)]
enum LogLevel {
    Critical = 2,
    Error = 3,
}

/// A line for syslog(3) (RFC 3164 §4.1), facility mail. Whoever does not run one misses it.
fn log(level: LogLevel, text: &str) {
    const MAIL: u8 = 2;
    let priority = MAIL * 8 + level as u8;
    let time = jiff::Zoned::now().strftime("%b %e %H:%M:%S");
    let line = format!("<{priority}>{time} smrsh[{}]: {text}", std::process::id());
    let socket = UnixDatagram::unbound();
    let _ = socket.and_then(|socket| socket.send_to(line.as_bytes(), "/dev/log"));
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory with a program `say`, which writes its arguments and environment into a file, a
    /// file that is no program, and a directory.
    fn programs() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let out = place.path().join("out");
        let out = out.display();
        file("say", &format!("#!/bin/sh\necho \"$PATH $HOME $*\" >> {out}\n"), 0o755);
        file("fail", "#!/bin/sh\nexit 75\n", 0o755);
        file("text", "x", 0o644);
        fs::create_dir(place.path().join("folder")).unwrap();
        place
    }

    fn run_line(text: &str, directory: &Path) -> Result<u8, Refused> {
        // The last program would take the place of the test.
        let mut steps = checked(text, directory)?;
        steps.push(Step { when: When::Always, what: What::Exit(None) });
        run(&steps, directory)
    }

    #[test]
    fn programs_of_the_directory_only() {
        let place = programs();
        let run_line = |text| run_line(text, place.path());
        assert_eq!(run_line("/usr/bin/say 'a  b' * && fail || exec say c"), Ok(0));
        let out = fs::read_to_string(place.path().join("out")).unwrap();
        assert_eq!(out, format!("{PATH}  a  b *\n{PATH}  c\n"));
        assert_eq!(run_line("fail && say d"), Ok(75));
        assert_eq!(run_line("fail || exit 3"), Ok(3));
        assert_eq!(run_line("say e && exit 4 && say f"), Ok(4));
        let refused = |text| run_line(text).unwrap_err();
        assert_eq!(
            refused("say g && /bin/sh -c x").said,
            "\"sh\" not available for sendmail programs (stat failed)"
        );
        assert_eq!(refused("folder").logged, "attempt to use \"folder\" (not a file)");
        assert_eq!(refused("text").said, "\"text\" not available for sendmail programs");
        assert_eq!(refused("say ;x").logged, "attempt to use ; in command: say ;x");
        let out = fs::read_to_string(place.path().join("out")).unwrap();
        assert_eq!(out.lines().count(), 3, "what is refused is not begun: {out}");
    }
}
