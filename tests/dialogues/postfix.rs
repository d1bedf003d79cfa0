//! Plays the same dialogues to Postfix: where it answers in another class (2, 3, 4 or 5) than we
//! do, `docs/postfix-differences.md` gives the reason.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use support::{PATIENCE, Postfix};

use super::{fits_tcp, script};
use script::{Script, Step};

/// Who is known to answer otherwise and says nothing for so long waits for more input.
const SILENCE: Duration = Duration::from_secs(5);

/// One that knows the addresses of the dialogues, relays nothing and throws away what it takes.
fn start() -> Option<Postfix> {
    let known = ["alice", "bob", "postmaster"]
        .map(|user| format!(" {{ {user}@mail.test = x }} {{ {user}@mx.mail.test = x }}"));
    Postfix::start(&format!(
        "myhostname = mx.mail.test\nmyorigin = mx.mail.test\nmynetworks =\n\
         local_recipient_maps =\nvirtual_mailbox_domains = mail.test, mx.mail.test\n\
         virtual_mailbox_maps = inline:{{{} }}\nvirtual_transport = discard:\n\
         smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_error_sleep_time = 0\n\
         smtputf8_enable = yes\n",
        known.concat(),
    ))
}

#[test]
fn postfix_answers_in_the_same_classes() {
    let Some(postfix) = start() else { return };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = script::all(&tests.join("dialogues/server"));
    let text = std::fs::read_to_string(tests.join("../docs/postfix-differences.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: BTreeSet<_> = rows.map(|(name, _)| name.to_owned()).collect();
    let mut unlisted = Vec::new();
    for script in scripts.iter().filter(|script| fits_tcp(script)) {
        let name = script.path.file_stem().unwrap().to_string_lossy().into_owned();
        let patience = if listed.contains(&name) { SILENCE } else { PATIENCE };
        if let Err(difference) = play(postfix.address(), script, patience) {
            println!("{name}: {difference}");
            unlisted.extend((!listed.contains(&name)).then_some(name));
        }
    }
    assert!(unlisted.is_empty(), "not in docs/postfix-differences.md: {unlisted:?}");
}

/// What Postfix does otherwise first.
fn play(address: SocketAddr, script: &Script, patience: Duration) -> Result<(), String> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut client = BufReader::new(stream);
    for (number, step) in script.steps.iter().enumerate() {
        let place = |what: String| format!("step {}: {what}", number + 1);
        match step {
            // The server may have closed already.
            Step::Send(bytes) => drop(client.get_mut().write_all(bytes)),
            // The last line of a reply.
            Step::Expect(line) if line.as_bytes().get(3) != Some(&b'-') => {
                let class = reply_class(&mut client).map_err(&place)?;
                if !line.starts_with(class) {
                    return Err(place(format!("we say {line}, Postfix {class}xx")));
                }
            }
            Step::Close => match reply_class(&mut client) {
                Ok(class) => return Err(place(format!("we close, Postfix says {class}xx"))),
                Err(end) if end == "closed" => {}
                Err(end) => return Err(place(format!("we close, Postfix: {end}"))),
            },
            Step::Gone => break,
            Step::Expect(_) | Step::Queued(_) | Step::Content(_) | Step::Wait(_) | Step::Drain => {}
        }
    }
    Ok(())
}

/// The first digit of the next reply, or how there is none.
fn reply_class(client: &mut BufReader<TcpStream>) -> Result<char, String> {
    loop {
        let mut line = String::new();
        match client.read_line(&mut line) {
            Ok(0) => return Err("closed".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Err("closed".to_owned());
            }
            Err(_) => return Err("silent".to_owned()),
            Ok(_) if line.as_bytes().get(3) != Some(&b'-') => {
                return line.chars().next().ok_or_else(|| "closed".to_owned());
            }
            Ok(_) => {}
        }
    }
}
