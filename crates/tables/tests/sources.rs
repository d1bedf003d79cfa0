//! Tables of several sources and types: which of them says what.

#![cfg(test)]

use std::io::Read as _;
use std::process::{Command, Stdio};

use tables::{
    Access, Aliases, Domaintable, Genericstable, Kind, Mailer, Mailertable, Meaning, RelayDomains,
    Tag, Target, Virtusertable, add_source, cdb,
};

/// Each source as `type:name` and its text; of `cdb` the text is `key=value` lines.
fn content(table: &str, sources: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (source, text) in sources {
        let (kind, name) = source.split_once(':').unwrap();
        let kind = Kind::named(kind).unwrap();
        assert!(Kind::of_table(table).contains(&kind), "{source}");
        let entry = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let records: Vec<_> = text.lines().filter_map(entry).collect();
        let database = cdb::encode(&records).unwrap();
        let bytes = if kind == Kind::Cdb { database.as_slice() } else { text.as_bytes() };
        add_source(&mut content, table, kind, name, bytes).unwrap();
    }
    content
}

fn access(sources: &[(&str, &str)]) -> Access {
    let read = Access::read("access", content("access", sources).as_slice()).unwrap();
    assert_eq!(read.findings, []);
    read.table
}

#[test]
fn of_the_same_key_the_first_source_counts_and_the_most_specific_before() {
    let table = access(&[
        ("text:access", "Connect:10 REJECT\nConnect:10.2.0.1 OK\nFrom:a.test OK\n"),
        (
            "cidr:access.cidr",
            "10.1.0.0/16 SKIP\nConnect:10.1.2.0/24 RELAY\nConnect:10.0.0.0/9 OK\n",
        ),
        ("cdb:more.cdb", "from:a.test=REJECT\nfrom:b.test=REJECT\nconnect:10.2.0.1=REJECT\n"),
    ]);
    for (address, expected) in [
        // The tag first, then the source.
        ("10.1.2.3", "access.cidr:2 connect:10.1.2.0/24 RELAY"),
        ("10.1.3.3", "access.cidr:3 connect:10.0.0.0/9 OK"),
        ("10.2.0.1", "access:2 connect:10.2.0.1 OK"),
        // No network has it: a shorter key.
        ("10.200.0.1", "access:1 connect:10 REJECT"),
    ] {
        let hit = table.address(Tag::Connect, address.parse().unwrap()).unwrap();
        assert_eq!(format!("{} {hit}", hit.place), expected, "{address}");
    }
    let from = |domain: &str| table.domain(Tag::From, domain).unwrap().place.to_string();
    assert_eq!([from("x.a.test"), from("b.test")], ["access:3", "more.cdb:2"]);
    // Without a tag a network is good for other look-ups, too; here only clients have addresses.
    assert!(table.address(Tag::From, "10.1.3.3".parse().unwrap()).is_some());
    assert!(table.address(Tag::From, "10.2.3.3".parse().unwrap()).is_none());
}

#[test]
fn expressions_of_access_see_whole_keys() {
    let table = access(&[
        ("regex:first.re", "From:/^promo-[0-9]+@/ REJECT\n/^dyn-.*\\.isp\\.test$/ ERROR:550 no\n"),
        ("text:access", "From:promo-1@a.test OK\nFrom:a.test OK\nConnect:isp.test OK\n"),
        ("regex:last.re", "From:/a\\.test$/ REJECT\nConnect:/^192\\.0\\.2\\./ RELAY\n"),
    ]);
    let shown = |hit: tables::Hit| format!("{} {}", hit.place, hit.value);
    let from = |local: &str, domain: &str| table.mailbox(Tag::From, local, domain).map(shown);
    assert_eq!(from("Promo-1", "a.test").as_deref(), Some("first.re:1 REJECT"));
    assert_eq!(from("x", "a.test").as_deref(), Some("last.re:1 REJECT"));
    assert_eq!(from("x", "b.test"), None);
    let domain = |tag, domain: &str| table.domain(tag, domain).map(shown);
    assert_eq!(domain(Tag::From, "a.test").as_deref(), Some("access:2 OK"));
    // A domain above is no key of an expression.
    assert_eq!(domain(Tag::From, "b.a.test").as_deref(), Some("last.re:1 REJECT"));
    assert_eq!(domain(Tag::From, "b.a.test.x"), None);
    let client = "dyn-1.isp.test";
    assert!(domain(Tag::Connect, client).unwrap().starts_with("first.re:2 ERROR"));
    assert_eq!(domain(Tag::Connect, "x.isp.test").as_deref(), Some("access:3 OK"));
    let address = table.address(Tag::Connect, "192.0.2.7".parse().unwrap()).map(shown);
    assert_eq!(address.as_deref(), Some("last.re:2 RELAY"));
    assert!(table.asks_for_names());
    assert!(!access(&[("regex:x", "From:/a/ OK\n")]).asks_for_names());
}

