//! The message as it is submitted: envelope and completed content.

use envelope::{Address, Body, HeaderCare, Recipient, Return, ReversePath, Submission, printable};
use message::{Completion, Date, UNSENT_FIELDS, addresses, completion, without_fields};
use smtp::client::Mail;

use super::options::{NoRecipient, Options, usage};
use crate::caller::Caller;
use crate::{Exit, Failure};

/// One submission.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) reverse_path: ReversePath,
    pub(super) recipients: Vec<Recipient>,
    pub(super) content: Vec<u8>,
    pub(super) body: Body,
    pub(super) utf8_headers: bool,
    pub(super) ret: Option<Return>,
    pub(super) envid: Option<String>,
    pub(super) submission: Submission,
    /// What was meant as a recipient and is no address, with the reason.
    pub(super) misspelt: Vec<String>,
}

impl Letter {
    /// Puts together what the command line, the caller and the content say.
    ///
    /// # Errors
    /// Exit code 64: nobody is to get it; 65: the reverse-path is none.
    pub(super) fn compose(
        options: &Options,
        caller: &Caller,
        hostname: &str,
        date: Date,
        content: Vec<u8>,
    ) -> Result<Self, Failure> {
        let reverse_path = reverse_path(options, caller, hostname)?;
        let (recipients, misspelt) = recipients(options, hostname, &content)?;
        let content = match options.submission.header {
            HeaderCare::Leave => content,
            HeaderCare::Complete => {
                let own = own_address(caller, hostname);
                let from = reverse_path.0.clone().or_else(|| own.clone());
                // The caller's name belongs to the caller's address.
                let full_name = options
                    .full_name
                    .as_deref()
                    .or_else(|| caller.full_name.as_deref().filter(|_| from == own));
                let random = fastrand::u64(..);
                let with = Completion { date, random, hostname, from: from.as_ref(), full_name };
                let mut text = completion(&content, &with);
                let names = ["To", "Cc", "Resent-To", "Resent-Cc"];
                let nobody = names.iter().all(|name| message::count(&content, name) == 0);
                if nobody && options.no_recipient == NoRecipient::Undisclosed {
                    // Before the rest: an empty line may stand at its end.
                    text.splice(..0, *b"To: undisclosed-recipients:;\r\n");
                }
                text.extend_from_slice(&without_fields(&content, &UNSENT_FIELDS));
                text
            }
        };
        Ok(Self {
            reverse_path,
            recipients,
            body: options.body.unwrap_or_else(|| body_of(&content)),
            utf8_headers: has_utf8_header(&content),
            ret: options.ret,
            envid: options.envid.clone(),
            submission: options.submission.clone(),
            misspelt,
            content,
        })
    }

    /// One transaction for some of the recipients.
    pub(super) fn mail<'a>(&'a self, recipients: &'a [Recipient]) -> Mail<'a> {
        Mail {
            reverse_path: &self.reverse_path,
            recipients,
            body: self.body,
            utf8_headers: self.utf8_headers,
            ret: self.ret,
            envid: self.envid.as_deref(),
            size: u64::try_from(self.content.len()).unwrap_or(u64::MAX),
            submission: Some(&self.submission),
        }
    }
}

fn own_address(caller: &Caller, hostname: &str) -> Option<Address> {
    Address::new(&caller.name, hostname).ok()
}

/// `-f root`, `-f a@b`, `-f '<a@b>'`, `-f '<>'`; without `-f` the caller at this host.
fn reverse_path(
    options: &Options,
    caller: &Caller,
    hostname: &str,
) -> Result<ReversePath, Failure> {
    let Some(text) = options.reverse_path.as_deref().map(str::trim) else {
        return Ok(ReversePath(own_address(caller, hostname)));
    };
    if matches!(text, "" | "<>") {
        return Ok(ReversePath::NULL);
    }
    let bad = |why: String| Failure::new(Exit::DataErr, format!("-f {why}"));
    let found = addresses(text, hostname);
    if let Some(error) = found.errors.first() {
        return Err(bad(error.to_string()));
    }
    match <[Address; 1]>::try_from(found.addresses) {
        Ok([address]) => Ok(ReversePath(Some(address))),
        Err(_) => Err(bad(format!("\"{}\": not one address", printable(text)))),
    }
}

/// The words, and with `-t` those of the header, each once; and what is no address.
fn recipients(
    options: &Options,
    hostname: &str,
    content: &[u8],
) -> Result<(Vec<Recipient>, Vec<String>), Failure> {
    let mut found: Vec<Address> = Vec::new();
    let mut misspelt = Vec::new();
    let of_words = options.words.iter().map(|word| addresses(word, hostname));
    let of_header = options.from_header.then(|| message::recipients(content, hostname));
    for part in of_words.chain(of_header) {
        found.extend(part.addresses);
        misspelt.extend(part.errors.iter().map(ToString::to_string));
    }
    if found.is_empty() && misspelt.is_empty() {
        return Err(if options.from_header {
            Failure::new(Exit::Usage, "No recipient addresses found in header")
        } else {
            usage("Recipient names must be specified".to_owned())
        });
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(address.clone()));
    let recipient = |address| Recipient { notify: options.notify, ..Recipient::plain(address) };
    Ok((found.into_iter().map(recipient).collect(), misspelt))
}

fn body_of(content: &[u8]) -> Body {
    if content.is_ascii() { Body::SevenBit } else { Body::EightBitMime }
}

