//! The line of the log on what became of a recipient, as sendmail writes it (logdelivery() of its
//! deliver.c): programs read it.

use std::fmt;

use crate::{Address, QueueId, Special, Status};

/// Its fields, in their order. What is not known is left out.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryLine<'a> {
    pub id: QueueId,
    pub to: &'a Address,
    /// A program, file or list that `to` names; sendmail has it in place of `to`, who is then `ctladdr`.
    pub special: Option<&'a Special>,
    /// Who had the recipient get the message: `ctladdr`.
    pub controller: Option<&'a Address>,
    /// Seconds since the message arrived.
    pub delay: u64,
    /// Seconds that the attempt took; `None`: none was made.
    pub attempt: Option<u64>,
    pub mailer: Option<&'a str>,
    pub priority: u64,
    pub relay: Option<&'a str>,
    /// Attempts, this one included.
    pub tries: u32,
    pub status: &'a Status,
}

impl fmt::Display for DeliveryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controller = match self.special {
            Some(program @ Special::Program(_)) => {
                write!(f, "{}: to=\"{program}\"", self.id)?;
                Some(self.to)
            }
            Some(place @ (Special::File(_) | Special::Include(_))) => {
                write!(f, "{}: to={place}", self.id)?;
                Some(self.to)
            }
            Some(Special::CatchAll) | None => {
                write!(f, "{}: to=<{}>", self.id, self.to)?;
                self.controller
            }
        };
        if let Some(controller) = controller {
            write!(f, ", ctladdr=<{controller}>")?;
        }
        write!(f, ", delay={}", Interval(self.delay))?;
        if let Some(attempt) = self.attempt {
            write!(f, ", xdelay={}", Interval(attempt))?;
        }
        if let Some(mailer) = self.mailer {
            write!(f, ", mailer={mailer}")?;
        }
        write!(f, ", pri={}", self.priority)?;
        if let Some(relay) = self.relay {
            write!(f, ", relay={relay}")?;
        }
        let Self { tries, status, .. } = self;
        write!(f, ", dsn={}, ntries={tries}, stat={}", status.code(), status.logged())
    }
}

/// Seconds, as `00:05:12` or `3+00:05:12`.
struct Interval(u64);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        if days > 0 {
            write!(f, "{days}+")?;
        }
        write!(f, "{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detail, Enhanced};

    /// Byte by byte: what reads the log of sendmail reads these.
    #[test]
    fn lines_are_frozen() {
        let (bob, list): (Address, Address) =
            ("bob@x.test".parse().unwrap(), "list@here.test".parse().unwrap());
        let detail = || Detail::reply("mx.x.test", 250, Enhanced::UNDEFINED, "2.0.0 Ok");
        let [sent, deferred] = [Status::Delivered(detail()), Status::Deferred(detail())];
        let failed = Status::Failed(Detail::ours(Enhanced::BAD_MAILBOX, "User unknown"));
        let line = DeliveryLine {
            id: QueueId::new(52).unwrap(),
            to: &bob,
            special: None,
            controller: None,
            delay: 3,
            attempt: Some(1),
            mailer: Some("esmtp"),
            priority: 30_512,
            relay: Some("mx.x.test [192.0.2.1]:25"),
            tries: 1,
            status: &sent,
        };
        let program = Special::Program("vacation -a \u{1b} bob".to_owned());
        let file = Special::File("/var/mail/x".to_owned());
        let prog = DeliveryLine { mailer: Some("prog"), relay: None, to: &list, ..line };
        let late = 3 * 86_400 + 3_723;
        for (line, expected) in [
            (
                line,
                "to=<bob@x.test>, delay=00:00:03, xdelay=00:00:01, mailer=esmtp, pri=30512, \
                 relay=mx.x.test [192.0.2.1]:25, dsn=2.0.0, ntries=1, stat=Sent (250 2.0.0 Ok)",
            ),
            (
                DeliveryLine {
                    controller: Some(&list),
                    delay: late,
                    tries: 7,
                    status: &deferred,
                    ..line
                },
                "to=<bob@x.test>, ctladdr=<list@here.test>, delay=3+01:02:03, xdelay=00:00:01, \
                 mailer=esmtp, pri=30512, relay=mx.x.test [192.0.2.1]:25, dsn=4.0.0, ntries=7, \
                 stat=Deferred: 250 2.0.0 Ok",
            ),
            (
                DeliveryLine { special: Some(&program), ..prog },
                "to=\"|vacation -a \\u{1b} bob\", ctladdr=<list@here.test>, delay=00:00:03, \
                 xdelay=00:00:01, mailer=prog, pri=30512, dsn=2.0.0, ntries=1, \
                 stat=Sent (250 2.0.0 Ok)",
            ),
            (
                DeliveryLine {
                    special: Some(&file),
                    attempt: None,
                    mailer: None,
                    status: &failed,
                    ..prog
                },
                "to=/var/mail/x, ctladdr=<list@here.test>, delay=00:00:03, pri=30512, dsn=5.1.1, \
                 ntries=1, stat=User unknown",
            ),
        ] {
            assert_eq!(line.to_string(), format!("{}: {expected}", line.id));
        }
    }
}
