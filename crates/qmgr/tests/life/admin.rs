//! What an administrator asks and changes beside listing, holding and deleting.

use std::time::Duration;

use envelope::{Member, Origin, QueueId, Special, Status};
use ipc::Connection;
use ipc::admin::{Action, Filter, Forget, Host, News, QueueReply, QueueRequest, State, Statistics};

use crate::CONTENT;
use crate::house::{Ground, House, PATIENCE, envelope, run};

fn patient() -> Ground {
    let mut ground = Ground::new();
    let hour = Duration::from_secs(3600);
    ground.config.queue.first_retry = hour;
    ground.config.queue.max_retry = hour;
    ground.config.queue.host_status = hour;
    ground
}

/// A message for these recipients at one host that does not answer.
async fn waiting(house: &mut House, to: &[&str]) -> QueueId {
    let id = house.submit(envelope("ann@from.test", to), CONTENT).await;
    house.remote.asked().await.unreachable();
    house.until(|messages| messages.iter().all(|it| it.state == State::Waiting)).await;
    id
}

async fn changed(house: &House, action: Action, filter: Filter) -> Vec<QueueId> {
    let request = QueueRequest::Change { action, filter, after: None, dry_run: false };
    let reply = house.ask(&request).await;
    let QueueReply::Changed { ids, next: None } = reply else { panic!("{reply:?}") };
    ids
}

