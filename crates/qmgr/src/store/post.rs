//! Answers that leave together, so that one commit wakes the callers' thread once and not once for
//! each of them.

use tokio::sync::{mpsc, oneshot};

use super::StoreError;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// An answer on its way.
type Letter = Box<dyn FnOnce() + Send>;

/// Where the thread leaves its answers. They are as many as there are callers.
#[derive(Debug)]
pub(super) struct Post {
    bag: Bag,
    road: mpsc::UnboundedSender<Bag>,
}

#[derive(Default)]
struct Bag(Vec<Letter>);

impl std::fmt::Debug for Bag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answers", self.0.len())
    }
}

impl Post {
    /// Starts the task that hands the answers out, among the callers.
    pub(super) fn start() -> Self {
        let (road, mut bags) = mpsc::unbounded_channel::<Bag>();
        tokio::spawn(async move {
            while let Some(Bag(letters)) = bags.recv().await {
                letters.into_iter().for_each(|letter| letter());
            }
        });
        Self { bag: Bag::default(), road }
    }

    /// Answers with the next [`Post::send`]. Whoever asked may be gone.
    pub(super) fn answer<T: Send + 'static>(
        &mut self,
        answer: Answer<T>,
        with: Result<T, StoreError>,
    ) {
        self.bag.0.push(Box::new(move || drop(answer.send(with))));
    }

    pub(super) fn send(&mut self) {
        if !self.bag.0.is_empty() {
            // Without a runtime there are no callers.
            let _ = self.road.send(std::mem::take(&mut self.bag));
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.send();
    }
}