#[test]
fn bad_lines_are_told_by_their_source() {
    let sources = [
        ("text:access", "From:a.test OK\nx\n"),
        ("cidr:c", "10.0.0.0/33 OK\nFrom:10.0.0.0/8 OK\n::1 OK\n10.0.0.0/8 MAYBE\n10.0.0.0/8\n"),
        ("regex:r", "# no\n/(/ OK\nfoo/a/ OK\n/a/ MAYBE\nFrom: /a/ OK\nTo:x/a/ OK\n"),
    ];
    let read = Access::read("access", content("access", &sources).as_slice()).unwrap();
    let found: Vec<_> = read.findings.iter().map(|it| format!("{}:{}", it.file, it.line)).collect();
    let expected = ["access:2", "c:1", "c:2", "c:4", "c:5", "r:2", "r:3", "r:4", "r:6"];
    assert_eq!(found, expected, "{:#?}", read.findings);
}

#[test]
fn a_database_is_read_as_its_text_would_be() {
    let sources = [("cdb:virt.cdb", "a@v.test=alice\n@v.test=%1@w.test\nbad=x\n")];
    let content = content("virtusertable", &sources);
    let read = Virtusertable::read("virtusertable", content.as_slice()).unwrap();
    assert_eq!(read.findings.len(), 1);
    assert_eq!((read.findings[0].file.as_str(), read.findings[0].line), ("virt.cdb", 3));
    let found = read.table.find(&"b@v.test".parse().unwrap(), "+").unwrap();
    assert_eq!(found.place.to_string(), "virt.cdb:2");
    let target = Target::Address("b@w.test".parse().unwrap());
    assert_eq!(found.meaning, Meaning::Target(target));
    // The NUL of C, a line break, and what is no database.
    let text = |text: &str| text.to_owned();
    let records = [(text("root\0"), text("alice, bob\0")), (text("x"), text("a\nevil: b"))];
    let mut bytes = Vec::new();
    let database = cdb::encode(&records).unwrap();
    add_source(&mut bytes, "aliases", Kind::Cdb, "a.cdb", &database).unwrap();
    assert!(add_source(&mut bytes, "aliases", Kind::Cdb, "b.cdb", b"x: y\n").is_err());
    let read = Aliases::read("aliases", bytes.as_slice()).unwrap();
    assert_eq!(read.table.get("root").unwrap().targets.len(), 2);
    assert_eq!((read.table.len(), read.findings.len()), (1, 1), "{:?}", read.findings);
}

#[test]
fn expressions_have_arguments() {
    let sources = [
        ("text:virtusertable", "vip@v.test alice\n@v.test carol\n"),
        ("regex:v.re", "/^(.*)-sales@v\\.test$/ sales+%1@in.test\n/^vip@/ bob\n/^a@b/ x@%1\n"),
    ];
    let content = content("virtusertable", &sources);
    let read = Virtusertable::read("virtusertable", content.as_slice()).unwrap();
    // Nobody outside chooses the domain.
    assert_eq!(read.findings.iter().map(|it| it.line).collect::<Vec<_>>(), [3]);
    let found = |address: &str| {
        let found = read.table.find(&address.parse().unwrap(), "+").unwrap();
        (found.place.to_string(), found.meaning)
    };
    let target = Target::Address("sales+North@in.test".parse().unwrap());
    assert_eq!(found("North-sales@v.test"), ("v.re:1".to_owned(), Meaning::Target(target)));
    assert_eq!(found("vip@v.test").0, "virtusertable:1");
    assert_eq!(found("vip+x@v.test").0, "virtusertable:1");
    assert_eq!(found("other@v.test").0, "virtusertable:2");
}

#[test]
fn mailertables_have_expressions_and_relay_domains_networks() {
    let sources = [
        ("regex:m.re", "/^([a-z]+)[0-9]+\\.shop\\.test$/ relay:[%1.in.test]\n"),
        ("text:mailertable", "a1.shop.test error:5.1.2:550 no\n.shop.test relay:[mx.test]\n"),
    ];
    let content_of = content("mailertable", &sources);
    let read = Mailertable::read("mailertable", content_of.as_slice()).unwrap();
    assert_eq!(read.findings, []);
    let shown = |domain: &str| {
        let entry = read.table.find(domain).unwrap();
        let Mailer::Remote(hop) = entry.mailer else { panic!("{domain}") };
        format!("{} {hop}", entry.place)
    };
    assert_eq!(shown("a1.shop.test"), "m.re:1 [a.in.test]");
    assert_eq!(shown("x.shop.test"), "mailertable:2 [mx.test]");
    let sources =
        [("cidr:nets", "192.0.2.0/25\nexample.test\n"), ("text:relay-domains", "192.0\n")];
    let content = content("relay-domains", &sources);
    let read = RelayDomains::read("relay-domains", content.as_slice()).unwrap();
    assert_eq!((read.findings.len(), read.findings[0].line), (1, 2));
    let place = |address: &str| read.table.address(address.parse().unwrap()).unwrap().to_string();
    assert_eq!([place("192.0.2.127"), place("192.0.2.128")], ["nets:1", "relay-domains:1"]);
}

