//! The life of messages in the real `qmgr` process, with agents that the test answers for.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod house;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod load;
#[cfg(test)]
mod reload;

use std::collections::HashSet;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;

use envelope::{Aliasing, Notify, Origin, Return, Status};
use house::{Ground, PATIENCE, envelope, run};
use ipc::Connection;
use ipc::admin::{Action, Filter, QueueReply, QueueRequest, State};
use ipc::delivery::Destination;
use ipc::submission::{Reply, Submit};

const CONTENT: &[u8] = b"Subject: x\r\n\r\ntext\r\n";

#[test]
fn what_is_delivered_is_gone() {
    run(async {
        let mut house = Ground::new().build().await;
        let mut envelope =
            envelope("ann@from.test", &["bob@to.test", "cid@to.test", "bob@to.test"]);
        envelope.envid = Some("e1".into());
        envelope.ret = Some(Return::Headers);
        let request = Submit::Whole { envelope, quarantine: None, id_at: Some(3) };
        let content = b"id .............\r\n\r\ntext\r\n";
        let reply = house.mx.call(&request, content, None, PATIENCE).await.unwrap().head;
        let Reply::Queued(id) = reply else { panic!("{reply:?}") };
        let asked = house.remote.asked().await;
        assert_eq!(asked.to(), ["bob@to.test", "cid@to.test"]);
        assert_eq!(asked.text(), format!("id {id}\r\n\r\ntext\r\n"));
        let attempt = &asked.attempt;
        assert_eq!((attempt.id, attempt.size), (id, content.len() as u64));
        assert_eq!((attempt.envid.as_deref(), attempt.ret), (Some("e1"), Some(Return::Headers)));
        assert_eq!(house.list().await[0].state, State::Active);
        asked.delivered();
        house.until_empty().await;
        house.drain().await;
    });
}

