//! Who has a uid.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long the user database may take; `smtpd` waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Look-ups under way, each on a thread of its own; also those that nobody waits for any more.
const MAX_LOOKUPS: usize = 4;

/// Asks the user database for names.
#[derive(Debug)]
pub(crate) struct Uids(Arc<Semaphore>);

impl Uids {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }

    /// The user's name; `None`: nobody has this uid, or the user database cannot be asked now.
    pub(crate) async fn name(&self, uid: u32) -> Option<String> {
        timeout(PATIENCE, self.look_up(uid)).await.unwrap_or_else(|_| {
            tracing::warn!("the user database does not answer who has uid {uid}");
            None
        })
    }

    async fn look_up(&self, uid: u32) -> Option<String> {
        let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let found = tokio::task::spawn_blocking(move || {
            let found = daemon::name_of(uid);
            drop(permit);
            found
        });
        match found.await.ok()? {
            Ok(name) => name,
            Err(error) => {
                tracing::warn!("the user database cannot be asked who has uid {uid}: {error}");
                None
            }
        }
    }
}
