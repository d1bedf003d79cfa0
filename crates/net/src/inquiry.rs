//! Would mail for a recipient be taken? The next hop is asked as if there were a message.
//!
//! **Invariant:** a recipient is refused by nothing but a host's 5xx to RCPT, or because the host does
//! not offer what its address needs.

use std::time::Duration;

use envelope::{Address, Detail, Enhanced, Heard, NextHop, Ourselves};
use smtp::client::{Ended, Session, Step};

use crate::{Resolver, Route, Stream, Target, dial, exchange};

/// How long an address has to answer. Somebody waits for us, so that it is less than for a message.
const CONNECT_TIME: Duration = Duration::from_secs(4);
/// How long a host may be silent.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// Refusals on one connection; after them another is made. Servers slow down, or leave, whom they have
/// refused more often.
const MAX_REFUSALS: usize = 5;

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
    refusals: usize,
}

impl<'a> Inquiry<'a> {
    #[must_use]
    pub const fn new(resolver: &'a Resolver, ourselves: &'a Ourselves) -> Self {
        Self { resolver, ourselves, open: None }
    }

    /// Asks the hosts of `hop` in turn until one says something about the recipient. It may take as
    /// long as all of them take; dropping it closes the connection.
    pub async fn ask(&mut self, hop: &NextHop, recipient: &Address) -> Heard {
        let fits = |open: &mut Open| open.hop == *hop && open.refusals < MAX_REFUSALS;
        let kept = self.open.take_if(fits);
        self.close();
        // A kept connection may have died unnoticed, or the host has had enough of it.
        if let Some(open) = kept
            && let Ok(heard) = self.ask_on(open, recipient).await
            && (matches!(heard, Heard::Taken | Heard::Refused(_)) || self.is_ready())
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

    /// Does the host wait for the next question?
    fn is_ready(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.session.is_ready())
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
        let stream = dial(target, CONNECT_TIME).await?;
        let session = Session::new(&self.ourselves.hostname, &target.host).speaking(hop.protocol);
        let open = Open { hop: hop.clone(), stream, session, refusals: 0 };
        self.ask_on(open, recipient).await
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
        open.refusals += usize::from(matches!(ended, Ended::Heard(Heard::Refused(_))));
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
