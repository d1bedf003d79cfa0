use std::path::Path;

use envelope::Extension;

use super::*;

fn guests(change: impl FnOnce(&mut Config)) -> Guests {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("pennypost.toml");
    let text = "hostname = \"mx.test\"\n[relay]\nnetworks = [\"198.51.100.0/24\"]\n\
                [limits]\nsessions = 20\nsessions_per_client = 2\nconnections_per_minute = 60\n\
                [queue]\nrefuse_load = 100000.0\n";
    std::fs::write(&file, text).unwrap();
    let mut config = config::load(Some(Path::new(root.path())), Some(&file)).unwrap();
    change(&mut config);
    Guests::new(Role::Mx, &config, LoadGauge::open())
}

fn stranger(last: u8) -> Peer {
    Peer::Network([192, 0, 2, last].into())
}

fn trusted() -> Peer {
    Peer::Network([198, 51, 100, 7].into())
}

fn reply(rejected: Result<Seat, Rejection>) -> String {
    rejected.unwrap_err().reply.to_string()
}

#[test]
fn one_client_has_its_share_of_sessions() {
    let guests = guests(|_| ());
    let now = Instant::now();
    let seat = |client: &str| guests.seat(&Peer::Network(client.parse().unwrap()), now);
    let held = [seat("192.0.2.1").unwrap(), seat("192.0.2.1").unwrap()];
    assert_eq!(reply(seat("192.0.2.1")).get(..9), Some("421 4.7.0"));
    let _others = [seat("192.0.2.2").unwrap(), seat("2001:db8::1").unwrap()];
    let _network = seat("2001:db8::2").unwrap();
    assert!(seat("2001:db8::3").is_err(), "a /64 is one client");
    for exempt in ["127.0.0.1", "::1", "198.51.100.7"] {
        let _all = [seat(exempt).unwrap(), seat(exempt).unwrap(), seat(exempt).unwrap()];
    }
    drop(held);
    assert!(seat("192.0.2.1").is_ok());
    let own = geteuid().as_raw();
    let user = |uid| guests.seat(&Peer::User { uid, name: String::new() }, now);
    let _alices = [user(own + 1).unwrap(), user(own + 1).unwrap()];
    assert!(user(own + 1).is_err() && user(own + 2).is_ok() && user(own).is_ok());
}

#[test]
fn a_busy_machine_has_no_seat_for_strangers() {
    // Any load is higher.
    let guests = guests(|config| config.queue.refuse_load = -1.0);
    let now = Instant::now();
    let rejection = guests.seat(&stranger(1), now).unwrap_err();
    let reply = rejection.reply.to_string();
    assert!(reply.starts_with("421 4.3.2 Rejecting connections: load average: "), "{reply}");
    assert_eq!(rejection.untold, None, "not each of them is logged");
    let own = geteuid().as_raw();
    let users = [own, own + 1].map(|uid| Peer::User { uid, name: String::new() });
    let ours = [Peer::Network([127, 0, 0, 1].into()), trusted()];
    for peer in ours.into_iter().chain(users) {
        assert!(guests.seat(&peer, now).is_ok(), "{peer:?}");
    }
}

#[test]
fn a_client_may_come_so_often_in_a_minute() {
    let guests = guests(|_| ());
    let start = Instant::now();
    let visits = |peer: &Peer, seconds| {
        let now = start + Duration::from_secs(seconds);
        (0..100).filter(|_| guests.seat(peer, now).is_ok()).count()
    };
    assert_eq!(visits(&stranger(1), 0), 60);
    assert_eq!(visits(&stranger(2), 0), 60, "others do not pay for it");
    assert_eq!(visits(&stranger(1), 1), 1);
    assert_eq!(visits(&stranger(1), 31), 30);
    assert_eq!(visits(&trusted(), 0), 100);
    assert_eq!(visits(&Peer::User { uid: 12345, name: String::new() }, 0), 100);
}

