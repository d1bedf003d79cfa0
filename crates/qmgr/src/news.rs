//! What comes of attempts, for those who watch: `sendmail -v`, `sendmail -odi`.
//!
//! **Invariant:** nobody waits for a watcher. Whoever does not keep up misses some, and is told so.

use envelope::Origin;
use ipc::admin::{NEWS, News};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};

use crate::admin::authority::Authority;

/// News that are kept for those who have not asked for them yet; were all dialogues, 16 MiB.
const KEPT: usize = 1024;
/// News in one answer.
const MANY: usize = 100;
/// Bytes of dialogues in one answer, and one more dialogue: it fits into a frame.
const MUCH: usize = 256 * 1024;

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
        if self.is_watched() {
            let _ = self.0.send((origin.clone(), news()));
        }
    }

    /// Does anybody watch?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
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
        let (mut news, mut missed, mut said) = (Vec::new(), false, 0);
        while news.len() < MANY && said < MUCH {
            let next = if news.is_empty() {
                timeout_at(until, self.0.recv()).await
            } else {
                timeout_at(Instant::now(), self.0.recv()).await
            };
            match next {
                Ok(Ok((origin, one))) if authority.covers(&origin) => {
                    said += length(&one);
                    news.push(one);
                }
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(_))) => missed = true,
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        (news, missed)
    }
}

/// Bytes of what was said.
const fn length(news: &News) -> usize {
    match news {
        News::Dialogue { dialogue, .. } => dialogue.len(),
        News::Recipient { .. } | News::Overload(_) | News::Rest(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use envelope::{Dialogue, QueueId};

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

    #[test]
    fn long_dialogues_fit_into_an_answer() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().unwrap().block_on(async {
            let reporter = Reporter::default();
            let mut watch = reporter.watch();
            let dialogue = Dialogue::from("250 ok\n".repeat(Dialogue::MAX));
            let id = QueueId::new(1).unwrap();
            for _ in 0..MANY {
                let one = || News::Dialogue { id, dialogue: dialogue.clone() };
                reporter.tell(&user(1), one);
            }
            let mut heard = 0;
            while heard < MANY {
                let (news, missed) = watch.news(Authority::Own(1)).await;
                let bytes: usize = news.iter().map(length).sum();
                assert!(!missed && (1..ipc::MAX_HEAD / 2).contains(&bytes), "{bytes}");
                heard += news.len();
            }
        });
    }
}