#[test]
fn what_is_deferred_for_too_long_bounces() {
    run(async {
        let mut ground = Ground::new();
        ground.config.queue.lifetime = std::time::Duration::from_millis(1);
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        for _ in 0..3 {
            house.remote.asked().await.deferred();
        }
        let bounce = house.remote.asked().await;
        assert_eq!(bounce.to(), ["ann@from.test"]);
        assert_eq!(bounce.attempt.reverse_path, envelope::ReversePath::NULL);
        let text = bounce.text();
        assert!(text.contains("multipart/report") && text.contains("Status: 5.4.7"), "{text}");
        bounce.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_bounce_has_no_bounce() {
    run(async {
        let mut house = Ground::new().build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.remote.asked().await.failed();
        let bounce = house.remote.asked().await;
        assert_eq!(bounce.to(), ["ann@from.test"]);
        bounce.failed();
        house.until_empty().await;
        assert!(house.remote.is_idle() && house.local.is_idle());
    });
}

#[test]
fn a_delay_is_told_once() {
    run(async {
        let mut ground = Ground::new();
        ground.config.queue.delay_warning = Some(std::time::Duration::ZERO);
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test", "cid@to.test"]), CONTENT).await;
        house.remote.asked().await.deferred();
        let mut asked = [house.remote.asked().await, house.remote.asked().await];
        asked.sort_by_key(|asked| asked.to());
        let [warning, again] = asked;
        let text = warning.text();
        assert_eq!(text.matches("Action: delayed").count(), 2, "{text}");
        warning.delivered();
        again.deferred();
        house.remote.asked().await.delivered();
        house.until_empty().await;
        assert!(house.remote.is_idle());
    });
}

#[test]
fn success_is_reported_where_it_was_asked_for() {
    run(async {
        let mut house = Ground::new().build().await;
        let mut envelope = envelope("ann@from.test", &["bob@here.test"]);
        envelope.recipients[0].notify = Notify { success: true, ..Notify::NEVER };
        house.submit(envelope, CONTENT).await;
        let detail = envelope::Detail::ours(envelope::Enhanced::UNDEFINED, "stored");
        house.local.asked().await.say(&Status::Delivered(detail));
        let report = house.remote.asked().await;
        assert!(report.text().contains("Action: delivered"), "{}", report.text());
        report.delivered();
        house.until_empty().await;
    });
}

#[test]
fn an_agent_that_dies_is_asked_again() {
    run(async {
        let mut house = Ground::new().build().await;
        let id = house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        drop(house.remote.asked().await);
        let again = house.remote.asked().await;
        assert_eq!(again.attempt.id, id);
        house.until(|messages| messages[0].recipients[0].attempts == 0).await;
        drop(again);
        house.renew_remote().await;
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_restart_forgets_nothing() {
    run(async {
        let ground = Ground::new();
        let mut house = ground.build().await;
        let mut ids = Vec::new();
        for i in 0..100 {
            let to = format!("user@to{i}.test");
            ids.push(house.submit(envelope("ann@from.test", &[&to]), CONTENT).await);
        }
        let under_way = house.remote.asked().await;
        house.kill();
        drop(under_way);
        let mut house = ground.build().await;
        let mut seen = Vec::new();
        for _ in 0..100 {
            let asked = house.remote.asked().await;
            assert_eq!(asked.content, CONTENT);
            seen.push(asked.attempt.id);
            asked.delivered();
        }
        seen.sort();
        assert_eq!(seen, ids);
        house.until_empty().await;
    });
}

#[test]
fn a_successor_is_ready_once_it_has_the_queue() {
    run(async {
        const MESSAGES: usize = 100;
        let ground = Ground::new();
        let first = ground.build().await;
        let die = async {
            for _ in 0..MESSAGES {
                first.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
            }
            first.kill();
        };
        let (mut second, ()) = tokio::join!(ground.build(), die);
        for _ in 0..MESSAGES {
            second.remote.asked().await.delivered();
        }
        second.until_empty().await;
    });
}

#[test]
fn draining_ends_cleanly_and_leaves_the_rest_in_the_queue() {
    run(async {
        let ground = Ground::new();
        let mut house = ground.build().await;
        let first = house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
        house.until_empty().await;
        let second = house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        assert!(second > first);
        assert_eq!(house.change(Action::Hold { reason: None }).await, 1);
        house.remote.asked().await.deferred();
        house.until(|messages| messages[0].state == State::Held).await;
        house.drain().await;
        let house = ground.build().await;
        assert_eq!(house.list().await[0].id, second);
    });
}

#[test]
fn what_arrives_with_a_reason_to_hold_it_waits_for_its_release() {
    run(async {
        let ground = Ground::new();
        let house = ground.build().await;
        let long = vec![b'x'; ipc::submission::INLINE + 1];
        for content in [CONTENT, long.leak()] {
            let envelope = envelope("ann@from.test", &["bob@to.test"]);
            let quarantine = Some("odd".to_owned());
            let request = Submit::Whole { envelope, quarantine, id_at: None };
            let reply: Reply = house.mx.call(&request, content, None, PATIENCE).await.unwrap().head;
            assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
        }
        // Nobody is asked to deliver it, now or after a restart.
        house.drain().await;
        let mut house = ground.build().await;
        let held = house.list().await;
        let odd = |message: &ipc::admin::Message| message.quarantine.as_deref() == Some("odd");
        assert!(held.len() == 2 && held.iter().all(odd), "{held:?}");
        assert!(held.iter().all(|message| message.state == State::Held));
        assert_eq!(house.change(Action::Retry).await, 0);
        assert_eq!(house.change(Action::Release).await, 2);
        for _ in 0..2 {
            house.remote.asked().await.delivered();
        }
        house.until_empty().await;
    });
}

#[test]
fn long_content_is_streamed_and_passed_on_as_a_file() {
    run(async {
        let mut house = Ground::new().build().await;
        let mut lent = house.mx.open().await.unwrap();
        let connection = &mut lent.connection;
        let piece = vec![b'x'; ipc::MAX_BODY];
        let envelope = envelope("ann@from.test", &["bob@to.test"]);
        let begin =
            Submit::Begin { envelope, quarantine: None, id_at: Some(0), declared_size: None };
        let reply: Reply = connection.call(&begin, &piece, None, PATIENCE).await.unwrap().head;
        assert_eq!(reply, Reply::Continue);
        for _ in 0..3 {
            let reply: Reply =
                connection.call(&Submit::More, &piece, None, PATIENCE).await.unwrap().head;
            assert_eq!(reply, Reply::Continue);
        }
        let reply: Reply = connection.call(&Submit::End, b"", None, PATIENCE).await.unwrap().head;
        let Reply::Queued(id) = reply else { panic!("{reply:?}") };
        let asked = house.remote.asked().await;
        assert!(asked.content.is_empty());
        let mut content = vec![0; 4 * piece.len() + 1];
        let file = asked.file.as_ref().unwrap();
        assert_eq!(file.read_at(&mut content, 0).unwrap(), 4 * piece.len());
        assert_eq!(asked.attempt.size, 4 * piece.len() as u64);
        assert!(content.starts_with(format!("{id}xxx").as_bytes()));
        asked.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_message_that_lost_its_file_is_set_aside_until_it_is_deleted() {
    run(async {
        let ground = Ground::new();
        let mut house = ground.build().await;
        let envelope = envelope("ann@from.test", &["bob@to.test"]);
        let begin = Submit::Begin { envelope, quarantine: None, id_at: None, declared_size: None };
        let mut lent = house.mx.open().await.unwrap();
        let piece = vec![b'x'; ipc::MAX_BODY];
        let reply: Reply = lent.connection.call(&begin, &piece, None, PATIENCE).await.unwrap().head;
        assert_eq!(reply, Reply::Continue);
        let reply = lent.connection.call(&Submit::End, b"", None, PATIENCE).await.unwrap().head;
        let Reply::Queued(id) = reply else { panic!("{reply:?}") };
        let asked = house.remote.asked().await;
        let file = ground.config.paths.queue.join("content").join(id.to_string());
        std::fs::remove_file(file).unwrap();
        asked.deferred();
        house.until_empty().await;
        let count = |damaged| QueueReply::Count { messages: 0, held: 0, damaged };
        assert_eq!(house.ask(&QueueRequest::Count).await, count(1));
        assert_eq!(house.ask(&QueueRequest::Show(id)).await, QueueReply::Damaged);
        let (action, filter) = (Action::Delete, Filter { ids: vec![id], ..Filter::default() });
        let delete = QueueRequest::Change { action, filter, after: None, dry_run: false };
        let deleted = QueueReply::Changed { ids: vec![id], next: None };
        assert_eq!(house.ask(&delete).await, deleted);
        assert_eq!(house.ask(&QueueRequest::Count).await, count(0));
        assert_eq!(house.ask(&QueueRequest::Show(id)).await, QueueReply::Message(None));
    });
}

#[test]
fn who_breaks_the_protocol_loses_only_the_connection() {
    run(async {
        let mut house = Ground::new().build().await;
        let good = || envelope("ann@from.test", &["bob@to.test"]);
        let nobody = envelope("ann@from.test", &[]);
        let ourselves = envelope::Envelope { origin: Origin::Ourselves, ..good() };
        let user = Origin::User { uid: 1, name: "x".into() };
        let user = envelope::Envelope { origin: user, ..good() };
        let client = envelope::Envelope { aliasing: Aliasing::Skipped, ..good() };
        let bad = [
            Submit::Whole { envelope: client, quarantine: None, id_at: None },
            Submit::Whole { envelope: good(), quarantine: None, id_at: Some(u32::MAX) },
            Submit::Whole { envelope: nobody, quarantine: None, id_at: None },
            Submit::Whole { envelope: ourselves, quarantine: None, id_at: None },
            Submit::Whole { envelope: user.clone(), quarantine: None, id_at: None },
            Submit::More,
            Submit::End,
        ];
        for request in bad {
            let reply = house.mx.call::<_, Reply>(&request, CONTENT, None, PATIENCE).await;
            assert!(matches!(reply, Err(ipc::Error::PeerGone)), "{request:?}: {reply:?}");
        }
        let request = Submit::Whole { envelope: user, quarantine: None, id_at: None };
        let reply = house.submission.call(&request, CONTENT, None, PATIENCE).await.unwrap().head;
        assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}

/// What is beyond the bound stays in the sockets, of that role only.
#[test]
fn who_gives_more_than_fits_waits() {
    run(async {
        let mut house = Ground::new().build().await;
        let request = || {
            let envelope = envelope("ann@from.test", &["bob@to.test"]);
            Submit::Whole { envelope, quarantine: None, id_at: None }
        };
        // Longest frames, of which nothing but the beginning comes.
        let (head, body) = (u32::try_from(ipc::MAX_HEAD), u32::try_from(ipc::MAX_BODY));
        let prefix = [head.unwrap().to_le_bytes(), body.unwrap().to_le_bytes()].concat();
        let mut greedy = Vec::new();
        for _ in 0..40 {
            let connection = house.mx.open().await.unwrap().connection;
            let mut stream = UnixStream::from(connection.into_fd().unwrap());
            stream.write_all(&prefix).unwrap();
            greedy.push(stream);
        }
        let submission = house.submission.clone();
        let some = async || {
            for _ in 0..5 {
                let reply = submission.call::<_, Reply>(&request(), CONTENT, None, PATIENCE).await;
                assert!(matches!(reply.unwrap().head, Reply::Queued(_)));
            }
        };
        // Not before qmgr has seen them.
        some().await;
        let one = request();
        let waits = house.mx.call::<_, Reply>(&one, CONTENT, None, PATIENCE);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            reply = &mut waits => panic!("{reply:?}"),
            () = some() => {}
        }
        drop(greedy);
        assert!(matches!(waits.await.unwrap().head, Reply::Queued(_)));
        for _ in 0..11 {
            house.remote.asked().await.delivered();
        }
        house.until_empty().await;
    });
}

#[test]
fn a_slow_destination_does_not_starve_the_others() {
    run(async {
        let mut house = Ground::new().build().await;
        for _ in 0..700 {
            house.submit(envelope("ann@from.test", &["bob@slow.test"]), CONTENT).await;
        }
        let mut slow = Vec::new();
        for _ in 0..20 {
            slow.push(house.remote.asked().await);
        }
        assert!(house.remote.is_idle(), "remote.concurrency is 20");
        house.submit(envelope("ann@from.test", &["bob@slow.test", "cid@fast.test"]), CONTENT).await;
        let fast = house.remote.asked().await;
        assert_eq!(fast.to(), ["cid@fast.test"]);
        fast.delivered();
        for asked in slow {
            asked.delivered();
        }
        for _ in 20..701 {
            let asked = house.remote.asked().await;
            assert_eq!(asked.to(), ["bob@slow.test"]);
            asked.delivered();
        }
        house.until_empty().await;
    });
}

#[test]
fn what_finds_no_room_is_taken_up_later() {
    run(async {
        // More than are active at a time.
        const MESSAGES: usize = 2300;
        let mut house = Ground::new().build().await;
        for i in 0..MESSAGES {
            let to = format!("bob@to{i}.test");
            house.submit(envelope("ann@from.test", &[&to]), CONTENT).await;
        }
        for _ in 0..MESSAGES {
            house.remote.asked().await.delivered();
        }
        house.until_empty().await;
        assert!(house.remote.is_idle());
    });
}

#[test]
fn what_is_found_in_the_index_while_it_arrives_is_attempted_once() {
    run(async {
        // More replies than a socket holds: one message is durable, and its submitter not told.
        const MESSAGES: usize = 1000;
        let mut house = Ground::new().build().await;
        let fd = house.mx.open().await.unwrap().connection.into_fd().unwrap();
        let mut replies = Connection::from_fd(fd.try_clone().unwrap()).unwrap();
        let mut requests = Connection::from_fd(fd).unwrap();
        tokio::spawn(async move {
            for i in 0..MESSAGES {
                let envelope = envelope("ann@from.test", &[&format!("bob@to{i}.test")]);
                let request = Submit::Whole { envelope, quarantine: None, id_at: None };
                requests.send(&request, CONTENT, None).await.unwrap();
            }
        });
        let mut seen = HashSet::new();
        let mut attempted = |asked: house::Asked| {
            assert!(seen.insert(asked.attempt.id), "{} is attempted twice", asked.attempt.id);
            asked.delivered();
            seen.len()
        };
        // The due index is read again and again.
        for _ in 0..200 {
            let filter = Filter::default();
            let action = Action::Retry;
            house.ask(&QueueRequest::Change { action, filter, after: None, dry_run: false }).await;
            while let Some(asked) = house.remote.asked_now() {
                attempted(asked);
            }
        }
        for _ in 0..MESSAGES {
            let reply = replies.receive_within::<Reply>(PATIENCE).await.unwrap().head;
            assert!(matches!(reply, Reply::Queued(_)), "{reply:?}");
        }
        while attempted(house.remote.asked().await) < MESSAGES {}
        house.until_empty().await;
        assert!(house.remote.is_idle());
    });
}

#[test]
fn a_dead_next_hop_is_left_alone() {
    run(async {
        let mut ground = Ground::new();
        let hour = std::time::Duration::from_secs(3600);
        ground.config.queue.first_retry = hour;
        ground.config.queue.max_retry = hour;
        ground.config.queue.host_status = hour;
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@dead.test"]), CONTENT).await;
        house.remote.asked().await.unreachable();
        house.until(|messages| messages[0].state == State::Waiting).await;
        // It is stored as deferred, and so it is found by the next process.
        house.submit(envelope("ann@from.test", &["cid@dead.test"]), CONTENT).await;
        assert!(house.remote.is_idle());
        house.kill();
        let mut house = ground.build().await;
        let message = house.list().await.remove(1);
        assert_eq!((message.state, message.recipients[0].attempts), (State::Waiting, 1));
        let last = message.recipients[0].last.clone().unwrap();
        assert_eq!(last.detail().text, "connection timed out");
        assert!(message.next_attempt >= Some(message.arrival + 3600));
        assert_eq!(house.change(Action::Retry).await, 2);
        house.remote.asked().await.delivered();
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_dead_next_hop_keeps_nobody_else_from_the_message() {
    run(async {
        let mut ground = Ground::new();
        ground.config.queue.first_retry = std::time::Duration::from_secs(3600);
        ground.config.queue.host_status = ground.config.queue.first_retry;
        ground.aliases = Some("both: cid@dead.test, ann\n");
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@dead.test"]), CONTENT).await;
        house.remote.asked().await.unreachable();
        house.until(|messages| messages[0].state == State::Waiting).await;
        house.submit(envelope("ann@from.test", &["cid@dead.test", "bob@to.test"]), CONTENT).await;
        house.submit(envelope("ann@from.test", &["both@here.test"]), CONTENT).await;
        let asked = house.remote.asked().await;
        assert_eq!(asked.to(), ["bob@to.test"]);
        asked.delivered();
        house.local.asked().await.delivered();
        let to = |message: &ipc::admin::Message| message.recipients[0].address.to_string();
        house.until(|messages| messages.iter().all(|it| it.recipients.len() == 1)).await;
        let left: Vec<_> = house.list().await.iter().map(to).collect();
        assert_eq!(left, ["bob@dead.test", "cid@dead.test", "cid@dead.test"]);
    });
}

#[test]
fn held_mail_waits_for_its_release() {
    run(async {
        let mut ground = Ground::new();
        let hour = std::time::Duration::from_secs(3600);
        ground.config.queue.first_retry = hour;
        ground.config.queue.max_retry = hour;
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.remote.asked().await.deferred();
        house.until(|messages| messages[0].state == State::Waiting).await;
        assert_eq!(house.change(Action::Hold { reason: None }).await, 1);
        assert_eq!(house.change(Action::Retry).await, 0);
        let counts = house.ask(&QueueRequest::Count).await;
        assert_eq!(counts, QueueReply::Count { messages: 1, held: 1, damaged: 0 });
        assert_eq!(house.change(Action::Release).await, 1);
        house.remote.asked().await.deferred();
        house.until(|messages| messages[0].state == State::Waiting).await;
        let message = house.list().await.remove(0);
        assert_eq!(message.recipients[0].attempts, 2);
        assert_eq!(message.recipients[0].route, "mx to.test");
        assert_eq!(message.origin, "192.0.2.1 (helo client.test)");
        let shown = house.ask(&QueueRequest::Show(message.id)).await;
        assert_eq!(shown, QueueReply::Message(Some(Box::new(message))));
        assert_eq!(house.change(Action::Delete).await, 1);
        assert!(house.list().await.is_empty());
        assert!(house.remote.is_idle());
    });
}

#[test]
fn aliases_are_expanded_once_and_durably() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some(
            "team: bob, cid@to.test, others\n\
             others: team, dan@to.test, cid@to.test\n\
             bob: \\bob, eve@to.test\n\
             one: two\n\
             two: fay@to.test\n",
        );
        let mut house = ground.build().await;
        let mut envelope = envelope("ann@from.test", &["team@here.test", "one@here.test"]);
        envelope.recipients[0].notify = Notify { success: true, ..Notify::DEFAULT };
        house.submit(envelope, CONTENT).await;
        let mut asked = [house.remote.asked().await, house.remote.asked().await];
        asked.sort_by_key(|asked| asked.to().len());
        let [report, members] = asked;
        assert!(report.text().contains("Action: expanded"), "{}", report.text());
        let to = ["cid@to.test", "dan@to.test", "eve@to.test", "fay@to.test"];
        assert_eq!(members.to(), to);
        assert!(members.attempt.recipients.iter().all(|recipient| !recipient.notify.success));
        let bob = house.local.asked().await;
        assert_eq!(bob.to(), ["bob@here.test"]);
        house.kill();
        ground.aliases = None;
        let mut house = ground.build().await;
        house.remote.asked().await.delivered();
        house.remote.asked().await.delivered();
        house.local.asked().await.delivered();
        // Without aliases `one` is a user.
        house.local.asked().await.delivered();
        house.until_empty().await;
    });
}

#[test]
fn aliases_that_go_round_in_a_circle_bounce() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some("round: circle\ncircle: round\n");
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["round@here.test"]), CONTENT).await;
        let bounce = house.remote.asked().await;
        assert!(bounce.text().contains("Status: 5.4.6"), "{}", bounce.text());
        bounce.delivered();
        house.until_empty().await;
    });
}

#[test]
fn two_names_of_one_person_share_one_copy_and_its_fate() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some("info: bob\n");
        let mut house = ground.build().await;
        let to = ["info@here.test", "bob@here.test"];
        house.submit(envelope("ann@from.test", &to), CONTENT).await;
        let asked = house.local.asked().await;
        assert_eq!(asked.to(), ["bob@here.test"]);
        asked.deferred();
        let again = house.local.asked().await;
        let tried: Vec<_> = house.list().await[0].recipients.iter().map(|to| to.attempts).collect();
        assert_eq!(tried, [1, 1]);
        again.failed();
        let bounce = house.remote.asked().await;
        assert_eq!(bounce.text().matches("Action: failed").count(), 2, "{}", bounce.text());
        assert!(house.local.is_idle());
        bounce.delivered();
        house.until_empty().await;
    });
}

#[test]
fn what_is_deleted_is_not_begun() {
    run(async {
        let mut ground = Ground::new();
        ground.config.remote.concurrency = 1;
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        let under_way = house.remote.asked().await;
        house.submit(envelope("ann@from.test", &["cid@to.test"]), CONTENT).await;
        assert_eq!(house.change(Action::Delete).await, 2);
        house.submit(envelope("ann@from.test", &["dan@to.test"]), CONTENT).await;
        under_way.deferred();
        let last = house.remote.asked().await;
        assert_eq!(last.to(), ["dan@to.test"]);
        last.delivered();
        house.until_empty().await;
    });
}

#[test]
fn recipients_are_grouped_by_where_they_go() {
    run(async {
        let mut house = Ground::new().build().await;
        let to: Vec<_> = (0..150).map(|i| format!("user{i}@to.test")).collect();
        let mut to: Vec<_> = to.iter().map(String::as_str).collect();
        to.push("ann@here.test");
        house.submit(envelope("ann@from.test", &to), CONTENT).await;
        let local = house.local.asked().await;
        assert!(
            matches!(&local.attempt.destination, Destination::Local { user, .. } if user == "ann")
        );
        let (one, two) = (house.remote.asked().await, house.remote.asked().await);
        assert_eq!(one.to().len() + two.to().len(), 150);
        assert_eq!(one.to().len().max(two.to().len()), 100);
        let deferred = one.to();
        one.deferred();
        two.delivered();
        house.until(|messages| messages[0].recipients.len() == deferred.len() + 1).await;
        assert!(house.remote.is_idle(), "the round has not ended");
        local.delivered();
        let again = house.remote.asked().await;
        assert_eq!(again.to(), deferred);
        again.delivered();
        house.until_empty().await;
    });
}
