//! Durable messages a second: `cargo bench -p qmgr --bench store [directory]`, on the file system
//! of that directory (default: the current one). Each waiter wants one message of 4 KiB queued,
//! and then, in the second table, retired, and waits for each.

#![expect(clippy::print_stdout, reason = "a benchmark shows its figures")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envelope::{Address, Aliasing, Body, Envelope, Origin, QueueId, Recipient, ReversePath};
use qmgr::record::{MessageRecord, RecipientRecord};
use qmgr::store::{Change, Fate, NewMessage, Options, Store};

const CONTENT: usize = 4096;
const LASTS: Duration = Duration::from_secs(3);
const WAITERS: [usize; 3] = [1, 20, 100];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Submit,
    SubmitAndRetire,
}

fn main() {
    let place = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let place = place.unwrap_or_else(|| ".".to_owned());
    println!("{:<18} {:>7} {:>11} {:>9} {:>12}", "", "waiters", "messages/s", "CPU us", "file MiB");
    for work in [Work::Submit, Work::SubmitAndRetire] {
        for waiters in WAITERS {
            let directory = tempfile::tempdir_in(&place).expect("the directory can be written");
            measure(directory.path(), work, waiters);
        }
    }
}

fn measure(directory: &Path, work: Work, waiters: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let started = Instant::now();
    let cpu = cpu_time();
    let messages = runtime.block_on(run(directory, work, waiters));
    let seconds = started.elapsed().as_secs_f64();
    let each = (cpu_time() - cpu).as_secs_f64() * 1e6 / messages;
    let file = std::fs::metadata(directory.join("queue.redb")).map_or(0, |it| it.len()) >> 20;
    let rate = messages / seconds;
    println!("{:<18} {waiters:>7} {rate:>11.0} {each:>9.1} {file:>12}", format!("{work:?}"));
}

async fn run(directory: &Path, work: Work, waiters: usize) -> f64 {
    let (store, _) =
        Store::open(directory, Options { min_free_space: 0 }).await.expect("an empty queue");
    let next = Arc::new(AtomicU64::new(1));
    let end = Instant::now() + LASTS;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..waiters {
        waiting.spawn(wait(store.clone(), work, Arc::clone(&next), end));
    }
    waiting.join_all().await;
    store.close().await;
    let messages = u32::try_from(next.load(Ordering::Relaxed)).expect("fewer than four billion");
    f64::from(messages)
}

/// One waiter's life.
async fn wait(store: Store, work: Work, next: Arc<AtomicU64>, end: Instant) {
    let content = Bytes::from(vec![b'x'; CONTENT]);
    while Instant::now() < end {
        let id = QueueId::new(next.fetch_add(1, Ordering::Relaxed)).expect("a small number");
        store.submit(message(id, content.clone())).await.expect("the message is queued");
        if work == Work::SubmitAndRetire {
            let retired = Change { id, fate: Fate::Retired, enqueue: Vec::new() };
            store.change(vec![retired]).await.expect("the message is retired");
        }
    }
}

fn message(id: QueueId, content: Bytes) -> NewMessage {
    let address = |text: &str| text.parse::<Address>().expect("an address");
    let reverse_path = ReversePath(Some(address("bounces-4711@lists.example.org")));
    let recipient = Recipient::plain(address("somebody@example.net"));
    let origin = Origin::Client {
        address: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
        helo: "mx.example.org".to_owned(),
    };
    let envelope = Envelope {
        reverse_path: reverse_path.clone(),
        recipients: Vec::new(),
        body: Body::EightBitMime,
        smtputf8: false,
        ret: None,
        envid: None,
        origin,
        aliasing: Aliasing::Followed,
    };
    let record = MessageRecord::arrived(&envelope, id.number());
    NewMessage::inline(id, record, vec![RecipientRecord::fresh(recipient, reverse_path)], content)
}

/// Of this process, in user and system mode.
fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    let usage = usage.expect("rusage of this process");
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        })
        .sum()
}
