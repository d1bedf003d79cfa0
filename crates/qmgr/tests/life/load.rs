//! A busy machine: mail is accepted, and waits.

use std::time::Duration;

use ipc::admin::{Action, News, QueueReply, QueueRequest, State};

use crate::CONTENT;
use crate::admin::ask;
use crate::house::{Ground, envelope, run};

#[test]
fn mail_waits_for_a_busy_machine_and_goes_when_it_is_no_longer() {
    run(async {
        let mut ground = Ground::new();
        ground.config.queue.first_retry = Duration::from_secs(3600);
        ground.config.queue.max_retry = Duration::from_secs(3600);
        let mut house = ground.build().await;
        let to = ["bob@to.test", "cid@to.test"];
        house.submit(envelope("ann@from.test", &to), CONTENT).await;
        house.remote.asked().await.deferred();
        house.until(|messages| messages[0].state == State::Waiting).await;

        // Any load is far higher than this.
        ground.config.queue.queue_only_load = -1e6;
        house.offer(&ground, 2).await;
        let mut watcher = house.visit().await;
        assert_eq!(ask(&mut watcher, QueueRequest::Watch).await, QueueReply::Watching);
        let id = house.submit(envelope("ann@from.test", &to[..1]), CONTENT).await;
        let news = ask(&mut watcher, QueueRequest::News).await;
        assert_eq!(news, QueueReply::News { news: vec![News::Overload(id)], missed: false });
        // Of two that wait, one is not due: it waits for its time.
        let states: Vec<_> = house.list().await.iter().map(|it| it.state).collect();
        assert_eq!(states, [State::Waiting, State::Overload]);
        // Whoever asks for it.
        assert_eq!(house.change(Action::Retry).await, 2);
        house.until(|messages| messages.iter().all(|it| it.state == State::Overload)).await;
        let priorities: Vec<_> = house.list().await.iter().map(|it| it.priority).collect();
        let size = CONTENT.len() as u64;
        assert_eq!(priorities, [size + 2 * 30_000 + 90_000, size + 30_000]);
        assert!(house.remote.is_idle());

        ground.config.queue.queue_only_load = 1e6;
        house.offer(&ground, 3).await;
        house.remote.asked().await.delivered();
        house.remote.asked().await.delivered();
        house.until_empty().await;
        house.drain().await;
    });
}