#[test]
fn what_is_given_up_goes_back() {
    run(async {
        let mut house = patient().build().await;
        let id = waiting(&mut house, &["bob@dead.test", "cid@dead.test"]).await;
        assert_eq!(changed(&house, Action::Bounce, Filter::default()).await, [id]);
        let bounce = house.remote.asked().await;
        assert_eq!(
            (bounce.to(), bounce.attempt.reverse_path.0.clone()),
            (vec!["ann@from.test".into()], None)
        );
        let text = bounce.text();
        for part in ["given up by an administrator", "bob@dead.test", "cid@dead.test", "5.0.0"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // What is under way stays.
        assert_eq!(changed(&house, Action::Bounce, Filter::default()).await, []);
        let elsewhere = Action::Redirect("x@to.test".parse().unwrap());
        assert_eq!(changed(&house, elsewhere, Filter::default()).await, []);
        bounce.delivered();
        house.until_empty().await;
    });
}

#[test]
fn what_is_redirected_has_another_way() {
    run(async {
        let mut house = patient().build().await;
        let id = waiting(&mut house, &["bob@dead.test", "cid@dead.test"]).await;
        let to = Action::Redirect("dan@to.test".parse().unwrap());
        let bob = || Filter { to: Some("bob@".to_owned()), ..Filter::default() };
        assert_eq!(changed(&house, to.clone(), bob()).await, [id]);
        let asked = house.remote.asked().await;
        assert_eq!(asked.to(), ["dan@to.test"]);
        let orcpt = asked.attempt.recipients[0].orcpt.clone().unwrap();
        assert_eq!((&*orcpt.kind, &*orcpt.address), ("rfc822", "bob@dead.test"));
        asked.delivered();
        house.until(|messages| messages[0].recipients.len() == 1).await;
        house.until(|messages| messages[0].state == State::Waiting).await;
        assert_eq!(changed(&house, to.clone(), bob()).await, []);
        assert_eq!(changed(&house, to, Filter::default()).await, [id]);
        house.remote.asked().await.delivered();
        house.until_empty().await;
    });
}

#[test]
fn next_hops_are_known_until_they_are_forgotten() {
    run(async {
        let mut house = patient().build().await;
        waiting(&mut house, &["bob@dead.test"]).await;
        house.submit(envelope("ann@from.test", &["bob@good.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
        house.until(|messages| messages.len() == 1).await;
        let known = async || {
            let reply = house.ask(&QueueRequest::Hosts { after: None }).await;
            let QueueReply::Hosts { hosts, next: None } = reply else { panic!("{reply:?}") };
            hosts
        };
        let hosts = known().await;
        let shown =
            |host: &Host| (host.name.clone(), host.status.class(), host.alone_until.is_some());
        let expected = [("dead.test".to_owned(), 4, true), ("good.test".to_owned(), 2, false)];
        assert_eq!(hosts.iter().map(shown).collect::<Vec<_>>(), expected);
        let forget = async |forget| house.ask(&QueueRequest::Forget(forget)).await;
        assert_eq!(forget(Forget::Expired).await, QueueReply::Forgotten(0));
        let name = Forget::Name("DEAD.test".to_owned());
        assert_eq!(forget(name.clone()).await, QueueReply::Forgotten(1));
        assert_eq!(forget(name).await, QueueReply::Forgotten(0));
        assert_eq!(known().await.len(), 1);
        // It is tried again.
        house.submit(envelope("ann@from.test", &["cid@dead.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
    });
}

#[test]
fn what_was_counted_survives_until_it_is_begun_anew() {
    run(async {
        let ground = patient();
        let mut house = ground.build().await;
        house.submit(envelope("ann@from.test", &["bob@to.test", "cid@to.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
        house.submit(envelope("ann@from.test", &["bob@here.test"]), CONTENT).await;
        house.local.asked().await.failed();
        let bounce = house.remote.asked().await;
        bounce.delivered();
        house.until_empty().await;
        house.drain().await;
        let house = ground.build().await;
        let counted = async |reset| {
            let reply = house.ask(&QueueRequest::Statistics { reset }).await;
            let QueueReply::Statistics(statistics) = reply else { panic!("{reply:?}") };
            statistics
        };
        let statistics = counted(true).await;
        let [_, _, _, local, _, esmtp] = statistics.mailers;
        assert_eq!((esmtp.messages_from, esmtp.kilobytes_from), (2, 2));
        assert_eq!((esmtp.messages_to, esmtp.kilobytes_to), (3, 4));
        assert_eq!((local.messages_from, local.messages_to), (1, 0), "the bounce is ours");
        assert_eq!(statistics.connections_to, 2);
        let anew = counted(false).await;
        assert!(anew.since >= statistics.since);
        assert_eq!(anew.mailers, Statistics::default().mailers);
    });
}

pub(crate) async fn ask(connection: &mut Connection, request: QueueRequest) -> QueueReply {
    connection.call(&request, b"", None, PATIENCE).await.unwrap().head
}

/// Everything up to the end of the message's round.
async fn news(connection: &mut Connection, id: QueueId) -> Vec<(String, Option<Status>)> {
    let mut all = Vec::new();
    loop {
        let reply = ask(connection, QueueRequest::News).await;
        let QueueReply::News { news, missed: false } = reply else { panic!("{reply:?}") };
        for one in news {
            match one {
                News::Rest(rest) if rest == id => return all,
                News::Recipient { address, status, .. } => {
                    all.push((address.to_string(), Some(status)))
                }
                News::Dialogue { dialogue, .. } => {
                    all.extend(dialogue.lines().map(|line| (line.to_owned(), None)));
                }
                News::Overload(_) | News::Rest(_) => {}
            }
        }
    }
}

#[test]
fn who_watches_hears_of_his_own_mail() {
    run(async {
        let mut house = patient().build().await;
        let mut user = house.visit_as(false).await;
        assert_eq!(ask(&mut user, QueueRequest::Watch).await, QueueReply::Watching);
        let others = house.submit(envelope("ann@from.test", &["bob@to.test"]), CONTENT).await;
        house.remote.asked().await.delivered();
        house.until_empty().await;
        let mut own = envelope("ann@from.test", &["bob@here.test", "cid@dead.test"]);
        let uid = nix::unistd::Uid::current().as_raw();
        own.origin = Origin::User { uid, name: "ann".to_owned() };
        let id = house.submit_own(own, CONTENT).await;
        assert_ne!(id, others);
        house.local.asked().await.delivered();
        house.remote.asked().await.unreachable();
        let mut seen = news(&mut user, id).await;
        seen.sort_by(|(one, _), (other, _)| one.cmp(other));
        let class = |status: &Option<Status>| status.as_ref().map_or(0, Status::class);
        let seen: Vec<_> = seen.iter().map(|(to, it)| (to.as_str(), class(it))).collect();
        let said = ("250 ok", 0);
        assert_eq!(seen, [said, said, ("bob@here.test", 2), ("cid@dead.test", 4)]);
        // What is deferred without an attempt is news, too.
        let mut own = envelope("ann@from.test", &["dan@dead.test"]);
        own.origin = Origin::User { uid, name: "ann".to_owned() };
        let id = house.submit_own(own, CONTENT).await;
        assert_eq!(news(&mut user, id).await.len(), 1);
        for request in [
            QueueRequest::Hosts { after: None },
            QueueRequest::Forget(Forget::Expired),
            QueueRequest::Statistics { reset: true },
            QueueRequest::Count,
        ] {
            assert_eq!(ask(&mut user, request).await, QueueReply::NotAllowed);
        }
    });
}

#[test]
fn what_has_much_to_tell_is_listed_and_who_asks_with_much_is_not_answered() {
    run(async {
        let mut house = patient().build().await;
        let to = format!("{}@here.test", "a".repeat(60));
        house.submit(envelope("x@from.test", &[to.as_str()]), CONTENT).await;
        let arguments = "x".repeat(990);
        let program = |number| Member::Special(Special::Program(format!("p{number} {arguments}")));
        let all: Vec<_> = (0..1000).map(program).collect();
        house.local.asked().await.named(&all);
        let first = house.local.asked().await;
        let list = |filter| QueueRequest::List { filter, after: None };
        let reply = house.ask(&list(Filter::default())).await;
        let QueueReply::Messages { messages, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(messages[0].recipients.len(), 1000);
        let long = Filter { to: Some("x".repeat(100_000)), ..Filter::default() };
        let reply = house.ask(&list(long)).await;
        assert!(matches!(reply, QueueReply::Fault(_)), "{reply:?}");
        first.delivered();
    });
}