#[test]
fn strangers_never_take_the_last_seats() {
    let guests = guests(|_| ());
    let now = Instant::now();
    let mut seats: Vec<_> =
        (0..18).map(|last| guests.seat(&stranger(last), now).unwrap()).collect();
    assert!(!seats[0].is_wanted());
    assert_eq!(reply(guests.seat(&stranger(99), now)).get(..9), Some("421 4.3.2"));
    assert!(seats[0].is_wanted(), "one more came");
    seats.push(guests.seat(&trusted(), now).unwrap());
    assert!(!seats[18].is_wanted(), "who is trusted may stay");
    seats.push(guests.seat(&trusted(), now).unwrap());
    assert!(guests.seat(&trusted(), now).is_err(), "all are taken");
    seats.drain(1..10);
    assert!(seats[0].is_wanted());
    seats.pop();
    assert!(!seats[0].is_wanted(), "half of the seats are free");
}

#[test]
fn who_is_trusted_leaves_seats_to_strangers() {
    let guests = guests(|_| ());
    let now = Instant::now();
    let _seats = [(); 18].map(|()| guests.seat(&trusted(), now).unwrap());
    assert_eq!(reply(guests.seat(&trusted(), now)).get(..9), Some("421 4.3.2"));
    let _others = [1, 2].map(|last| guests.seat(&stranger(last), now).unwrap());
    assert!(guests.seat(&stranger(3), now).is_err(), "all are taken");
}

#[test]
fn who_is_sent_away_is_told_of_once_a_minute() {
    let guests = guests(|_| ());
    let start = Instant::now();
    let _seats = [(); 2].map(|()| guests.seat(&stranger(1), start).unwrap());
    let untold = |seconds| {
        let now = start + Duration::from_secs(seconds);
        guests.seat(&stranger(1), now).unwrap_err().untold
    };
    assert_eq!([0, 0, 59, 61, 61].map(untold), [Some(0), None, None, Some(2), None]);
}

#[test]
fn what_is_remembered_is_bounded_and_forgotten() {
    let guests = guests(|_| ());
    let start = Instant::now();
    let network = |number: u32| Peer::Network(std::net::Ipv4Addr::from(number).into());
    for number in 0x0b00_0000..0x0b00_8000 {
        drop(guests.seat(&network(number), start).unwrap());
    }
    let known = guests.counts().clients.known();
    assert!((10_000..20_000).contains(&known), "{known}");
    drop(guests.seat(&network(1), start + Duration::from_secs(2)).unwrap());
    assert_eq!(guests.counts().clients.known(), 1);
}

/// What becomes of one connection: its seat, or the reply at once or once the terms are known.
fn come(guests: &Guests, peer: &Peer, terms: Terms, now: Instant) -> Result<Seat, String> {
    let shown = |rejection: Rejection| rejection.reply.to_string();
    let mut seat = guests.seat(peer, now).map_err(shown)?;
    if let Some(address) = seat.stranger(peer, now) {
        seat.agree(address, terms, now).map_err(shown)?;
    }
    Ok(seat)
}

fn terms(rate: Option<u32>, sessions: Option<u32>) -> Terms {
    Terms { rate, sessions, ..Terms::default() }
}

#[test]
fn the_table_has_another_rate_for_a_client() {
    let start = Instant::now();
    for (peer, rate, expected) in [
        (stranger(1), Some(4), 4),
        (stranger(1), Some(1), 1),
        (stranger(1), Some(90), 90),
        (stranger(1), Some(0), 100),
        (stranger(1), None, 60),
        (trusted(), Some(4), 4),
        (trusted(), None, 100),
    ] {
        let guests = guests(|_| ());
        let visits = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..100).filter(|_| come(&guests, &peer, terms(rate, None), now).is_ok()).count()
        };
        assert_eq!(visits(0), expected, "{peer:?} {rate:?}");
        if rate == Some(4) {
            assert_eq!((visits(14), visits(15)), (0, 1), "a quarter of a minute each");
            let reply = come(&guests, &peer, terms(rate, None), start).unwrap_err();
            assert_eq!(reply, "421 4.3.2 Connection rate limit exceeded.");
        }
    }
}

