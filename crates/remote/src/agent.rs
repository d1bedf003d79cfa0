//! One attempt, from the next hop to the outcomes.

use std::time::Duration;

use config::{Config, Families, Resolver as Servers, Role};
use envelope::{Detail, Dialogue, Enhanced, Host, NextHop, Ourselves, Protocol, Recipient, Status};
use ipc::delivery::{Attempt, Destination, Outcome, Outcomes};
use net::{Lookups, Resolver, Route, Target};
use smtp::client::{Answer, Ended, Mail};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::border::Border;
use crate::connection::Connection;
use crate::content::Content;
use crate::kept::Kept;
use crate::report;

/// How long one attempt may take, whatever the hosts do. Each phase has a shorter time of its
/// own; this is for a host that uses all of them up.
const ATTEMPT_TIME: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(crate) struct Agent {
    ourselves: Ourselves,
    resolver: Resolver,
    border: Border,
    kept: Kept,
    /// Attempts under way.
    places: Semaphore,
}

/// How an attempt ended.
struct Done {
    answers: Vec<Answer>,
    /// Who was spoken to last.
    relay: String,
    unreachable: bool,
}

impl Agent {
    pub(crate) fn new(config: &Config, border: Border) -> Result<Self, daemon::Error> {
        let servers = match &config.remote.resolver {
            Servers::System => net::Servers::System,
            Servers::Servers(addresses) => net::Servers::Listed(addresses.clone()),
        };
        let families = match config.remote.families {
            Families::Ipv4 => net::Families::Ipv4,
            Families::Ipv6 => net::Families::Ipv6,
            Families::Auto => net::Families::Both,
        };
        Ok(Self {
            ourselves: config.ourselves(&[Role::Mx]),
            resolver: Resolver::new(&servers, families)?,
            border,
            kept: Kept::new(config.remote.idle, config.remote.connections),
            places: Semaphore::new(config.remote.connections.clamp(1, Semaphore::MAX_PERMITS)),
        })
    }

    /// Tries to deliver to all recipients, and says what came of each.
    pub(crate) async fn attempt(&self, mut attempt: Attempt, content: Content) -> Outcomes {
        let _place = self.places.acquire().await;
        let begun = Instant::now();
        let mut dialogue = attempt.watched.then(Dialogue::default);
        let done = match self.border.cross(&mut attempt, content) {
            Ok(content) => self.make(&attempt, &content, &mut dialogue).await,
            Err(error) => {
                Done::all(attempt.recipients.len(), &Status::fault(format!("content: {error}")))
            }
        };
        let mailer = match &attempt.destination {
            Destination::Remote(hop) => Some(mailer(hop)),
            Destination::Local { .. } | Destination::Special { .. } => None,
        };
        report::log(&attempt, begun.elapsed(), mailer, &done.relay, &done.answers);
        let outcome = |Answer { status, host_notifies }| match status {
            Status::Delivered(_) if host_notifies => Outcome::Relayed(status),
            // RFC 2033 §4.2: the store has it, and nobody behind it is relayed to.
            Status::Delivered(detail) if is_store(&attempt) => {
                Outcome::Status(Status::Delivered(Detail { remote: None, ..detail }))
            }
            Status::Delivered(_) | Status::Deferred(_) | Status::Failed(_) => {
                Outcome::Status(status)
            }
        };
        let recipients = done.answers.into_iter().map(outcome).collect();
        let dialogue = dialogue.unwrap_or_default();
        Outcomes { recipients, unreachable: done.unreachable, dialogue }
    }

    /// Closes connections that waited for too long, for ever.
    pub(crate) async fn close_idle(&self) {
        self.kept.close_idle().await;
    }

    /// Closes every connection that waits.
    pub(crate) fn close_all(&self) {
        self.kept.close_all();
    }

    async fn make(
        &self,
        attempt: &Attempt,
        content: &Content,
        dialogue: &mut Option<Dialogue>,
    ) -> Done {
        match self.prepare(attempt, content) {
            Ok((hop, mail)) => {
                let until = Instant::now() + ATTEMPT_TIME;
                timeout_at(until, self.deliver(hop, &mail, content, until, dialogue))
                    .await
                    .unwrap_or_else(|_| Done::deferred(&mail, "the attempt took too long"))
            }
            Err(fault) => Done::all(attempt.recipients.len(), &fault),
        }
    }

