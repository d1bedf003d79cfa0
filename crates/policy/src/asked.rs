//! What another host is asked about a recipient, and what follows from what it says: the LMTP server
//! that has the mailboxes, or the next hop of a domain for which mail is relayed, so that a backup MX
//! takes no mail that it would have to send back.

use std::fmt;

use envelope::{Address, Detail, Disposition, Enhanced, Heard, NextHop};

use crate::verdict::{Step, Verdict};

/// Would this host take mail for this address? To be asked without a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub hop: NextHop,
    /// The recipient as it is there.
    pub address: Address,
    pub in_doubt: InDoubt,
    /// What becomes of it if it is taken.
    pub then: Disposition,
}

/// What is done while the host does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Nobody else knows who has a mailbox: try again later.
    Defer,
    /// A backup MX is there for just that time: take it.
    Accept,
}

impl Asked {
    /// The verdict while too much is asked at a time, which says nothing about the host: whoever names a
    /// thousand recipients at once is to come again for the rest.
    #[must_use]
    pub fn postpone(&self, trace: &mut Vec<Step>) -> Verdict {
        let why = Detail::ours(Enhanced::SYSTEM, "it is not asked about more at a time");
        trace.push(Step::Asked(self.hop.to_string(), Heard::Unclear(why)));
        Verdict::try_later()
    }

    /// The verdict on `recipient` once the host was asked. `trace` is told what it said.
    #[must_use]
    pub fn conclude(&self, recipient: &Address, heard: &Heard, trace: &mut Vec<Step>) -> Verdict {
        trace.push(Step::Asked(self.hop.to_string(), heard.clone()));
        match (heard, self.in_doubt) {
            (Heard::Taken, _) | (Heard::Unclear(_), InDoubt::Accept) => {
                Verdict::Accept(self.then.clone())
            }
            (Heard::Refused(detail), _) => in_its_words(recipient, 550, detail),
            (Heard::Unclear(detail), InDoubt::Defer) => match detail.code {
                // The mailbox is full, for example.
                Some(400..500) => in_its_words(recipient, 451, detail),
                _ => Verdict::try_later(),
            },
        }
    }
}

/// The host's reply, under its own code where that fits.
fn in_its_words(recipient: &Address, default: u16, detail: &Detail) -> Verdict {
    let class = default / 100;
    // 421 is about a connection (RFC 5321 §3.8), and not about ours.
    let fits = |code: &u16| code / 100 == class && *code != 421;
    let code = detail.code.filter(fits).unwrap_or(default);
    let Enhanced(subject, number) = detail.enhanced;
    let enhanced = format!("{class}.{subject}.{number}");
    let text = detail.text.replace('\n', " ");
    let text = text.strip_prefix(&enhanced).unwrap_or(&text).trim();
    Verdict::about(recipient, code, &enhanced, text)
}

