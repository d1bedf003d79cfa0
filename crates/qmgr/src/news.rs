//! What comes of attempts, for those who watch: `sendmail -v`, `sendmail -odi`.
//!
//! **Invariant:** nobody waits for a watcher. Whoever does not keep up misses some, and is told so.

use envelope::Origin;
use ipc::admin::{NEWS, News};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};

use crate::admin::authority::Authority;

/// News that are kept for those who have not asked for them yet.
const KEPT: usize = 1024;
/// News in one answer.
const MANY: usize = 100;

/// Where news come from.
#[derive(Debug)]
pub struct Reporter(broadcast::Sender<(Origin, News)>);

/// Where they go.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<(Origin, News)>);

impl Default for Reporter {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Reporter {
    /// Tells those who watch, if there are any. `origin` is the message's.
    pub fn tell(&self, origin: &Origin, news: impl FnOnce() -> News) {
        if self.0.receiver_count() > 0 {
            let _ = self.0.send((origin.clone(), news()));
        }
    }

    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

impl Watch {
    /// What this user may know and has not heard yet, and whether some is missing. Waits for some, but
    /// not for ever.
    pub async fn news(&mut self, authority: Authority) -> (Vec<News>, bool) {
        let until = Instant::now() + NEWS;
        let (mut news, mut missed) = (Vec::new(), false);
        while news.len() < MANY {
            let next = if news.is_empty() {
                timeout_at(until, self.0.recv()).await
            } else {
                timeout_at(Instant::now(), self.0.recv()).await
            };
            match next {
                Ok(Ok((origin, one))) => news.extend(authority.covers(&origin).then_some(one)),
                Ok(Err(RecvError::Lagged(_))) => missed = true,
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        (news, missed)
    }
}

#[cfg(test)]
mod tests {
    use envelope::QueueId;

    use super::*;

    fn rest(number: u64) -> News {
        News::Rest(QueueId::new(number).unwrap())
    }

    fn user(uid: u32) -> Origin {
        Origin::User { uid, name: "x".to_owned() }
    }

    #[test]
    fn each_hears_of_his_own_from_when_he_asked() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let reporter = Reporter::default();
            reporter.tell(&user(1), || unreachable!("nobody watches"));
            let (mut own, mut all) = (reporter.watch(), reporter.watch());
            reporter.tell(&user(1), || rest(1));
            reporter.tell(&user(2), || rest(2));
            assert_eq!(own.news(Authority::Own(2)).await, (vec![rest(2)], false));
            assert_eq!(all.news(Authority::All).await, (vec![rest(1), rest(2)], false));
            for number in 0..=KEPT as u64 {
                reporter.tell(&user(1), || rest(number));
            }
            let (news, missed) = all.news(Authority::All).await;
            assert_eq!((news.len(), missed, &news[0]), (MANY, true, &rest(1)));
        });
    }
}
