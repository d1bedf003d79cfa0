//! Recipients of whom `local` says who takes their place.

use config::CatchAll;
use envelope::{Member, NextHop, Special, Status};
use ipc::admin::Message;
use ipc::delivery::Destination;

use crate::CONTENT;
use crate::house::{Asked, Ground, House, envelope, run};

fn to(address: &str) -> Member {
    Member::Address(address.parse().unwrap())
}

fn mailbox(address: &str) -> Member {
    Member::Mailbox(address.parse().unwrap())
}

fn include(path: &str) -> Member {
    Member::Special(Special::Include(path.to_owned()))
}

/// Where it goes, in short.
fn shown(asked: &Asked) -> String {
    match &asked.attempt.destination {
        Destination::Local { user, verbatim, .. } => {
            format!("{}{user}", if *verbatim { "\\" } else { "" })
        }
        Destination::Special { what, user } => {
            format!("{what} of {}", user.as_deref().unwrap_or("nobody"))
        }
        Destination::Remote(hop) => hop.to_string(),
    }
}

/// The next attempts of `local`, by name.
async fn asked(house: &mut House, count: usize) -> Vec<(String, Asked)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let asked = house.local.asked().await;
        all.push((shown(&asked), asked));
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

fn names(asked: &[(String, Asked)]) -> Vec<&str> {
    asked.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_forward_is_followed_once_and_durably() {
    run(async {
        let ground = Ground::new();
        let mut house = ground.build().await;
        house.submit(envelope("x@from.test", &["ann@here.test"]), CONTENT).await;
        let ann = house.local.asked().await;
        assert_eq!(shown(&ann), "ann");
        let vacation = Member::Special(Special::Program("vacation ann".to_owned()));
        // Her own name means her mailbox, in whatever domain and with whatever detail.
        ann.named(&[to("ann+old@here.test"), to("eve@to.test"), vacation]);
        let expected = ["\\ann", "|vacation ann of ann"];
        assert_eq!(names(&asked(&mut house, 2).await), expected);
        assert_eq!(house.remote.asked().await.to(), ["eve@to.test"]);
        house.kill();
        let mut house = ground.build().await;
        let again = asked(&mut house, 2).await;
        assert_eq!(names(&again), expected, "and nobody reads the .forward again");
        let mut again = again.into_iter().map(|(_, asked)| asked);
        again.next().unwrap().delivered();
        // What one member comes to is nothing to the others.
        again.next().unwrap().deferred();
        house.remote.asked().await.delivered();
        let program = house.local.asked().await;
        assert_eq!(shown(&program), "|vacation ann of ann");
        program.failed();
        let bounce = house.remote.asked().await;
        assert!(
            bounce.text().contains("Final-Recipient: rfc822; ann@here.test"),
            "{}",
            bounce.text()
        );
        bounce.delivered();
        house.until_empty().await;
    });
}

#[test]
fn users_who_forward_to_each_other_keep_their_mail() {
    run(async {
        let mut house = Ground::new().build().await;
        house.submit(envelope("x@from.test", &["ann@here.test"]), CONTENT).await;
        house.local.asked().await.named(&[to("bob@here.test")]);
        let bob = house.local.asked().await;
        assert_eq!(shown(&bob), "bob");
        bob.named(&[to("ann@here.test")]);
        let ann = house.local.asked().await;
        assert_eq!(shown(&ann), "\\ann");
        ann.delivered();
        house.until_empty().await;
    });
}

#[test]
fn who_forwards_to_an_alias_of_oneself_keeps_the_mail() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some("al: ann\nteam: al, bob\n");
        let mut house = ground.build().await;
        house.submit(envelope("x@from.test", &["ann@here.test"]), CONTENT).await;
        house.local.asked().await.named(&[to("al@here.test")]);
        let ann = house.local.asked().await;
        assert_eq!(shown(&ann), "\\ann");
        ann.delivered();
        house.until_empty().await;
        // By a list, and whatever detail the mail came with.
        house.submit(envelope("x@from.test", &["ann+x@here.test"]), CONTENT).await;
        house.local.asked().await.named(&[to("team@here.test")]);
        let both = asked(&mut house, 2).await;
        assert_eq!(names(&both), ["\\ann", "bob"]);
        for (_, asked) in both {
            asked.delivered();
        }
        house.until_empty().await;
        // From the list, and back to it.
        house.submit(envelope("x@from.test", &["team@here.test"]), CONTENT).await;
        let mut both = asked(&mut house, 2).await.into_iter();
        both.next().unwrap().1.named(&[to("team@here.test"), include("/more")]);
        both.next().unwrap().1.delivered();
        let both = asked(&mut house, 2).await;
        assert_eq!(names(&both), [":include:/more of ann", "\\ann"]);
        for (name, asked) in both {
            match &*name {
                "\\ann" => asked.delivered(),
                _ => asked.named(&[to("team@here.test")]),
            }
        }
        house.until_empty().await;
        assert!(house.remote.is_idle(), "nothing bounces");
    });
}

