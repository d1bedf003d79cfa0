//! Would mail for a recipient be taken? The next hop is asked as if there were a message.
//!
//! **Invariant:** a recipient is refused by nothing but a host's 5xx to RCPT, or because the host does
//! not offer what its address needs.

use std::time::Duration;

use envelope::{Address, Detail, Enhanced, Heard, NextHop};
use smtp::client::{Ended, Session, Step};

use crate::{Ourselves, Resolver, Route, Stream, Target, dial, exchange};

/// How long an address has to answer. Somebody waits for us, so that it is less than for a message.
const CONNECT_TIME: Duration = Duration::from_secs(4);
/// How long a host may be silent.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// Questions of one asker, one after another; the connection to the next hop that was asked last is
/// kept for the next question.
#[derive(Debug)]
pub struct Inquiry<'a> {
    resolver: &'a Resolver,
    ourselves: &'a Ourselves,
    open: Option<Open>,
}

/// A connection that waits for the next question.
#[derive(Debug)]
struct Open {
    hop: NextHop,
    stream: Stream,
    session: Session,
}

impl<'a> Inquiry<'a> {
    #[must_use]
    pub const fn new(resolver: &'a Resolver, ourselves: &'a Ourselves) -> Self {
        Self { resolver, ourselves, open: None }
    }

    /// Asks the hosts of `hop` in turn until one says something about the recipient. It may take as
    /// long as all of them take; dropping it closes the connection.
    pub async fn ask(&mut self, hop: &NextHop, recipient: &Address) -> Heard {
        let same_hop = self.open.take_if(|open| open.hop == *hop);
        self.close();
        // A kept connection may have died unnoticed.
        if let Some(open) = same_hop
            && let Ok(heard) = self.ask_on(open, recipient).await
        {
            return heard;
        }
        let mut route = match Route::find(self.resolver, self.ourselves, hop).await {
            Ok(route) => route,
            Err(status) => return Heard::Unclear(status.detail().clone()),
        };
        let mut last = None;
        while let Some(target) = route.next().await {
            match self.ask_at(hop, &target, recipient).await {
                Ok(heard) => return heard,
                Err(why) => last = Some(why),
            }
        }
        Heard::Unclear(last.unwrap_or_else(|| route.trouble().detail().clone()))
    }

    /// Says QUIT, whose reply is not waited for.
    pub fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            // If it cannot be sent now, the host notices soon enough.
            let _ = open.stream.try_write(&open.session.farewell());
        }
    }

    async fn ask_at(
        &mut self,
        hop: &NextHop,
        target: &Target,
        recipient: &Address,
    ) -> Result<Heard, Detail> {
        let stream = dial(&target.place, CONNECT_TIME).await.map_err(|error| {
            Detail::ours(Enhanced::NO_ANSWER, format!("connect to {target}: {error}"))
        })?;
        let session = Session::new(&self.ourselves.hostname, &target.host).speaking(hop.protocol);
        self.ask_on(Open { hop: hop.clone(), stream, session }, recipient).await
    }

    /// # Errors
    /// The host says nothing about the recipient.
    async fn ask_on(&mut self, mut open: Open, recipient: &Address) -> Result<Heard, Detail> {
        let mut asked = false;
        let ended = loop {
            match open.session.step() {
                Step::Reply(_) => {
                    exchange(&mut open.stream, &mut open.session, REPLY_TIME).await;
                }
                Step::Ready if !asked => {
                    open.session.ask_about(recipient);
                    asked = true;
                }
                Step::Ended(ended) => break ended,
                Step::Ready | Step::Content | Step::Closed => open.session.lost("out of step"),
            }
        };
        self.open = Some(open);
        match ended {
            Ended::Heard(heard) => Ok(heard),
            Ended::Undecided(why) => Err(why),
            Ended::Decided(_) => Err(Detail::ours(Enhanced::PROTOCOL, "out of step")),
        }
    }
}

impl Drop for Inquiry<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