/// For the trace: what the host said.
pub(crate) fn say(f: &mut fmt::Formatter<'_>, hop: &str, heard: &Heard) -> fmt::Result {
    match heard {
        Heard::Taken => write!(f, "{hop} takes mail for it"),
        Heard::Refused(detail) => write!(f, "{hop} takes no mail for it: {detail}"),
        Heard::Unclear(detail) => {
            write!(f, "{hop} does not say whether it takes mail for it: {detail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use envelope::ReversePath;
    use routing::{Relays, Router};
    use tables::{Access, Aliases, LocalDomains, Mailertable, Names, RelayDomains, Virtusertable};

    use super::*;
    use crate::{Client, ClientName, Policy, Ruling, Sending};

    const STORE: &str = "lmtp:unix:/run/lmtp";

    fn policy() -> Policy {
        let access = "To:access.test RELAY\nConnect:198.51.100 RELAY\n";
        let mailers = "virt.test relay:[inside.test]\nbehind.test lmtp:inet:inside.test:24\n";
        Policy {
            router: Router {
                local: LocalDomains {
                    hostname: "mx.test".into(),
                    names: Names::read("t", "here.test\n".as_bytes()).unwrap().table,
                    virtual_names: Names::read("t", "virt.test\n".as_bytes()).unwrap().table,
                    ..LocalDomains::default()
                },
                aliases: Aliases::read("t", "staff: x@far.test\n".as_bytes()).unwrap().table,
                virtusertable: Virtusertable::read("t", "v@here.test y@far.test\n".as_bytes())
                    .unwrap()
                    .table,
                mailertable: Mailertable::read("t", mailers.as_bytes()).unwrap().table,
                store: NextHop::lmtp("unix:/run/lmtp"),
                detail: "+".into(),
                ..Router::default()
            },
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            relay_domains: RelayDomains::read("t", "backup.test\nbehind.test\n".as_bytes())
                .unwrap()
                .table,
            access: Access::read("t", access.as_bytes()).unwrap().table,
            verify: true,
            ..Policy::default()
        }
    }

    fn network(address: &str) -> Client<'static> {
        Client::Network { address: address.parse().unwrap(), name: &ClientName::NotAsked }
    }

    /// Whom the policy asks about what; or the code of its answer.
    fn asks(policy: &Policy, client: Client<'_>, from: &str, to: &str) -> String {
        let reverse_path = ReversePath((!from.is_empty()).then(|| from.parse().unwrap()));
        let sending = Sending::plain(client, &reverse_path);
        match policy.recipient(&sending, &to.parse().unwrap(), &mut Vec::new()) {
            Ruling::Asks(Asked { hop, address, in_doubt, then: Disposition::Deliver }) => {
                format!("{hop} {address} {in_doubt:?}")
            }
            Ruling::Asks(asked) => panic!("{asked:?}"),
            Ruling::Depends { user, .. } => format!("user {user}"),
            Ruling::Decided(Verdict::Accept(_)) => "250".to_owned(),
            Ruling::Decided(Verdict::Refuse { code, .. }) => code.to_string(),
        }
    }

    const STRANGER: &str = "203.0.113.9";
    const FROM: &str = "a@out.test";

    #[test]
    fn whose_mailboxes_others_have_they_know() {
        for client in [network(STRANGER), network("10.0.0.1"), Client::User] {
            for from in [FROM, ""] {
                let asks = |to| asks(&policy(), client, from, to);
                assert_eq!(asks("alice@here.test"), format!("{STORE} alice@here.test Defer"));
                assert_eq!(asks("bob+x@Here.test"), format!("{STORE} bob+x@Here.test Defer"));
                assert_eq!(asks("staff@here.test"), "250");
                assert_eq!(asks("v@here.test"), "250");
            }
        }
    }

    #[test]
    fn the_next_hop_is_asked_for_strangers_only() {
        let ask = |client, from, to| asks(&policy(), client, from, to);
        let stranger = network(STRANGER);
        for (to, hop) in [
            ("x@backup.test", "backup.test"),
            ("x@sub.backup.test", "sub.backup.test"),
            ("x@access.test", "access.test"),
            ("x@behind.test", "lmtp:inet:inside.test:24"),
            ("x@virt.test", "[inside.test]"),
        ] {
            assert_eq!(ask(stranger, FROM, to), format!("{hop} {to} Accept"));
            // A bounce of theirs, or a question such as ours.
            assert_eq!(ask(stranger, "", to), "250", "{to}");
            for client in [network("10.0.0.1"), network("198.51.100.7"), Client::User] {
                assert_eq!(ask(client, FROM, to), "250", "{to}");
            }
        }
        assert_eq!(ask(stranger, FROM, "x@far.test"), "550");
        let trusting = Policy { verify: false, ..policy() };
        assert_eq!(asks(&trusting, stranger, FROM, "x@backup.test"), "250");
        assert_eq!(
            asks(&trusting, stranger, FROM, "x@here.test"),
            format!("{STORE} x@here.test Defer")
        );
    }

    #[test]
    fn a_host_for_everything_is_asked_too() {
        let hub = NextHop::parse("[hub.test]");
        let mut policy = policy();
        policy.router.relays = Relays { hub, ..Relays::default() };
        let asked = asks(&policy, network(STRANGER), FROM, "alice@here.test");
        assert_eq!(asked, "[hub.test] alice@hub.test Accept");
    }

    #[test]
    fn only_a_refusal_refuses_for_good() {
        let recipient = "info@here.test".parse().unwrap();
        let asked = |in_doubt| Asked {
            hop: NextHop::lmtp("unix:/run/lmtp").unwrap(),
            address: "alice@here.test".parse().unwrap(),
            in_doubt,
            then: Disposition::Deliver,
        };
        let reply = |code, enhanced, text: &str| Detail::reply("x", code, enhanced, text);
        let unknown =
            || reply(550, Enhanced::BAD_MAILBOX, "5.1.1 <alice@here.test>\n5.1.1 unknown");
        let full = || reply(452, Enhanced::MAILBOX_FULL, "4.2.2 full");
        let busy = || reply(421, Enhanced(3, 2), "4.3.2 going down");
        let silent = || Detail::ours(Enhanced::NO_ANSWER, "gone");
        let not_mail = || reply(550, Enhanced::REFUSED, "5.7.1 no bounces");
        for (heard, defers, accepts) in [
            (Heard::Taken, "250", "250"),
            (
                Heard::Refused(unknown()),
                "550 5.1.1 <info@here.test>... <alice@here.test> 5.1.1 unknown",
                "550 5.1.1 <info@here.test>... <alice@here.test> 5.1.1 unknown",
            ),
            (
                Heard::Refused(Detail::ours(Enhanced(6, 7), "no SMTPUTF8")),
                "550 5.6.7 <info@here.test>... no SMTPUTF8",
                "550 5.6.7 <info@here.test>... no SMTPUTF8",
            ),
            (Heard::Unclear(full()), "452 4.2.2 <info@here.test>... full", "250"),
            (Heard::Unclear(busy()), "451 4.3.2 <info@here.test>... going down", "250"),
            (
                Heard::Unclear(silent()),
                "451 4.3.0 Users cannot be looked up now; try again later",
                "250",
            ),
            (
                Heard::Unclear(not_mail()),
                "451 4.3.0 Users cannot be looked up now; try again later",
                "250",
            ),
        ] {
            for (in_doubt, expected) in [(InDoubt::Defer, defers), (InDoubt::Accept, accepts)] {
                let mut trace = Vec::new();
                let said = match asked(in_doubt).conclude(&recipient, &heard, &mut trace) {
                    Verdict::Accept(_) => "250".to_owned(),
                    Verdict::Refuse { code, text } => format!("{code} {text}"),
                };
                assert_eq!(said, expected);
                assert!(trace[0].to_string().starts_with(STORE), "{}", trace[0]);
            }
        }
    }
}