#[test]
fn who_has_got_the_message_does_not_get_it_again() {
    run(async {
        let mut house = Ground::new().build().await;
        let both = ["ann@here.test", "eve@to.test"];
        house.submit(envelope("x@from.test", &both), CONTENT).await;
        let ann = house.local.asked().await;
        house.remote.asked().await.delivered();
        house.until(|messages| messages[0].recipients.len() == 1).await;
        ann.named(&[to("eve@to.test"), mailbox("ann@here.test")]);
        house.local.asked().await.delivered();
        house.until_empty().await;
        assert!(house.remote.is_idle());
    });
}

#[test]
fn lists_in_lists_have_an_end() {
    run(async {
        let mut house = Ground::new().build().await;
        house.submit(envelope("x@from.test", &["ann@here.test"]), CONTENT).await;
        house.local.asked().await.named(&[include("/list")]);
        for _ in 0..11 {
            let list = house.local.asked().await;
            assert_eq!(shown(&list), ":include:/list of ann");
            list.named(&[include("/list")]);
        }
        let bounce = house.remote.asked().await;
        assert!(bounce.text().contains("Status: 5.4.6"), "{}", bounce.text());
        bounce.delivered();
        house.until_empty().await;
        assert!(house.local.is_idle());
    });
}

#[test]
fn a_list_that_is_too_long_waits_until_it_is_shorter() {
    run(async {
        let mut house = Ground::new().build().await;
        let to_both = envelope("x@from.test", &["ann@here.test", "bob@here.test"]);
        house.submit(to_both, CONTENT).await;
        let mut both = asked(&mut house, 2).await.into_iter().map(|(_, asked)| asked);
        let (ann, bob) = (both.next().unwrap(), both.next().unwrap());
        let members: Vec<_> = (0..10_000).map(|number| to(&format!("u{number}@to.test"))).collect();
        ann.named(&members);
        bob.deferred();
        let waits = |message: &Message| {
            let mut recipients = message.recipients.iter();
            recipients.all(|it| matches!(it.last, Some(Status::Deferred(_))))
        };
        house.until(|messages| messages.iter().all(waits)).await;
        let messages = house.list().await;
        let statuses = messages[0].recipients.iter().map(|it| it.last.clone().unwrap());
        let told: Vec<_> = statuses.map(|it| it.detail().text.clone()).collect();
        assert_eq!(told.len(), 2, "nobody was added: {told:?}");
        assert!(told.contains(&"the list is too long".to_owned()), "{told:?}");
        assert!(house.remote.is_idle());
    });
}

