//! The wish to end.

use tokio::sync::watch;

/// Tells when the process is to take nothing new and finish what is under way.
#[derive(Debug, Clone)]
pub struct Drain(pub(crate) watch::Receiver<bool>);

impl From<watch::Receiver<bool>> for Drain {
    /// `true` begins it.
    fn from(begun: watch::Receiver<bool>) -> Self {
        Self(begun)
    }
}

impl Drain {
    /// Returns once draining has begun. Cancel-safe.
    pub async fn begun(&mut self) {
        // The sender lives as long as the process; if it is gone, the end has come all the more.
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Has draining begun?
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}
