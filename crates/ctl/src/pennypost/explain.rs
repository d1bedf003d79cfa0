//! `pennypost explain`: what would be answered to a client, by which lines, and where its mail would go.
//!
//! **Invariant:** session, policy and routes are those of `smtpd`, `policyd` and `qmgr`, with the files as
//! they are on disk.

mod desk;
mod rehearsal;
mod session;
mod story;

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use config::{Config, OnDisk};
use envelope::{Address, Disposition, NextHop, Protocol, ReversePath};
use ipc::admin::{Answer, Command, Hello};
use policy::{Policy, Verdict};
use routing::{Border, Route, Taker};
use smtp::server::Fate;

use self::desk::Desk;
use self::rehearsal::{Content, Heard, Rehearsal};
pub(crate) use self::session::converse;
use self::story::{InForce, Opening, Recipient, renamed, write_content};
use crate::control::{Control, wait};
use crate::credentials::Keyring;
use crate::routes::{Routes, Way, aliasing, unreadable};
use crate::site::Site;
use crate::{Exit, Failure};

/// Show how a client would be answered, by which lines, and where its mail would go
///
/// Runs a session dry on the files as they are on disk: each rule that has a part in an answer with its
/// file and line, the replies as they would be sent, and the way of what is accepted. The DNS and hosts
/// that are asked whether they know a recipient are asked; nothing is sent, nothing is remembered. If
/// other files are in force, that is said. The exit code is 0 when all is accepted, 75 when something is
/// refused for now, 77 when it is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost explain --client 192.0.2.7 --from spammer@example.net --to alice@example.org
  pennypost explain --to alice@example.org       from a user of this machine
  pennypost explain --client 192.0.2.7 --helo mx.example.net --from a@example.net --to b@example.org --message ./mail
  pennypost explain --client ::1 --to a@example.org --to b@example.net --json")]
pub(super) struct Explain {
    /// The address of the client [default: a user of this machine]
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// What the client calls itself [default: not looked at]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    helo: String,
    /// The reverse-path [default: none, as in a bounce]
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    from: String,
    /// A recipient; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// As sendmail -n sends: no aliases
    #[arg(long, conflicts_with = "client")]
    no_aliases: bool,
    /// The user whose password the client gave
    #[arg(long, value_name = "USER")]
    auth: Option<String>,
    /// A file with the message
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// One JSON object a line; "kind" is session, recipient or content
    #[arg(long)]
    json: bool,
}

const NO_AUTH: &str =
    "there are no passwords yet (SMTP AUTH): the client is treated as one that gave none";
const NO_FILTERS: &str = "nothing looks at content yet but its size and its hops";

impl Explain {
    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        self.tell(site, &mut io::stdout().lock())
    }

    fn tell(&self, site: &Site, out: &mut dyn Write) -> Result<Exit, Failure> {
        let routes = Routes::read_with(site, aliasing(self.no_aliases))?;
        let config = &routes.config;
        let desk = Desk::open(config, self.client)?;
        let mut session = Rehearsal::begin(config, self.client, &self.helo, &desk);
        let content = self.message.as_deref().map(read).transpose()?;
        let from = self.from.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
        let from = from.unwrap_or(&self.from);
        let helo = if self.helo.is_empty() { "client" } else { &self.helo };
        let hello = session.say(&format!("EHLO {helo}"))?;
        let mail =
            session.say(&format!("MAIL FROM:<{from}>{}{}", self.utf8(), self.submission()))?;
        let mut worst = Worst::default();
        worst.note(&mail.reply);
        let reply = if hello.reply.starts_with('2') { mail.reply } else { hello.reply };
        self.open(site, &desk, (from, reply), out)?;
        let told = Told::new(&routes)?;
        for to in &self.to {
            let heard = session.say(&format!("RCPT TO:<{to}>"))?;
            worst.note(&heard.reply);
            let recipient = told.recipient(to, heard);
            if self.json {
                recipient.write_json(&told.keyring, out)?;
            } else {
                recipient.write(&told.keyring, out)?;
            }
        }
        if let Some(content) = content {
            let reply = result(session.send(&content)?);
            worst.note(&reply);
            write_content(&reply, self.json, out)?;
        }
        Ok(worst.exit())
    }

    /// The client, and the reply to MAIL.
    fn open(
        &self,
        site: &Site,
        desk: &Desk<'_>,
        (from, reply): (&str, String),
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let mut steps = Vec::new();
        let terms = desk.terms(&mut steps);
        let auth = self.auth.as_ref().map(|_| NO_AUTH);
        let filters = self.message.as_ref().map(|_| NO_FILTERS);
        let opening = Opening {
            client: self.client,
            name: &desk.name,
            steps,
            terms,
            in_force: in_force(site),
            notes: auth.into_iter().chain(filters).collect(),
            from,
            reply,
        };
        Ok(if self.json { opening.write_json(out) } else { opening.write(out) }?)
    }

    /// RFC 6531 §3.4: whoever has such an address says so.
    fn utf8(&self) -> &'static str {
        let ascii = self.from.is_ascii() && self.to.iter().all(|to| to.is_ascii());
        if ascii { "" } else { " SMTPUTF8" }
    }

    /// As `sendmail` says it.
    const fn submission(&self) -> &'static str {
        if self.no_aliases { " XNOALIASES" } else { "" }
    }
}

/// The policy of the files as they are on disk.
pub(crate) fn policy(config: &Config) -> Result<Policy, Failure> {
    let policy = Policy::read(config.routing(), config.judging(), &OnDisk(config));
    policy.map_err(|it| unreadable(&it))
}

