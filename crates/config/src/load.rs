//! From the file to the configuration.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::reader::Reader;
use crate::{Config, Finding, Report, fill};

/// Where the file is unless told otherwise.
const FILE: &str = "etc/mail/pennypost.toml";
/// Bytes of a configuration file.
const MAX_FILE: u64 = 1 << 20;

/// Reads the configuration. With `root` every absolute path lies below it; `file` defaults to
/// `/etc/mail/pennypost.toml` there.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load(root: Option<&Path>, file: Option<&Path>) -> Result<Config, Box<Report>> {
    let below = root.unwrap_or(Path::new("/"));
    let file = file.map_or_else(|| below.join(FILE), Path::to_owned);
    match read(&file) {
        Ok(text) => parse(root, file, text),
        Err(finding) => {
            Err(Box::new(Report { file, text: String::new(), findings: vec![finding] }))
        }
    }
}

fn read(file: &Path) -> Result<String, Finding> {
    let fail =
        |problem: String, remedy: &str| Finding { span: None, problem, remedy: remedy.into() };
    let size = std::fs::metadata(file).map(|metadata| metadata.len());
    if size.as_ref().is_ok_and(|size| *size > MAX_FILE) {
        return Err(fail("this file is too large".to_owned(), "1 MiB is the most"));
    }
    std::fs::read_to_string(file).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            let remedy = "the smallest useful one is one line: hostname = \"mail.example.org\"";
            return fail("there is no configuration file".to_owned(), remedy);
        }
        if error.kind() == std::io::ErrorKind::InvalidData {
            return fail("this file is not UTF-8".to_owned(), "save it as UTF-8 text");
        }
        fail(format!("cannot be read: {error}"), "make it readable")
    })
}

