//! What answers of the DNS mean for mail, against a real server on loopback.

#![cfg(test)]

#[path = "support/dns.rs"]
mod dns;

use dns::Dns;
use envelope::{NextHop, Ourselves};
use net::{Families, Lookups, Resolver, Route, Servers};

const ZONE: &str = "
    two.test        MX 20 b.two.test
    two.test        MX 10 a.two.test
    a.two.test      A 127.0.0.11
    a.two.test      AAAA ::1
    b.two.test      A 127.0.0.12
    b.two.test      A 127.0.0.13
    bare.test       A 127.0.0.14
    under_score.test A 127.0.0.15
    xn--bcher-kva.test A 127.0.0.16
    alias.test      CNAME two.test
    null.test       MX 0 .
    dangling.test   MX 10 gone.dangling.test
    half.test       MX 10 gone.half.test
    half.test       MX 20 bare.test
    doubt.test      MX 10 gone.doubt.test
    doubt.test      MX 20 broken.test
    broken.test     SERVFAIL
    empty.test      TXT nothing
    loop.test       MX 10 a.two.test
    loop.test       MX 20 us.test
    us.test         A 127.0.0.1
    best.test       MX 10 us.test
    best.test       MX 20 b.two.test
    best.test       A 127.0.0.17
    itself.test     MX 10 us.test
    itself.test     A 127.0.0.1
    many.test       A 127.0.0.20
    many.test       A 127.0.0.21
    many.test       A 127.0.0.22
    many.test       A 127.0.0.23
    many.test       A 127.0.0.24
    many.test       A 127.0.0.25
    many.test       A 127.0.0.26
    many.test       A 127.0.0.27
    many.test       A 127.0.0.28
    many.test       A 127.0.0.29
    many.test       A 127.0.0.30
    byaddress.test  MX 10 alias-of-us.test
    byaddress.test  MX 20 bare.test
    alias-of-us.test A 127.0.0.1
";

/// The route to `hop`, one `host address` for each target, or the code and text of the end.
fn route(families: Families, hop: &str) -> Vec<String> {
    find(families, false, hop)
}

fn find(families: Families, try_null_mx: bool, hop: &str) -> Vec<String> {
    let dns = Dns::start(ZONE);
    let hop = NextHop::parse(hop).unwrap();
    let ourselves = Ourselves {
        hostname: "us.test".to_owned(),
        addresses: Vec::new(),
        listeners: vec!["127.0.0.1:25".parse().unwrap()],
        root: "/r".into(),
        try_null_mx,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let resolver = Resolver::new(&Servers::Listed(vec![dns.address]), families).unwrap();
        let mut route = match Route::find(&resolver, &ourselves, &hop).await {
            Ok(route) => route,
            Err(status) => return vec![status.code()],
        };
        let mut all = Vec::new();
        while let Some(target) = route.next().await {
            all.push(format!("{} {}", target.host, target.place));
        }
        if all.is_empty() { vec![route.trouble().code()] } else { all }
    })
}

fn ipv4(hop: &str) -> Vec<String> {
    route(Families::Ipv4, hop)
}

#[test]
fn mx_hosts_come_by_preference() {
    let mut all = ipv4("two.test");
    all[1..].sort();
    assert_eq!(
        all,
        ["a.two.test 127.0.0.11:25", "b.two.test 127.0.0.12:25", "b.two.test 127.0.0.13:25"]
    );
    assert_eq!(ipv4("alias.test:26")[0], "a.two.test 127.0.0.11:26");
}

#[test]
fn families_are_chosen() {
    let both = route(Families::Both, "[a.two.test]");
    assert_eq!(both, ["a.two.test [::1]:25", "a.two.test 127.0.0.11:25"]);
    assert_eq!(route(Families::Ipv6, "[a.two.test]"), ["a.two.test [::1]:25"]);
    assert_eq!(route(Families::Ipv6, "bare.test"), ["5.1.2"]);
}

