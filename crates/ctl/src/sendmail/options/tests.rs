use envelope::{Aliasing, HeaderCare, Label, OriginalClient};
use ipc::admin::{Exception, Filter};

use super::*;

fn parse(program: &str, line: &str) -> Result<Options, Failure> {
    Options::parse(program, line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned))
}

fn sendmail(line: &str) -> Options {
    parse("sendmail", line).unwrap_or_else(|failure| panic!("{line}: {failure}"))
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn check<const N: usize>(cases: [(&str, Options); N]) {
    for (line, expected) in cases {
        assert_eq!(sendmail(line), expected, "{line}");
    }
}

/// Programs of sendmail-compat §5.4 that send what they have to say on their own.
#[test]
fn daemons_and_cron() {
    let base = Options { input_end: InputEnd::File, ..sendmail("") };
    let cron = Options { full_name: some("CronDaemon"), on_error: OnError::Mail, ..base.clone() };
    let waiting = Options { patience: Patience::FirstAttempt, ..cron.clone() };
    let from_header = Options { from_header: true, ..base.clone() };
    let (user, root) = (words(&["user"]), some("root"));
    check([
        (
            "-FCronDaemon -i -odi -oem -oi -t -f user",
            Options { from_header: true, reverse_path: some("user"), ..waiting.clone() },
        ),
        (
            "-FCronDaemon -i -B8BITMIME -oem user",
            Options { body: Some(Body::EightBitMime), words: user.clone(), ..cron.clone() },
        ),
        ("-FCronDaemon -odi -oi -oem -t -or0s", Options { from_header: true, ..waiting }),
        ("-i user", Options { words: user.clone(), ..base.clone() }),
        ("-oi -t", from_header.clone()),
        ("-ti", from_header.clone()),
        ("-t -i -froot", Options { reverse_path: root, ..from_header }),
        ("-oi -odq -f owner-list", Options { reverse_path: some("owner-list"), ..base.clone() }),
        ("-Am -oi user -f x", Options { words: user, reverse_path: some("x"), ..base.clone() }),
        ("-bs -i", Options { mode: Mode::Smtp, ..base }),
    ]);
}

/// Programs that people use.
#[test]
fn mail_readers() {
    let base = sendmail("");
    let user = words(&["user"]);
    let file = InputEnd::File;
    let failure = Notify { success: false, failure: true, delay: false, stated: true };
    let mutt = Options { on_error: OnError::Mail, input_end: file, ..base.clone() };
    check([
        (
            "-oem -oi -froot user",
            Options { reverse_path: some("root"), words: user.clone(), ..mutt.clone() },
        ),
        (
            "-oem -oi -f a@x -B8BITMIME -N failure -R hdrs -- b@x -t",
            Options {
                reverse_path: some("a@x"),
                body: Some(Body::EightBitMime),
                notify: failure,
                ret: Some(Return::Headers),
                words: words(&["b@x", "-t"]),
                ..mutt
            },
        ),
        (
            "-i -m -v -f a@x.test b@x.test",
            Options {
                input_end: file,
                verbose: true,
                reverse_path: some("a@x.test"),
                words: words(&["b@x.test"]),
                ..base.clone()
            },
        ),
        ("-f <> user", Options { reverse_path: some("<>"), words: user.clone(), ..base.clone() }),
        ("-rroot user", Options { reverse_path: some("root"), words: user, ..base }),
    ]);
}

/// Everything else that may stand in a command line.
#[test]
fn letters_of_four_decades() {
    let base = Options { words: words(&["user"]), ..sendmail("") };
    let notify = Notify { success: true, failure: false, delay: true, stated: true };
    check([
        ("-Mmvalue -oMfvalue -oMi 1abc -oMai bob -x -E -T3d -c -s -U -S -m user", base.clone()),
        ("-odi -odb user", base.clone()),
        ("-O DeliveryMode=i user", Options { patience: Patience::FirstAttempt, ..base.clone() }),
        (
            "-X/tmp/log -D /tmp/debug -C./x.toml -Ac user",
            Options {
                traffic: Some("/tmp/log".into()),
                debug_file: Some("/tmp/debug".into()),
                config: Some("./x.toml".into()),
                submission_queue: true,
                ..base.clone()
            },
        ),
        ("-om -oo -os -oT3d -or1h -o7 -o8 -oA/etc/aliases -odf -odqs user", base.clone()),
        (
            "-NSUCCESS,DELAY -RFULL -Vx -VQQ+2B1 user",
            Options { notify, ret: Some(Return::Full), envid: some("QQ+1"), ..base.clone() },
        ),
        (
            "-O ErrorMode=q -O IgnoreDots=true user",
            Options { on_error: OnError::Quiet, input_end: InputEnd::File, ..base.clone() },
        ),
        ("-tfroot user", Options { from_header: true, reverse_path: some("root"), ..base.clone() }),
        (
            "-ee -h 3 -G user",
            Options {
                on_error: OnError::Mail,
                hops: 3,
                submission: Submission { header: HeaderCare::Leave, ..Submission::default() },
                ..base
            },
        ),
    ]);
    let empty = Options::parse("sendmail", ["-f", "", "user"].map(str::to_owned)).unwrap();
    assert_eq!((empty.reverse_path.as_deref(), empty.words.len()), (Some(""), 1));
    assert_eq!(parse("sendmail", "-f").unwrap_err().exit, Exit::Usage);
}

/// As sendmail and Exim write it; what could bend a line of the log or the header goes (cleanstrcpy() in
/// sendmail's util.c).
#[test]
fn what_is_said_of_a_submission() {
    let label = |text: &str| Label::read(text, Label::NAME);
    let none = OriginalClient::default();
    let (uucp, host) = (label("UUCP"), label("uunet.test"));
    let both = OriginalClient { protocol: uucp.clone(), name: host.clone(), ..none.clone() };
    let address = |text: &str| OriginalClient { address: text.parse().ok(), ..none.clone() };
    for (line, client) in [
        ("-pUUCP:uunet.test user", both.clone()),
        ("-p UUCP:uunet.test user", both.clone()),
        ("-oMrUUCP -oMsuunet.test user", both.clone()),
        ("-MrUUCP -Msuunet.test user", both.clone()),
        ("-oMr UUCP -oMs uunet.test user", both.clone()),
        ("-pUUCP:x -p:uunet.test user", both),
        ("-pUUCP user", OriginalClient { protocol: uucp, ..none.clone() }),
        ("-p: user", none.clone()),
        ("-oMa192.0.2.1 user", address("192.0.2.1")),
        ("-oMa [192.0.2.1]:25 user", address("192.0.2.1")),
        ("-oMa [IPv6:2001:db8::1] user", address("2001:db8::1")),
        ("-oMaa::1 user", address("a::1")),
        ("-oMt bob(x)\r\nX: user", OriginalClient { user: label("bobxX:"), ..none.clone() }),
        (
            "-pa;b:c\u{e4}(d user",
            OriginalClient { protocol: label("ab"), name: label("cd"), ..none },
        ),
    ] {
        let parsed = sendmail(line);
        let words = words(&["user"]);
        assert_eq!((&parsed.submission.client, parsed.words), (&client, words), "{line:?}");
        assert!(parsed.warnings.is_empty(), "{line:?}");
    }
    let (long, cut) = ("x".repeat(300), |most| label(&"x".repeat(most)));
    let parsed = sendmail(&format!("-L{long} -oMs{long} -n user")).submission;
    assert_eq!(parsed.tag, cut(Label::WORD));
    assert_eq!(parsed.client.name, cut(Label::NAME));
    assert_eq!(parsed.aliasing, Aliasing::Skipped);
}

#[test]
fn names_and_modes() {
    assert_eq!(parse("mailq", "").unwrap().mode, Mode::List);
    assert_eq!(parse("mailq", "--json").unwrap().layout, Some(Layout::Json));
    assert_eq!(parse("mailq", "--postfix").unwrap().layout, Some(Layout::Postfix));
    assert_eq!(parse("newaliases", "").unwrap().mode, Mode::Aliases);
    let modes = [
        ("-bp", Mode::List),
        ("-bpc", Mode::Count),
        ("-q", Mode::Retry),
        ("-q0", Mode::Retry),
        ("-q -v", Mode::Retry),
        ("-qRexample.org", Mode::Retry),
        ("-bp -qRexample.org", Mode::List),
        ("-qRexample.org -bp", Mode::List),
        ("-Qspam -qSx@y", Mode::Hold("spam".to_owned())),
        ("-Q -qQ", Mode::Release),
        ("-bV", Mode::Version),
        ("-bi -oA/etc/aliases", Mode::Aliases),
        ("-I", Mode::Aliases),
        ("-d0.1 -bv root", Mode::Verify),
        ("-bt -d8.8", Mode::Test),
        ("-bp -q!Rexample.org", Mode::List),
        ("-q!I0BCDFGHJKLM", Mode::Retry),
        ("-qGsmarthost", Mode::Retry),
        ("-qf", Mode::Retry),
        ("-bP", Mode::Entries),
        ("-bh", Mode::Hosts),
        ("-bh 192.0.2.7", Mode::Session([192, 0, 2, 7].into())),
        ("-bh ::ffff:192.0.2.7", Mode::Session([192, 0, 2, 7].into())),
        ("-bh [IPv6:2001:db8::7]", Mode::Session("2001:db8::7".parse().unwrap())),
        ("-bH", Mode::PurgeHosts),
        ("-bC", Mode::Check),
        ("-bd -q30m", Mode::Start(Ground::Back)),
        ("-q30m -bl", Mode::Start(Ground::Back)),
        ("-bD", Mode::Start(Ground::Fore)),
        ("--help", Mode::Help),
    ];
    for (line, mode) in modes {
        assert_eq!(sendmail(line).mode, mode, "{line}");
    }
    assert!(matches!(sendmail("-q30m").mode, Mode::Nothing(_)));
    assert!(matches!(sendmail("-Mrm 1").mode, Mode::NotYet(_)));
    assert_eq!(sendmail("-qf").patience, Patience::FirstAttempt);
    assert_eq!(sendmail("-qGx").selection.route, some("x"));
    let programs = [("hoststat", Mode::Hosts), ("purgestat", Mode::PurgeHosts)];
    for (program, mode) in programs.into_iter().chain([("smtpd", Mode::Start(Ground::Back))]) {
        assert_eq!(parse(program, "").unwrap().mode, mode, "{program}");
    }
}

#[test]
fn selections_combine() {
    let id: envelope::QueueId = "0BCDFGHJKLM".parse().unwrap();
    let options = sendmail("-bp -qI0BCDFGHJKLM -qRa -qRb -qSc -qQ");
    let filters = options.selection.filters();
    assert_eq!(filters.len(), 2);
    for (filter, to) in filters.iter().zip(["a", "b"]) {
        assert_eq!((filter.ids.as_slice(), filter.held), (&[id][..], true));
        assert_eq!((filter.to.as_deref(), filter.from.as_deref()), (Some(to), Some("c")));
    }
    assert_eq!(sendmail("-q").selection.filters(), [ipc::admin::Filter::default()]);
    let but = sendmail("-q -q!RB -q!Ra -q!Sc -q!I0BCDFGHJKLM -q!Q -qRd").selection.filters();
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let except =
        Exception { ids: vec![id], from: texts(&["c"]), to: texts(&["B", "a"]), held: true };
    assert_eq!(but, [Filter { to: some("d"), except, ..Filter::default() }]);
    assert_eq!(sendmail("-bp -qL").selection.filters(), []);
}

#[test]
fn wrong_use_is_64() {
    for line in [
        "-z",
        "-N never,success",
        "-N often",
        "-R some",
        "-R full -R full",
        "-V a=b",
        "-B9BIT",
        "-h x",
        "-Q.",
        "-Q .",
        "-Q spam -qSx",
        "-bp -Q",
        "-Q -bp",
        "-bv -Qspam",
        "-qIx",
        "-qZ",
        "-qR bob",
        "-bp -qS",
        "-q!",
        "-q!R",
        "-q!f",
        "-q!30m",
        "-qG",
        "-ba",
        "-bh here",
        "-bh 192.0.2.7 192.0.2.8",
        "-bh 192.0.2.7:25",
        "-bf",
        "-bx",
        "-pd",
        "-ps0",
        "-O QueueDirectory=/tmp",
        "-oQ/tmp",
        "--frobnicate",
    ] {
        let failure = parse("sendmail", line).expect_err(line);
        assert_eq!(failure.exit, Exit::Usage, "{line}");
        assert!(!failure.text.is_empty());
    }
    assert_eq!(parse("mailq", "-Q").unwrap_err().exit, Exit::Usage, "would release everything");
}

#[test]
fn what_is_not_done_is_said() {
    for line in [
        "-XV",
        "-bs -n",
        "-bs -pSMTP:x",
        "-oMamonday",
        "-C/etc/x.cf",
        "-C",
        "-d17",
        "-d8.11",
        "-d8 x",
        "-O requiretls",
    ] {
        assert_eq!(sendmail(&format!("{line} user")).warnings.len(), 1, "{line}");
    }
    assert!(sendmail("-bv -d21.12,27.1 user").rules_shown);
    assert!(!sendmail("-bv -d21.12 user").verbose);
    assert!(sendmail("-d0.1,60.5 -bv user").identity);
    for line in ["-d -bv user", "-d0-99.1 -bv user"] {
        let options = sendmail(line);
        assert!(options.identity && options.rules_shown && options.warnings.is_empty(), "{line}");
    }
    assert!(sendmail("-n -Lx -pSMTP:x user").warnings.is_empty());
    assert!(sendmail("-oi -odi -oem -t").warnings.is_empty());
    for line in ["-d8.11 -bv user", "-d0.1,8 -bt", "-v -q -d8.11", "-odi -d8.11 user"] {
        let options = sendmail(line);
        assert!(options.lookups && options.warnings.is_empty(), "{line}");
    }
    for line in ["-d8.0 -bv user", "-d8.11 -d8.0 -bv user", "-d21.8 -bv user"] {
        let options = sendmail(line);
        assert!(!options.lookups && options.warnings.is_empty(), "{line}");
    }
}