    fn prepare<'a>(
        &self,
        attempt: &'a Attempt,
        content: &Content,
    ) -> Result<(&'a NextHop, Mail<'a>), Status> {
        let Destination::Remote(hop) = &attempt.destination else {
            return Err(Status::fault("remote was asked to deliver to a local user"));
        };
        let utf8_headers = attempt.smtputf8
            && content.has_utf8_header().map_err(|e| Status::fault(format!("content: {e}")))?;
        let mail = Mail {
            reverse_path: &attempt.reverse_path,
            recipients: &attempt.recipients,
            body: attempt.body,
            utf8_headers,
            ret: attempt.ret,
            envid: attempt.envid.as_deref(),
            size: attempt.size,
            submission: None,
        };
        Ok((hop, mail))
    }

    async fn deliver(
        &self,
        hop: &NextHop,
        mail: &Mail<'_>,
        content: &Content,
        until: Instant,
        dialogue: &mut Option<Dialogue>,
    ) -> Done {
        // A kept connection may have died unnoticed: that is no failure, and costs one round trip.
        if let Some(connection) = self.kept.take(hop) {
            tell(dialogue, mail, || {
                let relay = connection.relay();
                format!("Using cached ESMTP connection to {relay} via {}...", mailer(hop))
            });
            let made = self.transact(connection, hop, (mail, content), until, dialogue).await;
            if let Ok(done) = made {
                return done;
            }
        }
        self.deliver_afresh(hop, mail, content, until, dialogue).await
    }

    /// Tries the addresses of the next hop in turn until one of them decides.
    async fn deliver_afresh(
        &self,
        hop: &NextHop,
        mail: &Mail<'_>,
        content: &Content,
        until: Instant,
        dialogue: &mut Option<Dialogue>,
    ) -> Done {
        let lookups = dialogue.as_ref().map(|_| Lookups::default());
        let noting = lookups.as_ref().map(|lookups| self.resolver.noting(lookups));
        let resolver = noting.as_ref().unwrap_or(&self.resolver);
        let found = Route::find(resolver, &self.ourselves, hop).await;
        show(dialogue, lookups.as_ref());
        let mut route = match found {
            Ok(route) => route,
            Err(status) => return Done::unreached(hop, mail, &status),
        };
        let mut last: Option<(Target, Detail)> = None;
        let mut connected = false;
        loop {
            let target = route.next().await;
            show(dialogue, lookups.as_ref());
            let Some(target) = target else { break };
            tell(dialogue, mail, || format!("Connecting to {target} via {}...", mailer(hop)));
            let why = match net::dial(&target, net::CONNECT_TIME).await {
                Ok(stream) => {
                    connected = true;
                    let our_name = &self.ourselves.hostname;
                    let connection = Connection::new(stream, hop.protocol, our_name, &target);
                    match self.transact(connection, hop, (mail, content), until, dialogue).await {
                        Ok(done) => return done,
                        Err(why) => why,
                    }
                }
                Err(why) => {
                    tell(dialogue, mail, || why.text.clone());
                    why
                }
            };
            last = Some((target, why));
        }
        match last {
            Some((target, why)) => Done {
                relay: target.to_string(),
                unreachable: !connected,
                ..Done::all(mail.recipients.len(), &Status::Deferred(why))
            },
            None => Done::unreached(hop, mail, &route.trouble()),
        }
    }

    /// One transaction. Its connection is kept, if it can be.
    ///
    /// # Errors
    /// Nothing was decided: another host may be asked.
    async fn transact(
        &self,
        mut connection: Connection,
        hop: &NextHop,
        (mail, content): (&Mail<'_>, &Content),
        until: Instant,
        dialogue: &mut Option<Dialogue>,
    ) -> Result<Done, Detail> {
        connection.record(dialogue.take());
        let ended = connection.transact(mail, content, sleep_until(until)).await;
        *dialogue = connection.recorded();
        let relay = connection.relay().to_owned();
        self.kept.put(hop, connection);
        match ended {
            Ended::Decided(answers) => Ok(Done { answers, relay, unreachable: false }),
            Ended::Undecided(why) => Err(why),
            Ended::Heard(_) => Err(Detail::ours(Enhanced::SYSTEM, "an answer to no question")),
        }
    }
}

impl Done {
    /// The same for all recipients.
    fn all(recipients: usize, status: &Status) -> Self {
        let answer = Answer { status: status.clone(), host_notifies: false };
        let answers = vec![answer; recipients];
        Self { answers, relay: "none".to_owned(), unreachable: false }
    }

    /// No host was found.
    fn unreached(hop: &NextHop, mail: &Mail<'_>, why: &Status) -> Self {
        let status = |recipient| blame(hop, recipient, why.clone());
        let answer = |recipient| Answer { status: status(recipient), host_notifies: false };
        let answers: Vec<_> = mail.recipients.iter().map(answer).collect();
        let unreachable = answers.iter().any(|one| matches!(one.status, Status::Deferred(_)));
        Self { answers, relay: "none".to_owned(), unreachable }
    }

    fn deferred(mail: &Mail<'_>, why: &str) -> Self {
        let status = Status::Deferred(Detail::ours(Enhanced::BAD_CONNECTION, why));
        Self::all(mail.recipients.len(), &status)
    }
}

/// What is done for these recipients, in the words of sendmail's `-v`.
fn tell(dialogue: &mut Option<Dialogue>, mail: &Mail<'_>, what: impl FnOnce() -> String) {
    let Some(dialogue) = dialogue else { return };
    let to: Vec<_> = mail.recipients.iter().map(|to| to.address.to_string()).collect();
    dialogue.push(&format!("{}... {}", to.join(","), what()));
}

/// What the DNS has said since the last call.
fn show(dialogue: &mut Option<Dialogue>, lookups: Option<&Lookups>) {
    if let (Some(dialogue), Some(lookups)) = (dialogue, lookups) {
        lookups.take().iter().for_each(|line| dialogue.push(line));
    }
}

/// As sendmail calls what delivers there.
const fn mailer(hop: &NextHop) -> &'static str {
    match hop.protocol {
        Protocol::Smtp => "esmtp",
        Protocol::Lmtp => "lmtp",
    }
}

/// Does the destination keep mailboxes?
fn is_store(attempt: &Attempt) -> bool {
    matches!(&attempt.destination, Destination::Remote(hop) if hop.protocol == Protocol::Lmtp)
}

/// Whose fault it is that the DNS knows no way: a next hop that is not the domain of the recipient
/// was written into mailertable or as smarthost, and mail waits until that is mended. X.3.5:
/// "system incorrectly configured".
fn blame(hop: &NextHop, recipient: &Recipient, status: Status) -> Status {
    let theirs =
        matches!(&hop.first.host, Host::Domain(name) if *name == recipient.address.domain_key());
    match status {
        Status::Failed(detail) if !theirs => {
            Status::Deferred(Detail { enhanced: Enhanced(3, 5), ..detail })
        }
        Status::Delivered(_) | Status::Deferred(_) | Status::Failed(_) => status,
    }
}

#[cfg(test)]
mod tests;
