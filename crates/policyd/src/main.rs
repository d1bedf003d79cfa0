//! `policyd`: answers `smtpd` whether a client may send to the recipients that it names.
//!
//! **Invariant:** it decides nothing else, and what it cannot look up is refused with 4xx.

mod directory;
mod inquiries;
mod names;
mod uids;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use daemon::{Generation, House, Permit, Sandbox};
use ipc::policy::{Check, Client, Name, Question, Terms, Verdict, Verdicts};
use ipc::{Arrow, Connection, Frame};
use policy::{ClientName, Policy, Ruling, SenderDomain, Sending, conclude};
use tables::{Mailertable, Source, Users};
use tokio::sync::watch;
use tokio::task::JoinSet;

use directory::Directory;
use inquiries::{Inquiries, Memory};
use names::ClientNames;
use uids::Uids;

fn main() -> ExitCode {
    daemon::run("policyd", answer)
}

/// The whole job: each connection asks, one request after the other. Each role has as many
/// connections as sessions, so that one that was taken over cannot keep the other from asking.
async fn answer(mut house: House) -> Result<(), daemon::Error> {
    let lasting = Lasting::new(&house.generation)?;
    // The resolver has read its files.
    let sandbox = Sandbox::new().permit(Permit::NameService).permit(Permit::Threads);
    house.enter(sandbox.permit(Permit::CallOut).sockets(lasting.sockets.clone()))?;
    let mut desk = Arc::new(Desk::furnish(&house.generation, &lasting)?);
    let desks = watch::Sender::new(Arc::clone(&desk));
    let mut generations = house.generations()?;
    let mut mx = house.answers(Arrow::MxToPolicyd)?;
    let mut submission = house.answers(Arrow::SubmissionToPolicyd)?;
    let mut drain = house.drain();
    let (mut network, mut users) = (JoinSet::new(), JoinSet::new());
    house.ready();
    loop {
        tokio::select! {
            connection = mx.next(), if network.len() < desk.most => {
                network.spawn(serve(desks.subscribe(), connection, Trust::Network));
            }
            connection = submission.next(), if users.len() < desk.most => {
                users.spawn(serve(desks.subscribe(), connection, Trust::Users));
            }
            generation = generations.next() => {
                let furnished = Desk::furnish(&generation, &lasting).map(|new| {
                    desk = Arc::new(new);
                    desks.send_replace(Arc::clone(&desk));
                });
                generations.answer(generation.number, furnished).await;
            }
            Some(_) = network.join_next() => {}
            Some(_) = users.join_next() => {}
            () = drain.begun() => return Ok(()),
        }
    }
}

/// The LMTP servers that may be asked about recipients.
fn sockets(generation: &Generation) -> Result<Vec<PathBuf>, daemon::Error> {
    let mailertable = generation.table("mailertable", |f, source| Mailertable::read(f, source))?;
    Ok(generation.config.sockets(&mailertable))
}

/// What the other end may claim; follows from the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Network,
    Users,
}

/// What only the submission role may do.
const CLAIMS: ipc::Error = ipc::Error::PeerMisbehaved("the mx role speaks for a local user");
const CURIOUS: ipc::Error = ipc::Error::PeerMisbehaved("the mx role asks for a user's name");

/// Each question is answered by the desk of its time.
async fn serve(desks: watch::Receiver<Arc<Desk>>, mut connection: Connection, trust: Trust) {
    loop {
        let question = match connection.receive::<Question>().await {
            Ok(Frame { head, .. }) => head,
            Err(ipc::Error::PeerGone) => return,
            Err(error) => return tracing::warn!("smtpd asks badly: {error}"),
        };
        let desk = Arc::clone(&desks.borrow());
        match desk.reply(question, trust, &mut connection).await {
            Ok(()) => {}
            Err(ipc::Error::PeerGone) => return,
            Err(error) => return tracing::warn!("smtpd: {error}"),
        }
    }
}

/// What outlives generations.
#[derive(Debug)]
struct Lasting {
    names: ClientNames,
    memory: Arc<Memory>,
    /// What the sandbox was told of.
    sockets: Vec<PathBuf>,
}

impl Lasting {
    fn new(generation: &Generation) -> Result<Self, daemon::Error> {
        let names = ClientNames::new(&generation.config)?;
        Ok(Self { names, memory: Arc::new(Memory::new()), sockets: sockets(generation)? })
    }

    /// Landlock lets nobody reach more than what he declared.
    fn reaches(&self, generation: &Generation) -> Result<(), daemon::Error> {
        let is_new = |path: &PathBuf| !path.starts_with("/run") && !self.sockets.contains(path);
        match sockets(generation)?.iter().find(|path| is_new(path)) {
            Some(path) => {
                Err(format!("{}: a socket outside of /run needs a restart", path.display()).into())
            }
            None => Ok(()),
        }
    }
}

