//! What this process did besides handing on messages, counted for `mailstats` and told to `qmgr`, who
//! keeps the counters, each minute and at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipc::submission::{Reply, Submit, Tally};
use smtp::server::Stage;

use crate::room::Room;

/// Between two reports.
const MINUTE: Duration = Duration::from_secs(60);
/// How long `qmgr` may take to note one.
const TIME: Duration = Duration::from_secs(2);

/// Since the last report.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    refused: AtomicU64,
    discarded: AtomicU64,
}

impl Counters {
    /// A client has a seat.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A client, a sender, a recipient or a message was refused. Commands that were none are not
    /// mail.
    pub(crate) fn refused(&self, stage: Stage) {
        match stage {
            Stage::Connect | Stage::Mail | Stage::Rcpt | Stage::Content => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Stage::Command => {}
        }
    }

    /// A message was accepted and goes nowhere.
    pub(crate) fn discarded(&self) {
        self.discarded.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> Tally {
        Tally {
            connections: self.connections.swap(0, Ordering::Relaxed),
            refused: self.refused.swap(0, Ordering::Relaxed),
            discarded: self.discarded.swap(0, Ordering::Relaxed),
        }
    }

    fn put_back(&self, tally: Tally) {
        self.connections.fetch_add(tally.connections, Ordering::Relaxed);
        self.refused.fetch_add(tally.refused, Ordering::Relaxed);
        self.discarded.fetch_add(tally.discarded, Ordering::Relaxed);
    }
}

/// Reports each minute, for ever.
pub(crate) async fn report_each_minute(room: &Room) {
    loop {
        tokio::time::sleep(MINUTE).await;
        report(room).await;
    }
}

/// Tells what there is to tell. What `qmgr` does not hear is told the next time.
pub(crate) async fn report(room: &Room) {
    let tally = room.counters.take();
    if tally == Tally::default() {
        return;
    }
    let told = room.qmgr.call::<_, Reply>(&Submit::Tally(tally), b"", None, TIME).await;
    if told.is_err() {
        room.counters.put_back(tally);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_counted_until_it_is_told() {
        let counters = Counters::default();
        counters.connected();
        let stages = [Stage::Connect, Stage::Command, Stage::Mail, Stage::Rcpt, Stage::Content];
        stages.into_iter().for_each(|stage| counters.refused(stage));
        counters.discarded();
        let tally = Tally { connections: 1, refused: 4, discarded: 1 };
        assert_eq!(counters.take(), tally);
        assert_eq!(counters.take(), Tally::default());
        counters.connected();
        counters.put_back(tally);
        assert_eq!(counters.take(), Tally { connections: 2, ..tally });
    }
}