fn parse(root: Option<&Path>, file: PathBuf, text: String) -> Result<Config, Box<Report>> {
    let (table, errors) = DeTable::parse_recoverable(&text);
    let mut findings: Vec<_> = errors
        .into_iter()
        .map(|error| Finding {
            span: error.span(),
            problem: format!("this is not TOML: {}", error.message()),
            remedy: String::new(),
        })
        .collect();
    let mut config = None;
    if findings.is_empty() {
        let mut reader = Reader::new();
        reader.check_keys(table.get_ref(), "");
        config = Some(fill::config(&mut reader, table.get_ref(), root, &file));
        findings = reader.finish();
    }
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(Box::new(Report { file, text, findings })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one-line forms of what is wrong with `text`.
    fn wrong(text: &str) -> Vec<String> {
        let report = parse(Some(Path::new("/r")), "p.toml".into(), text.to_owned()).unwrap_err();
        let shown = report.to_string();
        report
            .findings
            .iter()
            .map(|finding| {
                let (line, column) = report.position(finding).unwrap();
                assert!(shown.contains(&format!("--> p.toml:{line}:{column}")), "{shown}");
                format!("{line}:{column}: {} ({})", finding.problem, finding.remedy)
            })
            .collect()
    }

    #[test]
    fn a_null_client_goes_by_the_name_of_its_hub() {
        let masquerade = |more: &str| {
            let text =
                format!("hostname = \"x.test\"\n[relay]\nnull_client = \"[hub.test]\"\n{more}");
            parse(None, "p.toml".into(), text).unwrap().masquerade
        };
        let whole = masquerade("");
        assert_eq!(whole.name.as_deref(), Some("hub.test"));
        assert!(whole.envelope && whole.all && whole.local);
        let stated = masquerade("[masquerade]\nas = \"y.test\"\nall = true\n");
        assert_eq!(
            (stated.name.as_deref(), stated.envelope, stated.all),
            (Some("y.test"), false, true)
        );
        assert_eq!(masquerade("[masquerade]\nas = \"\"\n").name, None);
    }

    #[test]
    fn the_smallest_file() {
        let config = parse(None, "p.toml".into(), "hostname = \"Mail.Example.org\"\n".into());
        let config = config.unwrap();
        assert_eq!(config.hostname, "mail.example.org");
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.paths.tables, Path::new("/etc/mail"));
        assert!(config.relay.trusts("127.0.0.1".parse().unwrap()));
        assert!(!config.rooted);
    }

    #[test]
    fn several_findings_at_once_in_the_order_of_the_file() {
        let text = "hostname = \"x.test\"\nhostnam = 1\n\n[queue]\nlifetime = \"5 parsecs\"\nmax_retry = 3\n\n[tls]\nkey = \"x\"\n\n[limits]\nrecipients = 5\nmessage_size = \"1KiB\"\n";
        assert_eq!(
            wrong(text),
            [
                "2:1: unknown key `hostnam` (did you mean `hostname`?)",
                "5:12: this is not a duration (write a number with s, m, h, d or w: \"90s\" \"30m\" \"4h\" \"5d\")",
                "6:13: a string is wanted here, not integer (put it in quotes)",
                "8:2: `tls` is not yet supported (remove it; a later version will read it)",
                "12:14: a whole number of at least 100 is wanted here (RFC 5321 §4.5.3.1.8 asks for 100 recipients)",
                "13:16: this is less than 64KiB (RFC 5321 §4.5.3.1.7 asks for 64 KiB)",
            ]
        );
    }

    #[test]
    fn the_report_shows_the_line_and_the_remedy() {
        let text = "hostname = \"mail.example.org\"\nmailbox = \"x\"\n";
        let report = parse(None, "p.toml".into(), text.to_owned()).unwrap_err();
        let expected = "error: unknown key `mailbox`\n --> p.toml:2:1\n  |\n2 | mailbox = \"x\"\n  | ^^^^^^^\n  |\n  = help: docs/configuration.md lists all keys";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn every_kind_of_bad_value() {
        for (text, start) in [
            ("hostname = \"a b\"", "1:12: this is not a host name"),
            ("hostname = ", "1:12: this is not TOML"),
            ("hostname = \"x\"\nhostname = \"y\"", "2:1: this is not TOML: duplicate key"),
            ("local = 1", "1:1: `local` is a table"),
            ("[listener]\nrole = \"mx\"", "1:2: `listener` is a table"),
            ("[[listener]]\nrole = \"mxx\"\naddress = \"127.0.0.1:25\"", "2:8: the role is"),
            ("[[listener]]\nrole = \"mx\"\naddress = \"25\"", "3:11: this is not an address"),
            ("[[listener]]\nrole = \"mx\"", "1:1: a listener needs `address`"),
            (
                "[[listener]]\nrole = \"mx\"\naddress = \"127.0.0.1:25\"\ntls = \"starttls\"",
                "4:7: TLS is not yet supported",
            ),
            ("[relay]\nnetworks = [\"10.0.0.0/33\"]", "2:13: this is not a network"),
            ("[relay]\nsmarthost = \"a b\"", "2:13: this is not a host"),
            ("[relay]\nfallback = \"a b\"", "2:12: this is not a host"),
            ("[relay]\nnull_client = \"a b\"", "2:15: this is not a host"),
            ("[local]\nhub = 1", "2:7: a string is wanted here"),
            ("[local]\nhub_except = [\"\"]", "2:15: a user is wanted here"),
            ("[remote]\ntry_null_mx = \"yes\"", "2:15: this is neither true nor false"),
            ("[remote]\ntls = \"may\"", "2:1: `remote.tls` is not yet supported"),
            ("[local]\nmailbox = \"lmtp:unix:x\"", "2:11: this is not a mailbox"),
            ("[local]\nmailbox = \"lmtp:inet:x:25\"", "2:11: this is not a mailbox"),
            (
                "[local]\nmailbox = \"lmtp:unix:/x\"\ncatch_all = \"root\"",
                "3:13: with LMTP the users are not ours: `local.catch_all` does nothing",
            ),
            ("[local]\nmailbox = \"mbox:{home}/{mail}\"", "2:11: this is not a mailbox"),
            ("[local]\nmailbox = \"/var/mail\"", "2:11: this is not a mailbox"),
            ("[log]\ntarget = \"syslog\"", "2:10: this is not yet supported"),
            ("[log]\nformat = \"xml\"", "2:10: there is no such format"),
            ("[remote]\nfamilies = \"ipx\"", "2:12: the families are"),
            ("[remote]\nresolver = \"dns\"", "2:12: this is not a resolver"),
            ("[queue]\nfirst_retry = \"1d\"", "2:15: `first_retry` is longer than `max_retry`"),
            ("[queue]\nfirst_retry = \"0s\"", "2:15: a wait is wanted here"),
            ("[queue]\nrefuse_load = \"9\"", "2:15: this is not a load average"),
            ("[queue]\nqueue_only_load = -0.5", "2:19: this is not a load average"),
            ("[queue]\nqueue_only_load = inf", "2:19: this is not a load average"),
            ("[local]\ndefault_user = \"\"", "2:16: a user is wanted here"),
            (
                "[[listener]]\nrole = \"mx\"\naddress = [\"127.0.0.1:25\", \"127.0.0.1:25\"]",
                "3:11: an address is used above already",
            ),
            ("[limits]\nhops = 1.5", "2:8: a whole number"),
            ("\"a\\u001b\" = 1", "1:1: unknown key `a\\u{1b}`"),
            ("[access]\nx = 1", "1:2: unknown key `access`"),
            ("[policy]\nrules = [\"greylist\"]", "2:10: this rule is not yet supported"),
            ("[policy]\naccept_unqualified_senders = 1", "2:30: this is neither true nor false"),
            ("[policy]\nspf = \"off\"", "2:1: `policy.spf` is not yet supported"),
        ] {
            let found = wrong(text);
            assert!(found.iter().any(|found| found.starts_with(start)), "{text}: {found:#?}");
        }
    }

    #[test]
    fn numbers_are_read_as_toml_has_them() {
        let text = "hostname = \"x.test\"\n[limits]\nrecipients = 1_000\nhops = 0x40\n";
        let limits = parse(None, "p.toml".into(), text.to_owned()).unwrap().limits;
        assert_eq!((limits.recipients, limits.hops), (1000, 64));
    }

    #[test]
    fn a_root_moves_every_path() {
        let text = "hostname = \"x.test\"\n[tables]\ndirectory = \"/usr/local/etc/mail\"\n[local]\nmailbox = \"mbox:/var/mail/{user}\"\n";
        let config = parse(Some(Path::new("/r")), "p.toml".into(), text.to_owned()).unwrap();
        assert_eq!(config.paths.tables, Path::new("/r/usr/local/etc/mail"));
        assert_eq!(config.paths.queue, Path::new("/r/var/spool/pennypost/queue"));
        assert_eq!(config.local.mailbox, crate::Mailbox::Mbox("/r/var/mail/{user}".into()));
        assert!(config.rooted);
    }
}