#[test]
fn without_mx_the_domain_is_its_host() {
    assert_eq!(ipv4("bare.test"), ["bare.test 127.0.0.14:25"]);
    assert_eq!(ipv4("[bare.test]:2525"), ["bare.test 127.0.0.14:2525"]);
    assert_eq!(ipv4("under_score.test"), ["under_score.test 127.0.0.15:25"]);
    assert_eq!(ipv4("bücher.test"), ["bücher.test 127.0.0.16:25"]);
    assert_eq!(ipv4("[192.0.2.7]"), ["192.0.2.7 192.0.2.7:25"]);
}

#[test]
fn only_a_clear_no_fails() {
    assert_eq!(ipv4("nowhere.test"), ["5.1.2"]);
    assert_eq!(ipv4("empty.test"), ["5.1.2"]);
    assert_eq!(ipv4("null.test"), ["5.1.10"]);
    assert_eq!(ipv4("dangling.test"), ["5.4.4"]);
    assert_eq!(ipv4("broken.test"), ["4.4.3"]);
    assert_eq!(ipv4("doubt.test"), ["4.4.3"]);
    assert_eq!(ipv4("[nowhere.test]"), ["5.1.2"]);
    assert_eq!(ipv4("half.test"), ["bare.test 127.0.0.14:25"]);
}

async fn all_places(resolver: &Resolver, ourselves: &Ourselves, hop: &NextHop) {
    if let Ok(mut route) = Route::find(resolver, ourselves, hop).await {
        while route.next().await.is_some() {}
    }
}