#[test]
fn the_table_has_another_number_of_sessions_for_a_client() {
    let now = Instant::now();
    for (peer, sessions, expected) in [
        (stranger(1), Some(4), 4),
        (stranger(1), Some(1), 1),
        (stranger(1), Some(0), 10),
        (stranger(1), None, 2),
        (trusted(), Some(3), 3),
    ] {
        let guests = guests(|_| ());
        let come = || come(&guests, &peer, terms(None, sessions), now);
        let seats: Vec<_> = (0..10).filter_map(|_| come().ok()).collect();
        assert_eq!(seats.len(), expected, "{peer:?} {sessions:?}");
        if sessions == Some(4) {
            assert_eq!(come().unwrap_err(), "421 4.3.2 Too many open connections.");
            drop(seats);
            assert!(come().is_ok(), "who is rejected has no seat");
        }
    }
}

#[test]
fn terms_are_asked_for_once_a_second_and_the_newest_hold() {
    let guests = guests(|_| ());
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut first = guests.seat(&stranger(1), start).unwrap();
    assert_eq!(first.stranger(&stranger(1), start), Some([192, 0, 2, 1].into()));
    let pause = |pause| Terms { pause: Some(pause), ..Terms::default() };
    first.agree([192, 0, 2, 1].into(), pause(7), start).unwrap();
    assert_eq!(first.pause(), Duration::from_millis(7));
    let second = guests.seat(&stranger(1), at(999)).unwrap();
    assert_eq!(second.stranger(&stranger(1), at(999)), None);
    assert_eq!(second.pause(), Duration::from_millis(7));
    assert!(first.stranger(&stranger(1), at(1000)).is_some());
    first.agree([192, 0, 2, 1].into(), pause(4_000_000), at(1000)).unwrap();
    assert_eq!(first.pause(), LONGEST_PAUSE);
    let user = Peer::User { uid: 12345, name: String::new() };
    assert_eq!(guests.seat(&user, start).unwrap().stranger(&user, start), None);
}

/// What the table says of one address of a /64 it does not say of the others.
#[test]
fn each_address_of_a_network_has_terms_of_its_own() {
    let guests = guests(|_| ());
    let now = Instant::now();
    let peer = |address: &str| Peer::Network(address.parse().unwrap());
    let (one, other) = (peer("2001:db8::1"), peer("2001:db8::2"));
    let withheld = Extensions::NONE.with(Extension::Pipelining);
    let first = come(&guests, &one, Terms { withheld, ..Terms::default() }, now).unwrap();
    assert_eq!(first.withheld(), withheld);
    let second = come(&guests, &other, Terms::default(), now).unwrap();
    assert_eq!(second.withheld(), Extensions::NONE);
}

/// Who is sent away learns of a change of the table within a second, too, and costs one question a second.
#[test]
fn the_terms_of_who_is_sent_away_grow_old() {
    let start = Instant::now();
    let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
    for (before, after, more) in [
        (terms(Some(1), None), terms(Some(4), None), 4),
        (terms(None, Some(1)), terms(None, Some(4)), 3),
    ] {
        let (guests, peer) = (guests(|_| ()), trusted());
        let _first = come(&guests, &peer, before, at(0)).unwrap();
        assert!(come(&guests, &peer, after, at(9)).is_err(), "what was said holds for a second");
        // Nobody answers; and one question is enough.
        let mut doubted = guests.seat(&peer, at(10)).unwrap();
        assert!(doubted.stranger(&peer, at(10)).is_some() && guests.seat(&peer, at(10)).is_err());
        assert!(doubted.unanswered(at(11)).is_err());
        drop(doubted);
        assert!(guests.seat(&peer, at(19)).is_err());
        assert!(come(&guests, &peer, before, at(20)).is_err(), "nothing has changed");
        let seats: Vec<_> =
            (30..40).filter_map(|tenth| come(&guests, &peer, after, at(tenth)).ok()).collect();
        assert_eq!(seats.len(), more);
    }
}
