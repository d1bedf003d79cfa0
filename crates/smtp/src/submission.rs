//! What users of this machine say of a submission, as parameters of MAIL: on the socket `submit` and in
//! the drop directory, and nowhere else. X: between two programs of ours (RFC 5321 §2.2.2).

use envelope::{Aliasing, HeaderCare, Label, OriginalClient, Submission};

use crate::command::CommandError;
use crate::command::parameters::once;

/// The keyword of EHLO that offers them.
pub(crate) const KEYWORD: &str = "XSUBMIT";

/// Adds the parameters that say this.
pub(crate) fn write(submission: &Submission, command: &mut String) {
    let Submission { aliasing, header, tag, client } = submission;
    let OriginalClient { address, name, protocol, user } = client;
    if *aliasing == Aliasing::Skipped {
        command.push_str(" XNOALIASES");
    }
    if *header == HeaderCare::Leave {
        command.push_str(" XASIS");
    }
    if let Some(address) = address {
        command.push_str(&format!(" XADDR={address}"));
    }
    for (parameter, label) in
        [("XTAG", tag), ("XNAME", name), ("XPROTO", protocol), ("XUSER", user)]
    {
        if let Some(label) = label {
            command.push_str(&format!(" {parameter}={label}"));
        }
    }
}

/// Reads one parameter.
pub(crate) fn read(said: &mut Submission, name: &str, value: &str) -> Result<(), CommandError> {
    let client = &mut said.client;
    let word = || Label::read(value, Label::WORD);
    match name.to_ascii_uppercase().as_str() {
        "XNOALIASES" if value.is_empty() => said.aliasing = Aliasing::Skipped,
        "XASIS" if value.is_empty() => said.header = HeaderCare::Leave,
        "XADDR" => once(&mut client.address, "XADDR", value.parse().ok())?,
        "XTAG" => once(&mut said.tag, "XTAG", word())?,
        "XNAME" => once(&mut client.name, "XNAME", Label::read(value, Label::NAME))?,
        "XPROTO" => once(&mut client.protocol, "XPROTO", word())?,
        "XUSER" => once(&mut client.user, "XUSER", word())?,
        _ => return Err(CommandError::UnknownParameter(name.to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parameters: &str) -> Result<Submission, CommandError> {
        let mut said = Submission::default();
        for word in parameters.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            read(&mut said, name, value)?;
        }
        Ok(said)
    }

    fn written(said: &Submission) -> String {
        let mut command = String::new();
        write(said, &mut command);
        command
    }

    #[test]
    fn what_is_written_is_read() {
        let label = |text: &str| Label::read(text, Label::NAME);
        let all = Submission {
            aliasing: Aliasing::Skipped,
            header: HeaderCare::Leave,
            tag: label("cron/1"),
            client: OriginalClient {
                address: "2001:db8::1".parse().ok(),
                name: label("mx.test"),
                protocol: label("ESMTPS"),
                user: label("bob"),
            },
        };
        for said in [all, Submission::default()] {
            assert_eq!(heard(&written(&said)), Ok(said));
        }
    }

    #[test]
    fn nothing_else_is() {
        let long = format!("XTAG={}", "x".repeat(Label::WORD + 1));
        for bad in [
            "XADDR=mx.test",
            "XADDR=[192.0.2.1]",
            "XADDR=192.0.2.1 XADDR=192.0.2.1",
            "XNAME=a(b)",
            "XPROTO=",
            "XUSER=a+20b",
            &long,
        ] {
            assert!(matches!(heard(bad), Err(CommandError::BadParameter(_))), "{bad}");
        }
        for unknown in ["XNOALIASES=1", "XASIS=x", "XFOO=1"] {
            assert!(matches!(heard(unknown), Err(CommandError::UnknownParameter(_))), "{unknown}");
        }
    }
}