#[test]
fn an_alias_may_be_a_program_or_a_list_and_has_its_owner() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some(
            "cmd: \"|cmd -x\"\n\
             list: :include:/list\nowner-list: bob\n",
        );
        let mut house = ground.build().await;
        let to = ["cmd@here.test", "list@here.test"];
        house.submit(envelope("x@from.test", &to), CONTENT).await;
        let mut both = asked(&mut house, 2).await.into_iter();
        let (name, list) = both.next().unwrap();
        assert_eq!(name, ":include:/list of nobody");
        assert_eq!(list.attempt.reverse_path.to_string(), "bob@here.test");
        let (name, program) = both.next().unwrap();
        assert_eq!(name, "|cmd -x of nobody");
        assert_eq!(program.attempt.reverse_path.to_string(), "x@from.test");
        program.delivered();
        let old = Member::Special(Special::File("/old".to_owned()));
        list.named(&[old]);
        let file = house.local.asked().await;
        assert_eq!(shown(&file), "/old of nobody");
        assert_eq!(file.attempt.reverse_path.to_string(), "bob@here.test");
        file.delivered();
        house.until_empty().await;
    });
}

#[test]
fn mail_of_unknown_users_goes_to_the_host_that_takes_it() {
    run(async {
        let mut ground = Ground::new();
        ground.config.local.catch_all = Some(CatchAll::Host(NextHop::parse("[hub.test]").unwrap()));
        let mut house = ground.build().await;
        let both = ["one@here.test", "two@here.test"];
        house.submit(envelope("x@from.test", &both), CONTENT).await;
        for (_, asked) in asked(&mut house, 2).await {
            asked.named(&[Member::Special(Special::CatchAll)]);
        }
        let mut got = Vec::new();
        while got.len() < 2 {
            let hub = house.remote.asked().await;
            assert_eq!(shown(&hub), "[hub.test]");
            got.extend(hub.to());
            hub.delivered();
        }
        got.sort();
        assert_eq!(got, both);
        house.until_empty().await;
    });
}

#[test]
fn users_who_are_unknown_by_now_have_the_catch_all_of_now() {
    run(async {
        let mut ground = Ground::new();
        ground.aliases = Some("x: \\ghost, bob\n");
        ground.config.local.catch_all = Some(CatchAll::Host(NextHop::parse("[hub.test]").unwrap()));
        let mut house = ground.build().await;
        house.submit(envelope("x@from.test", &["one@here.test"]), CONTENT).await;
        house.local.asked().await.named(&[Member::Special(Special::CatchAll)]);
        assert_eq!(shown(&house.remote.asked().await), "[hub.test]");
        house.kill();
        ground.config.local.catch_all = Some(CatchAll::To("ann".to_owned()));
        let mut house = ground.build().await;
        let one = house.local.asked().await;
        assert_eq!(shown(&one), "one");
        one.named(&[to("ann@here.test")]);
        let ann = house.local.asked().await;
        assert_eq!(shown(&ann), "ann");
        ann.delivered();
        house.until_empty().await;
        house.submit(envelope("x@from.test", &["x@here.test"]), CONTENT).await;
        let mut both = asked(&mut house, 2).await.into_iter();
        let (name, ghost) = both.next().unwrap();
        assert_eq!(name, "\\ghost");
        ghost.named(&[to("ann@here.test")]);
        both.next().unwrap().1.delivered();
        let ann = house.local.asked().await;
        assert_eq!(shown(&ann), "ann");
        ann.delivered();
        house.until_empty().await;
    });
}

#[test]
fn a_next_hop_names_nobody() {
    run(async {
        let mut house = Ground::new().build().await;
        house.submit(envelope("x@from.test", &["eve@to.test"]), CONTENT).await;
        house.remote.asked().await.named(&[to("bob@here.test")]);
        house.until(|messages| messages[0].recipients[0].last.is_some()).await;
        let last = house.list().await[0].recipients[0].last.clone().unwrap();
        assert_eq!(last.code(), "4.3.0", "{last}");
        assert!(house.local.is_idle());
    });
}