/// RFC 6532: such a header needs SMTPUTF8; other 8-bit bytes are an old fault that passes.
fn has_utf8_header(content: &[u8]) -> bool {
    let header = content.get(..message::end_of_header(content)).unwrap_or_default();
    !header.is_ascii() && str::from_utf8(header).is_ok()
}

#[cfg(test)]
mod tests {
    use envelope::Notify;

    use super::*;

    fn compose(words: &[&str], content: &str) -> Result<Letter, Failure> {
        let words = words.iter().map(|word| (*word).to_owned());
        let options = Options::parse("sendmail", words).unwrap();
        let caller = Caller {
            name: "alice".to_owned(),
            full_name: Some("Alice Smith".to_owned()),
            home: None,
        };
        let date = Date::utc(1_795_235_750);
        Letter::compose(&options, &caller, "here.test", date, content.as_bytes().to_vec())
    }

    fn to(letter: &Letter) -> Vec<String> {
        letter.recipients.iter().map(|r| r.address.to_string()).collect()
    }

    fn text(letter: &Letter) -> String {
        String::from_utf8(letter.content.clone()).unwrap()
    }

    #[test]
    fn recipients_of_the_command_line() {
        let letter =
            compose(&["bob", "Carol <carol@x.test>, dave@x.test", "bob@HERE.test"], "").unwrap();
        assert_eq!(to(&letter), ["bob@here.test", "carol@x.test", "dave@x.test"]);
        assert_eq!(letter.reverse_path.to_string(), "alice@here.test");
        let letter = compose(&["a b c@", "bob"], "").unwrap();
        assert_eq!(to(&letter), ["bob@here.test"]);
        let why = "\"a b c@\": ' ' needs quotes or has no place in an address";
        assert_eq!(letter.misspelt, [why]);
        assert_eq!(compose(&["-fa b c@", "bob"], "").unwrap_err().text, format!("-f {why}"));
        assert_eq!(compose(&[], "").unwrap_err().exit, Exit::Usage);
        let letter = compose(&["--", "-oQ/tmp@x.test"], "").unwrap();
        assert_eq!(to(&letter), ["-oQ/tmp@x.test"]);
    }

    #[test]
    fn recipients_of_the_header() {
        let content = "To: bob\r\nCc: carol@x.test\r\nBcc: dave\r\n\r\nhi\r\n";
        let letter = compose(&["-t", "erin"], content).unwrap();
        assert_eq!(
            to(&letter),
            ["erin@here.test", "bob@here.test", "carol@x.test", "dave@here.test"]
        );
        assert!(!text(&letter).contains("Bcc"));
        let letter =
            compose(&["-t"], "To: bob, b@d@c\r\nCc: Carol <carol@x.test>\r\n\r\n").unwrap();
        assert_eq!(to(&letter), ["bob@here.test", "carol@x.test"]);
        assert_eq!(letter.misspelt.len(), 1);
        assert!(letter.misspelt[0].starts_with("To: \"b@d@c\": "), "{}", letter.misspelt[0]);
        let nobody = compose(&["-t"], "Subject: x\r\n\r\n").unwrap_err();
        assert_eq!(
            (nobody.exit, &*nobody.text),
            (Exit::Usage, "No recipient addresses found in header")
        );
    }

    #[test]
    fn the_header_is_completed() {
        let letter = compose(&["bob"], "Subject: x\r\n\r\nhi\r\n").unwrap();
        assert!(
            text(&letter).contains("From: \"Alice Smith\" <alice@here.test>\r\n"),
            "{}",
            text(&letter)
        );
        assert!(text(&letter).contains("Date: Sat, 21 Nov 2026 04:35:50 +0000\r\n"));
        assert!(text(&letter).ends_with("Subject: x\r\n\r\nhi\r\n"));
        let letter = compose(&["-fbob@x.test", "bob"], "hi\r\n").unwrap();
        assert!(text(&letter).contains("From: <bob@x.test>\r\n"), "{}", text(&letter));
        let letter = compose(&["-FCronDaemon", "-froot", "bob"], "").unwrap();
        assert!(text(&letter).contains("CronDaemon"), "{}", text(&letter));
        let undisclosed = ["-O", "NoRecipientAction=add-to-undisclosed", "bob"];
        let letter = compose(&undisclosed, "Bcc: x\r\n\r\nhi\r\n").unwrap();
        assert!(text(&letter).starts_with("To: undisclosed-recipients:;\r\nDate: "));
        assert!(!text(&compose(&undisclosed, "Cc: x\r\n\r\n").unwrap()).contains("undisclosed"));
        let letter = compose(&["-f", "<>", "bob"], "").unwrap();
        assert_eq!(letter.reverse_path, ReversePath::NULL);
        assert!(text(&letter).contains("<alice@here.test>"));
        assert_eq!(text(&compose(&["-G", "bob"], "Bcc: x\r\n\r\n").unwrap()), "Bcc: x\r\n\r\n");
    }

    #[test]
    fn what_the_next_host_must_know() {
        let letter = compose(&["bob"], "Subject: x\r\n\r\nä\r\n").unwrap();
        assert_eq!((letter.body, letter.utf8_headers), (Body::EightBitMime, false));
        let letter = compose(&["bob"], "Subject: ä\r\n\r\n").unwrap();
        assert_eq!((letter.body, letter.utf8_headers), (Body::EightBitMime, true));
        assert_eq!(compose(&["bob"], "Subject: x\r\n\r\n").unwrap().body, Body::SevenBit);
        assert_eq!(
            compose(&["-N", "never", "bob"], "").unwrap().recipients[0].notify,
            Notify::NEVER
        );
    }
}