/// What addresses are called elsewhere.
fn border(config: &Config) -> Result<Border, Failure> {
    let border = Border::read(config.routing(), config.masquerade.clone(), &OnDisk(config));
    border.map_err(|it| unreadable(&it))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::new(Exit::NoInput, format!("{}: {error}", path.display())))
}

/// Asked of the supervisor, if it is there.
fn in_force(site: &Site) -> InForce {
    let asked = wait(async {
        let mut control = Control::open(site, Hello::Supervisor).await?;
        control.command(Command::Status).await
    });
    match asked {
        Ok(Answer::Status(status)) => match status.refused {
            Some(why) => InForce::Other(status.generation, why),
            None => InForce::Yes(status.generation),
        },
        Err(failure) if failure.exit == Exit::Unavailable => InForce::NotRunning,
        Ok(_) | Err(_) => InForce::Unknown,
    }
}

/// What is told of recipients.
struct Told<'a> {
    routes: &'a Routes,
    keyring: Keyring<'a>,
    border: Border,
}

impl<'a> Told<'a> {
    fn new(routes: &'a Routes) -> Result<Self, Failure> {
        let config = &routes.config;
        Ok(Self { routes, keyring: Keyring::read(config), border: border(config)? })
    }

    fn recipient<'t>(&self, to: &'t str, heard: Heard) -> Recipient<'t> {
        let Heard { reply, decision } = heard;
        let Some((question, decision)) = decision else {
            let (steps, ways, names) = (Vec::new(), Vec::new(), Vec::new());
            return Recipient { to, steps, reply, disposition: None, ways, names };
        };
        let disposition = match decision.verdict {
            Verdict::Accept(disposition) => Some(disposition),
            Verdict::Refuse { .. } => None,
        };
        let stays = matches!(disposition, Some(Disposition::Deliver | Disposition::Quarantine(_)));
        let address = question.recipients.first().filter(|_| stays);
        let path = &question.reverse_path;
        let ways = address.map(|address| self.routes.ways(address, path)).unwrap_or_default();
        let names = self.names(&ways, path);
        Recipient { to, steps: decision.steps, reply, disposition, ways, names }
    }

    /// What the reverse-path is for those that get the mail.
    fn names(&self, ways: &[Way], path: &ReversePath) -> Vec<tables::Step> {
        let mut steps = Vec::new();
        let away =
            ways.iter().any(|way| matches!(&way.routed.route, Route::Remote(hop) if leaves(hop)));
        if away && self.border.changes_names() {
            let new: Option<Address> = self.border.reverse_path(path, Taker::Smtp, &mut steps);
            steps.extend(new.map(|new| renamed(path, &new)));
        }
        steps
    }
}

/// A mailbox that is reached by LMTP is no other system.
fn leaves(hop: &NextHop) -> bool {
    hop.protocol == Protocol::Smtp
}

/// What the client hears of its content.
fn result(content: Content) -> String {
    match content {
        Content::Refused(reply) => reply,
        Content::Taken(taken) => format!("250 2.0.0 {}", fate(&taken)),
    }
}

/// What would become of a message.
fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Deliver => "it would be queued".to_owned(),
        Fate::Hold(why) => format!("it would be queued, and held: {why}"),
        Fate::Discard => "it would be discarded".to_owned(),
    }
}

/// The exit code that the replies make.
#[derive(Debug, Default)]
struct Worst {
    refused: bool,
    deferred: bool,
}

impl Worst {
    fn note(&mut self, reply: &str) {
        self.refused |= reply.starts_with('5');
        self.deferred |= reply.starts_with('4');
    }

    fn exit(&self) -> Exit {
        match (self.refused, self.deferred) {
            (true, _) => Exit::NoPerm,
            (false, true) => Exit::TempFail,
            (false, false) => Exit::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::routes::tests::site;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    fn told(line: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        let access = "From:spammer@a.test\tREJECT\nConnect:192.0.2\tRELAY\n\
                      To:relayed.test\tRELAY\nClientRate:192.0.2\t4\n\
                      From:odd@a.test\tQUARANTINE:look at it\n\
                      Srv_Features:198.51.100.8\tI D\n";
        let files = [
            ("access", access),
            ("aliases", "team: bob, carol@far.test\n"),
            ("mailertable", "far.test esmtp:[192.0.2.1]\n"),
        ];
        let site = site(root.path(), &files);
        let Line { explain } = Line::try_parse_from(line.split(' ')).unwrap();
        let mut out = Vec::new();
        let exit = explain.tell(&site, &mut out).unwrap();
        format!("{line}\n{}-- {exit:?}\n", String::from_utf8(out).unwrap())
    }

    /// No client that the DNS would have to be asked about.
    #[test]
    fn each_rule_has_its_line() {
        let shown = [
            "explain",
            "explain --to team@local.test",
            "explain --to team@local.test --to nobody-here@local.test --json",
            "explain --to team@local.test --to alice@local.test --no-aliases",
            "explain --client 192.0.2.7 --from spammer@a.test --to alice@local.test",
            "explain --client 192.0.2.7 --to bob@local.test --to x@far.test",
            "explain --client 192.0.2.7 --to bob@local.test --to x@far.test --json",
            "explain --client 198.51.100.7 --from odd@a.test --to bob@local.test --to d\u{f6}rte@local.test",
            "explain --client 198.51.100.7 --to x@far.test --json",
            "explain --client 198.51.100.8 --from d\u{f6}rte@a.test --to bob@local.test",
        ];
        insta::assert_snapshot!("explain", shown.map(told).join("\n"));
    }
}
