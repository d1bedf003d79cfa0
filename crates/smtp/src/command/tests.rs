use envelope::{
    AddressError, Body, Extension, Extensions, Notify, OriginalRecipient, Return, Submission,
};
use proptest::prelude::*;

use super::{Command, CommandError, Mail, Path, Rcpt};

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

fn mail(line: &str) -> Mail {
    match parse(line) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> Rcpt {
    match parse(line) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

fn mailbox(text: &str) -> Path {
    Path::Mailbox(text.parse().unwrap())
}

#[test]
fn verbs_ignore_case_and_trailing_space() {
    assert_eq!(parse("ehlo mx.test \t"), Ok(Command::Ehlo("mx.test".to_owned())));
    assert_eq!(parse("HELO [192.0.2.1]"), Ok(Command::Helo("[192.0.2.1]".to_owned())));
    assert_eq!(parse("Data"), Ok(Command::Data));
    assert_eq!(parse("bdat 86 last"), Ok(Command::Bdat { size: 86, last: true }));
    assert_eq!(parse("BDAT 0"), Ok(Command::Bdat { size: 0, last: false }));
    assert_eq!(parse("NOOP whatever"), Ok(Command::Noop));
    assert_eq!(parse("VRFY bob"), Ok(Command::Vrfy));
}

#[test]
fn what_is_no_command_has_its_own_reply() {
    for (line, code) in [
        ("", "500 5.5.1"),
        ("XYZZY", "500 5.5.1"),
        ("EXPN staff", "502 5.5.1"),
        ("ETRN x", "502 5.5.1"),
        ("GET / HTTP/1.1", "554 5.5.1"),
        ("NOOP \u{1}", "500 5.5.2"),
        ("NOOP \0", "500 5.5.2"),
        ("EHLO", "501 5.5.4"),
        ("EHLO (evil)", "501 5.5.4"),
        ("EHLO a b", "501 5.5.4"),
        ("DATA now", "501 5.5.4"),
        ("QUIT x", "501 5.5.4"),
        ("VRFY", "501 5.5.4"),
        ("BDAT", "501 5.5.4"),
        ("BDAT -1", "501 5.5.4"),
        ("BDAT 1 FIRST", "501 5.5.4"),
        ("BDAT 1 LAST x", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
        ("MAIL TO:<a@b>", "501 5.5.4"),
        ("MAIL FROM:", "553 5.1.7"),
        ("MAIL FROM:<a@b", "553 5.1.7"),
        ("MAIL FROM:<a b@c>", "553 5.1.7"),
        ("RCPT TO:<>", "553 5.1.3"),
        ("RCPT TO:<a@b..c>", "553 5.1.3"),
        ("RCPT TO:<a@[192.0.2]>", "553 5.1.3"),
        ("MAIL FROM:<a@b>SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1x", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8=yes", "501 5.5.4"),
        ("MAIL FROM:<a@b> ENVID=a+0Ab", "501 5.5.4"),
        ("MAIL FROM:<a@b> AUTH=<>", "555 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822", "501 5.5.4"),
        ("RCPT TO:<a@b> SIZE=1", "555 5.5.4"),
    ] {
        let reply = parse(line).unwrap_err().reply().to_string();
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    assert_eq!(Command::parse(b"NOOP \xff"), Err(CommandError::NotUtf8));
}

#[test]
fn paths_of_every_form() {
    assert_eq!(mail("MAIL FROM:<>").path, Path::Null);
    assert_eq!(mail("MAIL FROM: <a@b.test>").path, mailbox("a@b.test"));
    assert_eq!(mail("mail from:a@b.test size=3").path, mailbox("a@b.test"));
    assert_eq!(rcpt("RCPT TO:<Postmaster>").path, Path::Unqualified("Postmaster".to_owned()));
    assert_eq!(rcpt("RCPT TO:<a@[192.0.2.1]>").path, mailbox("a@[192.0.2.1]"));
    assert_eq!(rcpt("RCPT TO:<\"a >b\"@c.test>").path, mailbox("\"a >b\"@c.test"));
    assert_eq!(rcpt("RCPT TO:<@one.test,@two.test:a@b.test>").path, mailbox("a@b.test"));
    let route = parse("RCPT TO:<@one.test,two.test:a@b.test>");
    assert_eq!(route, Err(CommandError::ForwardPath(AddressError::Incomplete)));
    assert_eq!(rcpt("RCPT TO:<d\u{f6}@b\u{fc}.test>").path, mailbox("d\u{f6}@b\u{fc}.test"));
}

#[test]
fn parameters_of_every_extension() {
    let line = "MAIL FROM:<a@b> SIZE=12 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B1";
    let expected = Mail {
        path: mailbox("a@b"),
        size: Some(12),
        body: Some(Body::EightBitMime),
        smtputf8: true,
        ret: Some(Return::Headers),
        envid: Some("QQ+1".to_owned()),
        submission: Submission::default(),
    };
    assert_eq!(mail(line), expected);
    assert_eq!(mail("MAIL FROM:<a@b> SIZE=99999999999999999999").size, Some(u64::MAX));

    let rcpt = rcpt("RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z");
    assert_eq!(rcpt.notify, Notify { success: true, failure: false, delay: true, stated: true });
    let (kind, address) = ("rfc822".to_owned(), "x+y@z".to_owned());
    assert_eq!(rcpt.orcpt, Some(OriginalRecipient { kind, address }));
}

#[test]
fn orcpt_of_type_utf_8() {
    let address = |line: &str| rcpt(line).orcpt.unwrap().address;
    assert_eq!(
        address("RCPT TO:<a@b> ORCPT=utf-8;d\\x{F6}rte@b\u{fc}cher"),
        "d\u{f6}rte@b\u{fc}cher"
    );
    for bad in ["\\x{}", "\\x{D800}", "\\x{41", "\\x{0D}", "\\x{+41}"] {
        let line = format!("RCPT TO:<a@b> ORCPT=utf-8;a{bad}@b");
        assert_eq!(parse(&line), Err(CommandError::BadParameter("ORCPT")), "{line}");
    }
}

#[test]
fn limits_of_dsn_parameters() {
    let envid = |length| parse(&format!("MAIL FROM:<a@b> ENVID={}", "x".repeat(length)));
    assert!(envid(100).is_ok() && envid(101).is_err() && envid(0).is_err());
    let orcpt = |length| parse(&format!("RCPT TO:<a@b> ORCPT=rfc822;{}", "x".repeat(length)));
    assert!(orcpt(493).is_ok() && orcpt(494).is_err() && orcpt(0).is_err());
}

proptest! {
    #[test]
    fn any_line_is_a_command_or_has_a_reply(line in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Command::parse(&line) {
            prop_assert!(error.reply().class() == 5);
        }
    }

    #[test]
    fn any_parameters_are_read_or_refused(
        verb in prop::sample::select(vec!["MAIL FROM:", "RCPT TO:"]),
        rest in "[<>a@.:,\\\\\"+=;\\[\\]{} xSIZENOTIFYORCPTENVID0-9]{0,60}",
    ) {
        let _ = parse(&format!("{verb}{rest}"));
    }
}

#[test]
fn what_is_not_offered_has_no_parameters() {
    use Extension::{Chunking, Dsn, EightBitMime, Limits, Pipelining, Size, SmtpUtf8};
    for (line, extension) in [
        ("MAIL FROM:<a@b> size=5", Size),
        ("MAIL FROM:<a@b> BODY=8BITMIME", EightBitMime),
        ("MAIL FROM:<a@b> SMTPUTF8", SmtpUtf8),
        ("MAIL FROM:<a@b> RET=FULL", Dsn),
        ("MAIL FROM:<a@b> ENVID=x", Dsn),
        ("RCPT TO:<a@b> NOTIFY=NEVER", Dsn),
        ("RCPT TO:<a@b> ORCPT=rfc822;a@b", Dsn),
    ] {
        let parse = |without| Command::parse_without(line.as_bytes(), without);
        let refused = parse(Extensions::NONE.with(extension)).unwrap_err();
        assert_eq!(refused.reply().code, 555, "{line}");
        let others = [Pipelining, Chunking, Limits, Size, EightBitMime, SmtpUtf8, Dsn];
        let others = others.into_iter().filter(|it| *it != extension);
        assert!(parse(others.fold(Extensions::NONE, Extensions::with)).is_ok(), "{line}");
    }
}
