//! The wish to end.

use tokio::sync::watch;

/// Tells when the process is to take nothing new and finish what is under way.
#[derive(Debug, Clone)]
pub struct Drain {
    pub(crate) retired: watch::Receiver<bool>,
    pub(crate) begun: watch::Receiver<bool>,
}

impl From<watch::Receiver<bool>> for Drain {
    /// `true` begins it; nobody retires the process.
    fn from(begun: watch::Receiver<bool>) -> Self {
        Self { retired: begun.clone(), begun }
    }
}

impl Drain {
    /// Returns once nothing new is to be taken: a successor does that, or draining has begun. Then
    /// what is under way may still go on to its own end. Cancel-safe.
    pub async fn nothing_new(&mut self) {
        let (retired, begun) = (&mut self.retired, &mut self.begun);
        // The senders live as long as the process; if one is gone, the end has come all the more.
        tokio::select! {
            _ = retired.wait_for(|retired| *retired) => {}
            _ = begun.wait_for(|begun| *begun) => {}
        }
    }

    /// Returns once draining has begun: what is under way is to end soon. Cancel-safe.
    pub async fn begun(&mut self) {
        let _ = self.begun.wait_for(|begun| *begun).await;
    }

    /// Has draining begun?
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Is nothing new to be taken?
    #[must_use]
    pub fn takes_nothing_new(&self) -> bool {
        *self.retired.borrow() || self.has_begun()
    }
}
