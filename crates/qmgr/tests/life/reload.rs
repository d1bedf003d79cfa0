//! Further generations of configuration and tables: whatever begins follows the newest, what is
//! under way keeps its own.

use std::time::Duration;

use envelope::NextHop;
use ipc::admin::Action;
use ipc::control::Report;
use ipc::delivery::Destination;

use crate::CONTENT;
use crate::house::{Asked, Ground, envelope, run};

const HOUR: Duration = Duration::from_secs(3600);

fn remote(next_hop: &str) -> Destination {
    Destination::Remote(NextHop::parse(next_hop).unwrap())
}

fn destination(asked: &Asked) -> &Destination {
    &asked.attempt.destination
}

#[test]
fn queued_mail_follows_the_new_routes_at_its_next_attempt() {
    run(async {
        let mut ground = Ground::new();
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.submit(envelope("ann@from.test", &["list@here.test"]), CONTENT).await;
        let (relayed, local) = (house.remote.asked().await, house.local.asked().await);
        assert_eq!(*destination(&relayed), remote("to.test"));
        ground.config.relay.smarthost = NextHop::parse("[smart.test]");
        ground.aliases = Some("list: cid@to.test\n");
        assert_eq!(house.offer(&ground, 2).await, Report::Taken { generation: 2 });
        // What is under way is none the worse for it.
        relayed.deferred();
        local.deferred();
        for _ in 0..2 {
            let again = house.remote.asked().await;
            assert_eq!(*destination(&again), remote("[smart.test]"), "{:?}", again.to());
            again.delivered();
        }
        house.until_empty().await;
        house.drain().await;
    });
}

#[test]
fn waits_and_limits_follow() {
    run(async {
        let mut ground = Ground::new();
        ground.config.queue.first_retry = HOUR;
        ground.config.queue.max_retry = HOUR;
        ground.config.remote.concurrency = 1;
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.submit(envelope("ann@from.test", &["cid@to.test"]), CONTENT).await;
        let first = house.remote.asked().await;
        ground.config.queue.first_retry = Duration::from_millis(10);
        ground.config.remote.concurrency = 2;
        assert_eq!(house.offer(&ground, 2).await, Report::Taken { generation: 2 });
        house.remote.asked().await.delivered();
        // Its round began before: it waits as long as was said then.
        first.deferred();
        let waits = |message: &ipc::admin::Message| message.next_attempt > Some(message.arrival);
        house.until(|messages| messages.len() == 1 && messages.iter().all(waits)).await;
        assert_eq!(house.change(Action::Retry).await, 1);
        house.remote.asked().await.deferred();
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}

#[test]
fn what_cannot_be_followed_is_refused_and_nothing_changes() {
    run(async {
        let mut ground = Ground::new();
        let mut house = ground.build().await;
        let queue = ground.config.paths.queue.clone();
        ground.config.paths.queue = "/elsewhere".into();
        ground.config.relay.smarthost = NextHop::parse("[smart.test]");
        let report = house.offer(&ground, 2).await;
        let Report::Refused { generation: 2, why } = report else { panic!("{report:?}") };
        assert!(why.contains("/elsewhere needs a restart"), "{why}");
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        let asked = house.remote.asked().await;
        assert_eq!(*destination(&asked), remote("to.test"));
        asked.delivered();

        ground.config.paths.queue = queue;
        assert_eq!(house.offer(&ground, 3).await, Report::Taken { generation: 3 });
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        let asked = house.remote.asked().await;
        assert_eq!(*destination(&asked), remote("[smart.test]"));
        asked.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_session_of_an_older_generation_keeps_its_limits() {
    run(async {
        let mut ground = Ground::new();
        let mut house = ground.build().await;
        ground.config.limits.recipients = 1;
        assert_eq!(house.offer(&ground, 2).await, Report::Taken { generation: 2 });
        house.submit(envelope("ann@from.test", &["bob@to.test", "cid@to.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}
