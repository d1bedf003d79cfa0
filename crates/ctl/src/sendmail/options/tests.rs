use super::*;

fn parse(program: &str, line: &str) -> Result<Options, Failure> {
    Options::parse(program, line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned))
}

fn sendmail(line: &str) -> Options {
    parse("sendmail", line).unwrap_or_else(|failure| panic!("{line}: {failure}"))
}

/// Every form in which the programs of sendmail-compat §5.4 call it.
#[test]
fn callers() {
    let base = sendmail("");
    let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let some = |text: &str| Some(text.to_owned());
    let file = InputEnd::File;
    let cases = [
        (
            "-FCronDaemon -i -odi -oem -oi -t -f user",
            Options {
                full_name: some("CronDaemon"),
                input_end: file,
                on_error: OnError::Mail,
                from_header: true,
                reverse_path: some("user"),
                ..base.clone()
            },
        ),
        (
            "-FCronDaemon -i -B8BITMIME -oem user",
            Options {
                full_name: some("CronDaemon"),
                input_end: file,
                body: Some(Body::EightBitMime),
                on_error: OnError::Mail,
                words: words(&["user"]),
                ..base.clone()
            },
        ),
        (
            "-FCronDaemon -odi -oem -oi -t -or0s",
            Options {
                full_name: some("CronDaemon"),
                input_end: file,
                on_error: OnError::Mail,
                from_header: true,
                ..base.clone()
            },
        ),
        (
            "-oem -oi -froot user",
            Options {
                input_end: file,
                on_error: OnError::Mail,
                reverse_path: some("root"),
                words: words(&["user"]),
                ..base.clone()
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
        (
            "-oem -oi -f a@x -B8BITMIME -N failure -R hdrs -- b@x -t",
            Options {
                on_error: OnError::Mail,
                input_end: file,
                reverse_path: some("a@x"),
                body: Some(Body::EightBitMime),
                notify: Notify { success: false, failure: true, delay: false, stated: true },
                ret: Some(Return::Headers),
                words: words(&["b@x", "-t"]),
                ..base.clone()
            },
        ),
        (
            "-t -i -fweb@x",
            Options {
                from_header: true,
                input_end: file,
                reverse_path: some("web@x"),
                ..base.clone()
            },
        ),
        ("-ti", Options { from_header: true, input_end: file, ..base.clone() }),
        ("-bs -i", Options { mode: Mode::Smtp, input_end: file, ..base.clone() }),
        (
            "-oi -odq -f owner-list",
            Options { input_end: file, reverse_path: some("owner-list"), ..base.clone() },
        ),
        (
            "-Am -oi user -f x",
            Options {
                input_end: file,
                words: words(&["user"]),
                reverse_path: some("x"),
                ..base.clone()
            },
        ),
        (
            "-f <> user",
            Options { reverse_path: some("<>"), words: words(&["user"]), ..base.clone() },
        ),
        ("-tfroot", Options { from_header: true, reverse_path: some("root"), ..base.clone() }),
        (
            "-O ErrorMode=q -O IgnoreDots=true user",
            Options {
                on_error: OnError::Quiet,
                input_end: file,
                words: words(&["user"]),
                ..base.clone()
            },
        ),
        (
            "-L tag -p smtp:host -Mmvalue -x -E -T3d -c -s -U user",
            Options { words: words(&["user"]), ..base.clone() },
        ),
        (
            "-NSUCCESS,DELAY -RFULL -VQQ+2B1 user",
            Options {
                notify: Notify { success: true, failure: false, delay: true, stated: true },
                ret: Some(Return::Full),
                envid: some("QQ+1"),
                words: words(&["user"]),
                ..base.clone()
            },
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(sendmail(line), expected, "{line}");
    }
    assert_eq!(parse("sendmail", "-f").unwrap_err().exit, Exit::Usage, "an argument is missing");
    let empty = Options::parse("sendmail", ["-f", "", "user"].map(str::to_owned)).unwrap();
    assert_eq!((empty.reverse_path.as_deref(), empty.words.len()), (Some(""), 1));
}

#[test]
fn names_and_modes() {
    assert_eq!(parse("mailq", "").unwrap().mode, Mode::List);
    assert_eq!(parse("mailq", "--json").unwrap().layout, Layout::Json);
    assert_eq!(parse("mailq", "--postfix").unwrap().layout, Layout::Postfix);
    assert!(matches!(parse("newaliases", "").unwrap().mode, Mode::NotYet(_)));
    let modes = [
        ("-bp", Mode::List),
        ("-bpc", Mode::Count),
        ("-q", Mode::Retry),
        ("-q0", Mode::Retry),
        ("-q -v", Mode::Retry),
        ("-qRexample.org", Mode::Retry),
        ("-bp -qRexample.org", Mode::List),
        ("-qRexample.org -bp", Mode::List),
        ("-Qspam -qSx@y", Mode::Hold),
        ("-Q -qQ", Mode::Release),
        ("-bV", Mode::Version),
        ("-d0.1", Mode::Version),
        ("--help", Mode::Help),
    ];
    for (line, mode) in modes {
        assert_eq!(sendmail(line).mode, mode, "{line}");
    }
    assert!(matches!(sendmail("-q30m").mode, Mode::Nothing(_)));
    for line in [
        "-bt",
        "-bv",
        "-bi",
        "-I",
        "-bd",
        "-bD -q30m",
        "-q30m -bd",
        "-bh",
        "-bH",
        "-ba",
        "-bC",
        "-Mrm 1",
        "-qGx",
        "-q!Rx",
    ] {
        assert!(matches!(sendmail(line).mode, Mode::NotYet(_)), "{line}");
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
        "-V a -V b",
        "-B9BIT",
        "-h x",
        "-Q.",
        "-qIx",
        "-qZ",
        "-O QueueDirectory=/tmp",
        "-oQ/tmp",
        "--frobnicate",
    ] {
        let failure = parse("sendmail", line).expect_err(line);
        assert_eq!(failure.exit, Exit::Usage, "{line}");
        assert!(!failure.text.is_empty());
    }
}

#[test]
fn what_is_not_done_is_said() {
    for line in
        ["-X/tmp/log", "-D/tmp/log", "-n", "-C/etc/x.cf", "-C", "-d", "-d8.11", "-O requiretls"]
    {
        assert_eq!(sendmail(&format!("{line} user")).warnings.len(), 1, "{line}");
    }
    assert!(sendmail("-oi -odi -oem -t").warnings.is_empty());
}