/// tinycdb's program reads what we write, and we read what it writes.
#[test]
fn as_tinycdb_has_it() {
    let there = Command::new("cdb").arg("-h").output().is_ok();
    if !there {
        return eprintln!("skipped: there is no cdb(1)");
    }
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let records: Vec<_> = (0..500).map(|n| (format!("key{n}"), format!("value {n}"))).collect();
    std::fs::write(&ours, cdb::encode(&records).unwrap()).unwrap();
    let run = |arguments: &[&str], file: &std::path::Path| {
        let mut command = Command::new("cdb");
        command.args(arguments).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    let dump = run(&["-d", "-m"], &ours).output().unwrap();
    let text: String = records.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&dump.stdout), text);
    let mut making = run(&["-c", "-m"], &theirs).spawn().unwrap();
    std::io::Write::write_all(&mut making.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let mut said = String::new();
    making.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(making.wait().unwrap().success(), "{said}");
    assert_eq!(cdb::decode(&std::fs::read(theirs).unwrap()), Some(records));
}

#[test]
fn a_source_ends_where_its_last_line_ends() {
    let table = access(&[
        ("text:access", "From:a.test OK"),
        ("text:more", "From:b.test OK\n"),
        ("text:last", "From:c.test OK"),
    ]);
    let place = |domain: &str| table.domain(Tag::From, domain).unwrap().place.to_string();
    assert_eq!(["a.test", "b.test", "c.test"].map(place), ["access:1", "more:1", "last:1"]);
    let mut content = Vec::new();
    add_source(&mut content, "t", Kind::Text, "t", b"a\n").unwrap();
    add_source(&mut content, "t", Kind::Text, "t", b"b").unwrap();
    assert_eq!(content, b"a\n\x1etext t\nb");
    for (kind, name, expected) in [
        (Kind::Text, "t", "a"),
        (Kind::Text, "u", "\u{1e}text u\na"),
        (Kind::Cidr, "t", "\u{1e}cidr t\na"),
    ] {
        let mut content = Vec::new();
        add_source(&mut content, "t", kind, name, b"a").unwrap();
        assert_eq!(content, expected.as_bytes());
    }
}

/// As `/map` of `sendmail -bt` shows it.
#[test]
fn the_value_of_a_key_is_what_is_written() {
    let text = "a.test b.test\n";
    let domains = Domaintable::read("t", text.as_bytes()).unwrap().table;
    let names = Genericstable::read("t", text.as_bytes()).unwrap().table;
    let hosts = Mailertable::read("t", text.as_bytes()).unwrap().table;
    let users = Virtusertable::read("t", &b"@a.test b.test\n"[..]).unwrap().table;
    for (table, raw) in [
        ("domaintable", domains.raw("a.test")),
        ("genericstable", names.raw("a.test")),
        ("mailertable", hosts.raw("a.test")),
        ("virtusertable", users.raw("@a.test")),
    ] {
        assert_eq!(raw.map(|(value, place)| (value, place.line)), Some(("b.test", 1)), "{table}");
    }
    let none = [domains.raw("b"), names.raw("b"), hosts.raw("b"), users.raw("b")];
    assert_eq!(none, [None, None, None, None]);
}

#[test]
fn a_table_has_types_that_fit_it() {
    use Kind::{Cdb, Cidr, Regex, Text};
    for (table, kinds) in [
        ("access", &[Text, Cidr, Regex, Cdb][..]),
        ("relay-domains", &[Text, Cidr]),
        ("virtusertable", &[Text, Regex, Cdb]),
        ("mailertable", &[Text, Regex, Cdb]),
        ("aliases", &[Text, Cdb]),
        ("authinfo", &[Text, Cdb]),
        ("domaintable", &[Text, Cdb]),
        ("genericstable", &[Text, Cdb]),
        ("users", &[Text]),
        ("local-host-names", &[Text]),
    ] {
        assert_eq!(Kind::of_table(table), kinds, "{table}");
    }
}

#[test]
fn of_an_expression_and_a_key_the_first_source_counts() {
    let sources = [("regex:t", "/^anna@/ first\n"), ("text:virtusertable", "anna@a.test last\n")];
    let place = |sources: &[(&str, &str)]| {
        let content = content("virtusertable", sources);
        let table = Virtusertable::read("virtusertable", content.as_slice()).unwrap().table;
        table.find(&"anna@a.test".parse().unwrap(), "+").unwrap().place.to_string()
    };
    assert_eq!(place(&sources), "t:1");
    let [first, last] = sources;
    assert_eq!(place(&[last, first]), "virtusertable:1");
}