/// A line of a look-up without its mark; from memory an answer lives less long.
fn young(line: &str) -> String {
    let line = line.strip_prefix("dns: ").unwrap();
    let words = line.split(' ').map(|word| match word.parse::<u8>() {
        Ok(50..60) => "60",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Each question once, with what the DNS said: aliases, times to live, and why there is nothing.
#[test]
fn who_watches_sees_what_is_asked() {
    let dns = Dns::start(ZONE);
    let ourselves = Ourselves { hostname: "us.test".to_owned(), ..Ourselves::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let servers = Servers::Listed(vec![dns.address]);
        let lookups = Lookups::default();
        let resolver = Resolver::new(&servers, Families::Ipv4).unwrap().noting(&lookups);
        for (hop, expected) in [
            ("bare.test", "bare.test MX? no such record\nbare.test A? 1 record(s)\n  bare.test. 60 A 127.0.0.14\n"),
            ("nowhere.test", "nowhere.test MX? no such name (NXDOMAIN)\n"),
            ("[alias-of-us.test]", "alias-of-us.test A? 1 record(s)\n  alias-of-us.test. 60 A 127.0.0.1\n"),
            ("half.test", "half.test MX? 2 record(s)\n  half.test. 60 MX 10 gone.half.test.\n  \
              half.test. 60 MX 20 bare.test.\ngone.half.test A? no such name (NXDOMAIN)\n\
              bare.test A? 1 record(s)\n  bare.test. 60 A 127.0.0.14\n"),
            ("alias.test", "alias.test MX? 3 record(s)\n  alias.test. 60 CNAME two.test.\n  \
              two.test. 60 MX 20 b.two.test.\n  two.test. 60 MX 10 a.two.test.\n\
              a.two.test A? 1 record(s)\n  a.two.test. 60 A 127.0.0.11\n\
              b.two.test A? 2 record(s)\n  b.two.test. 60 A 127.0.0.12\n  b.two.test. 60 A 127.0.0.13\n"),
            ("[192.0.2.7]", ""),
        ] {
            let hop = NextHop::parse(hop).unwrap();
            all_places(&resolver, &ourselves, &hop).await;
            let lines: String = lookups.take().iter().map(|line| young(line) + "\n").collect();
            assert_eq!(lines, expected, "{hop}");
        }
        let hop = NextHop::parse("broken.test").unwrap();
        assert!(Route::find(&resolver, &ourselves, &hop).await.is_err());
        let line = lookups.take().concat();
        assert!(line.starts_with("dns: broken.test MX? no answer after "), "{line}");
    });
}

#[test]
fn mail_never_comes_back_to_us() {
    assert_eq!(ipv4("loop.test"), ["a.two.test 127.0.0.11:25"]);
    assert_eq!(ipv4("us.test"), ["4.4.6"]);
    assert_eq!(ipv4("byaddress.test"), ["4.4.6"]);
    assert_eq!(ipv4("byaddress.test:2525")[0], "alias-of-us.test 127.0.0.1:2525");
}

/// Where the domain itself has an answer no other server has one (domain.c: `!seenlocal`, NULLMX).
#[test]
fn other_servers_come_after_the_first() {
    assert_eq!(ipv4("nowhere.test,bare.test"), ["bare.test 127.0.0.14:25"]);
    assert_eq!(ipv4("broken.test,bare.test"), ["bare.test 127.0.0.14:25"]);
    assert_eq!(ipv4("null.test,bare.test"), ["5.1.10"]);
    assert_eq!(ipv4("loop.test,bare.test"), ["a.two.test 127.0.0.11:25"]);
    assert_eq!(ipv4("byaddress.test,bare.test"), ["4.4.6"]);
    assert_eq!(ipv4("best.test,bare.test"), ["4.4.6"]);
    let many = ipv4("many.test,bare.test");
    assert_eq!((many.len(), many[10].as_str()), (11, "bare.test 127.0.0.14:25"));
}

/// TryNullMXList.
#[test]
fn a_domain_that_points_to_us_may_be_asked_itself() {
    let find = |hop| find(Families::Ipv4, true, hop);
    assert_eq!(find("best.test"), ["best.test 127.0.0.17:25"]);
    assert_eq!(find("best.test,bare.test"), ["best.test 127.0.0.17:25"]);
    assert_eq!(find("itself.test"), ["4.4.6"]);
    assert_eq!(find("loop.test"), ["a.two.test 127.0.0.11:25"]);
    assert_eq!(find("null.test"), ["5.1.10"]);
}

#[test]
fn a_client_is_called_what_its_name_confirms() {
    let reverse = |last: u8, record: &str| format!("{last}.2.0.192.in-addr.arpa {record}\n");
    let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    let dns = Dns::start(
        &[
            reverse(1, "PTR Good.test"),
            "good.test A 192.0.2.1\ngood.test AAAA 2001:db8::1\n".to_owned(),
            format!("{six} PTR good.test\n"),
            reverse(2, "PTR good.test"),
            reverse(3, "PTR nowhere.test"),
            reverse(3, "PTR third.test"),
            "third.test A 192.0.2.99\nthird.test A 192.0.2.3\n".to_owned(),
            reverse(4, "PTR broken.test"),
            "broken.test SERVFAIL\n".to_owned(),
            reverse(5, "SERVFAIL"),
            reverse(6, "PTR nowhere.test"),
        ]
        .concat(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // The families are those of delivery: a client comes as it comes.
        let servers = Servers::Listed(vec![dns.address]);
        let resolver = Resolver::new(&servers, Families::Ipv4).unwrap();
        for (address, expected) in [
            ("192.0.2.1", Ok(Some("good.test"))),
            ("2001:db8::1", Ok(Some("good.test"))),
            ("192.0.2.2", Ok(None)),
            ("192.0.2.3", Ok(Some("third.test"))),
            ("192.0.2.4", Err(())),
            ("192.0.2.5", Err(())),
            ("192.0.2.6", Ok(None)),
            ("192.0.2.7", Ok(None)),
            ("127.0.0.1", Ok(Some("localhost"))),
            ("::1", Ok(Some("localhost"))),
            ("127.0.0.2", Ok(None)),
        ] {
            let name = resolver.confirmed_name(address.parse().unwrap()).await;
            let name = name.as_ref().map(Option::as_deref).map_err(|_| ());
            assert_eq!(name, expected, "{address}");
        }
    });
}
