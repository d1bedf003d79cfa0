//! One phase alone, for who asks for it (`sendmail -bt`): a session asks for recipients only, of which
//! these are parts.

use envelope::{Address, Disposition, ReversePath};

use crate::verdict::{Step, Verdict};
use crate::{Client, Policy, Rule, Sending, access};

impl Policy {
    /// What is said of a reverse-path, whoever the recipient is (check_mail). `None`: nothing.
    ///
    /// # Errors
    /// It is refused.
    pub fn from(
        &self,
        sending: &Sending<'_>,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        let Some(from) = &sending.reverse_path.0 else { return Ok(None) };
        self.sender(sending, trace)?;
        // The client is another phase's.
        let alone = &Sending { client: Client::User, ..*sending };
        for rule in &self.rules {
            let said = match rule {
                Rule::Access => access::of_sending(&self.access, alone, from, trace)?,
                Rule::UnresolvableSender => self.unresolvable(sending, trace)?,
                Rule::BadHelo => None,
            };
            if said.is_some() {
                return Ok(said);
            }
        }
        Ok(None)
    }

    /// What is said of a client, whatever it sends (check_relay). `None`: nothing.
    ///
    /// # Errors
    /// It is refused, in mail for `about`.
    pub fn connect(
        &self,
        client: Client<'_>,
        about: &Address,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        if !self.has(Rule::Access) {
            return Ok(None);
        }
        let sending = Sending::plain(client, &ReversePath::NULL);
        access::of_sending(&self.access, &sending, about, trace)
    }

    /// What is said of a reverse-path and a recipient together (check_compat). `None`: nothing.
    ///
    /// # Errors
    /// They are refused.
    pub fn compat(
        &self,
        from: &ReversePath,
        recipient: &Address,
        trace: &mut Vec<Step>,
    ) -> Result<Option<Disposition>, Verdict> {
        self.together(&Sending::plain(Client::User, from), recipient, trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientName;
    use tables::Access;

    #[test]
    fn a_phase_alone_is_part_of_the_whole() {
        let text = "From:a.test REJECT\nConnect:192.0.2 ERROR:550 no\nFrom:b.test DISCARD\n\
                    Compat:x@c.test<@>y@d.test DISCARD\n";
        let access = Access::read("access", text.as_bytes()).unwrap().table;
        let policy = Policy { access, rules: vec![Rule::Access], ..Policy::default() };
        let name = ClientName::None;
        let client = |text: &str| Client::Network { address: text.parse().unwrap(), name: &name };
        let path = |text: &str| ReversePath(text.parse().ok());
        let from =
            |client, from: &str| policy.from(&Sending::plain(client, &path(from)), &mut Vec::new());
        let stranger = client("192.0.2.1");
        assert!(from(stranger, "x@a.test").is_err() && from(stranger, "x@localhost").is_err());
        assert_eq!(from(stranger, "x@c.test"), Ok(None));
        assert_eq!(from(stranger, ""), Ok(None));
        assert_eq!(from(Client::User, "x@b.test"), Ok(Some(Disposition::Discard)));
        let about = "y@d.test".parse().unwrap();
        let connect = |client| policy.connect(client, &about, &mut Vec::new());
        assert!(connect(stranger).is_err() && connect(client("198.51.100.1")) == Ok(None));
        let compat = |from: &str| policy.compat(&path(from), &about, &mut Vec::new());
        assert_eq!(compat("x@c.test"), Ok(Some(Disposition::Omit)));
        assert_eq!((compat("z@c.test"), compat("")), (Ok(None), Ok(None)));
        let silent = Policy { rules: Vec::new(), ..policy.clone() };
        assert_eq!(silent.connect(stranger, &about, &mut Vec::new()), Ok(None));
    }
}