/// What is needed to answer, of one generation.
#[derive(Debug)]
struct Desk {
    /// Connections of each role.
    most: usize,
    policy: Policy,
    names: ClientNames,
    directory: Directory,
    /// `local.catch_all` is set.
    catches_all: bool,
    inquiries: Inquiries,
    uids: Uids,
}

impl Desk {
    fn furnish(generation: &Generation, lasting: &Lasting) -> Result<Self, daemon::Error> {
        lasting.reaches(generation)?;
        let config = Arc::clone(&generation.config);
        let users = generation.table("users", |file, source| Users::read(file, source))?;
        let policy = Policy::read(config.routing(), config.judging(), generation)?;
        let directory = if config.rooted {
            Directory::Table(users)
        } else {
            Directory::system(config.local.minimum_uid)
        };
        let names = lasting.names.under(&config)?;
        let inquiries = Inquiries::new(&config, names.resolver(), &lasting.memory);
        let most = config.limits.sessions;
        let catches_all = config.local.catch_all.is_some();
        Ok(Self { most, policy, names, directory, catches_all, inquiries, uids: Uids::new() })
    }

    async fn reply(
        &self,
        question: Question,
        trust: Trust,
        connection: &mut Connection,
    ) -> Result<(), ipc::Error> {
        match question {
            Question::Check(check) => {
                if matches!((&check.client, trust), (Client::User { .. }, Trust::Network)) {
                    return Err(CLAIMS);
                }
                connection.send(&self.decide(&check).await, b"", None).await
            }
            Question::Terms(client) => connection.send(&self.terms(client).await, b"", None).await,
            Question::Name { uid } if trust == Trust::Users => {
                connection.send(&Name(self.uids.name(uid).await), b"", None).await
            }
            Question::Name { .. } => Err(CURIOUS),
        }
    }

    async fn decide(&self, check: &Check) -> Verdicts {
        let asked = Sending {
            client: client(&check.client, &ClientName::NotAsked),
            helo: &check.helo,
            reverse_path: &check.reverse_path,
            unqualified: check.unqualified,
            domain: SenderDomain::NotAsked,
            aliasing: check.aliasing,
        };
        let (name, domain) = tokio::join!(self.name(&check.client), self.domain(&asked));
        let sending = Sending { client: client(&check.client, &name), domain, ..asked };
        let mut round = self.inquiries.round();
        let mut verdicts = Vec::with_capacity(check.recipients.len());
        for recipient in &check.recipients {
            // Nobody reads the trace here; `pennypost explain` will.
            let mut trace = Vec::new();
            let verdict = match self.policy.recipient(&sending, recipient, &mut trace) {
                Ruling::Decided(verdict) => verdict,
                Ruling::Depends { user, then } => {
                    let account = self.directory.find(&user).await.caught(self.catches_all);
                    conclude(recipient, account, then, &mut trace)
                }
                Ruling::Asks(asked) => match round.ask(&asked).await {
                    Some(heard) => asked.conclude(recipient, &heard, &mut trace),
                    None => asked.postpone(&mut trace),
                },
            };
            verdicts.push(match verdict {
                policy::Verdict::Accept(disposition) => Verdict::Accept(disposition),
                policy::Verdict::Refuse { code, text } => Verdict::Refuse { code, text },
            });
        }
        Verdicts(verdicts)
    }

    async fn terms(&self, address: IpAddr) -> Terms {
        let name = match self.policy.greets_by_name() {
            true => self.names.of(address.to_canonical()).await,
            false => ClientName::NotAsked,
        };
        let policy::Terms { rate, sessions, pause, withheld } =
            self.policy.terms(address, &name, &mut Vec::new());
        Terms { rate, sessions, pause, withheld }
    }

    /// What the DNS says of the domain of the reverse-path, if anything depends on it.
    async fn domain(&self, sending: &Sending<'_>) -> SenderDomain {
        match self.policy.asks_for_domain(sending) {
            Some(from) => self.names.domain(&from.domain_key()).await,
            None => SenderDomain::NotAsked,
        }
    }

    /// What the client is called, if anything depends on it.
    async fn name(&self, client: &Client) -> ClientName {
        match client {
            Client::Network(address) if self.policy.asks_for_names() => {
                self.names.of(address.to_canonical()).await
            }
            Client::Network(_) | Client::User { .. } => ClientName::NotAsked,
        }
    }
}

fn client<'a>(client: &Client, name: &'a ClientName) -> policy::Client<'a> {
    match client {
        Client::Network(address) => policy::Client::Network { address: *address, name },
        Client::User { .. } => policy::Client::User,
    }
}
