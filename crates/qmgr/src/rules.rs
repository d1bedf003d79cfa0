//! What the administrator wants, of one generation: the configuration, and the router made of its
//! tables. Whatever begins takes the newest; what is under way keeps the one that it began with.

use std::sync::Arc;

use config::{CatchAll, Config};
use daemon::{Error, Generation};
use envelope::Special;
use routing::{Route, Routed, Router};

use crate::record::{Goal, MessageRecord, RecipientRecord};

/// See the fields.
#[derive(Debug)]
pub struct Rules {
    pub config: Arc<Config>,
    pub router: Router,
    pub bounds: Bounds,
}

/// What no submission may exceed. `smtpd` keeps the limits of its sessions' own generation, so these
/// are the largest of all so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub recipients: usize,
    /// Bytes, as the client sent them.
    pub message_size: u64,
}

impl Rules {
    /// The rules of a generation.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn read(generation: &Generation) -> Result<Self, Error> {
        let config = Arc::clone(&generation.config);
        let router = Router::read(config.routing(), generation)?;
        let bounds = Bounds {
            recipients: config.limits.recipients,
            message_size: config.limits.message_size,
        };
        Ok(Self { config, router, bounds })
    }

    /// Those of the next generation.
    ///
    /// # Errors
    /// A table cannot be read, or the queue cannot follow: then these stay.
    pub fn follow(&self, generation: &Generation) -> Result<Self, Error> {
        let [old, new] = [&self.config, &generation.config].map(|config| &config.paths.queue);
        if old != new {
            let [old, new] = [old, new].map(|path| path.display());
            return Err(format!("the queue is in {old}; {new} needs a restart").into());
        }
        let next = Self::read(generation)?;
        let bounds = Bounds {
            recipients: self.bounds.recipients.max(next.bounds.recipients),
            message_size: self.bounds.message_size.max(next.bounds.message_size),
        };
        Ok(Self { bounds, ..next })
    }

    /// Where a recipient of this message goes now.
    #[must_use]
    pub fn way_of(&self, message: &MessageRecord, recipient: &RecipientRecord) -> Routed {
        let RecipientRecord { address, reverse_path, expanded_from, goal, .. } = recipient;
        let by_tables =
            || self.router.route(address, reverse_path, expanded_from, message.aliasing);
        let straight = |route| Routed { route, address: address.clone(), trace: Vec::new() };
        match goal {
            Goal::Tables => by_tables(),
            Goal::Mailbox => match by_tables() {
                Routed { route: Route::Local { user, detail, .. }, address, trace } => {
                    Routed { route: Route::Local { user, detail, verbatim: true }, address, trace }
                }
                other => other,
            },
            Goal::Special { what: Special::CatchAll, .. } => match &self.config.local.catch_all {
                Some(CatchAll::Host(host)) => straight(Route::Remote(host.clone())),
                // The key has changed: whether there is such a user is asked anew.
                Some(CatchAll::To(_)) | None => by_tables(),
            },
            Goal::Special { what, .. } => straight(Route::Special(what.clone())),
        }
    }
}
