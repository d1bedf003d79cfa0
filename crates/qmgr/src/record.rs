//! What the queue keeps of a message and of each of its recipients.
//!
//! A stored record is one version byte and then postcard; each type counts its own versions, and
//! reads its previous one too. **Invariant:** bytes that cannot be read, by age or by damage, are an
//! error value and never a panic; the store sets them aside.

use std::fmt;

use envelope::{
    Address, Aliasing, Body, Envelope, Notify, Origin, OriginalRecipient, QueueId, Recipient,
    Return, ReversePath, Special, Status,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 in queue time, which a step of the clock does not move.
pub type Millis = u64;

/// What a message has once, whoever its recipients are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    pub arrival: Millis,
    /// Bytes of content.
    pub size: u64,
    pub place: Place,
    pub body: Body,
    pub smtputf8: bool,
    pub ret: Option<Return>,
    pub envid: Option<String>,
    pub origin: Origin,
    /// When the next attempt is due.
    pub due: Millis,
    /// Not tried until released, whatever `due` says; a held message has no row in the due index.
    pub held: bool,
    /// The reverse-path was told of the delay.
    pub warned: bool,
    /// Why it is held, if that was said.
    pub quarantine: Option<String>,
    pub aliasing: Aliasing,
}

/// Where the content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the database, at most [`ipc::submission::INLINE`] bytes.
    Inline,
    /// In the spool file that has the queue id as its name.
    File,
}

impl MessageRecord {
    /// The record of a message that has just arrived and is due at once. The store fills in
    /// `size` and `place` from the content.
    #[must_use]
    pub fn arrived(envelope: &Envelope, now: Millis) -> Self {
        Self {
            arrival: now,
            size: 0,
            place: Place::Inline,
            body: envelope.body,
            smtputf8: envelope.smtputf8,
            ret: envelope.ret,
            envid: envelope.envid.clone(),
            origin: envelope.origin.clone(),
            due: now,
            held: false,
            warned: false,
            quarantine: None,
            aliasing: envelope.aliasing,
        }
    }
}

/// One recipient that is still to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRecord {
    pub address: Address,
    /// Belongs to the recipient, because `owner-` aliases and SRS give each its own.
    pub reverse_path: ReversePath,
    pub notify: Notify,
    pub orcpt: Option<OriginalRecipient>,
    /// Attempts that finished, whatever came of them.
    pub attempts: u32,
    /// The last of them.
    pub last: Option<LastAttempt>,
    /// The addresses that expansion replaced on the way to this one, oldest first: the loop guard.
    pub expanded_from: Vec<Address>,
    pub goal: Goal,
}

/// What a recipient is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Goal {
    /// Whatever the tables say of its address.
    Tables,
    /// The user's mailbox, whatever aliases and `.forward` say.
    Mailbox,
    /// No address: it keeps that of the alias or the user who named it.
    Special {
        what: Special,
        /// Whose `.forward` named it; `None`: an alias.
        user: Option<String>,
    },
}

/// When the last attempt finished, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAttempt {
    pub at: Millis,
    pub status: Status,
}

impl RecipientRecord {
    /// A recipient that was not tried yet.
    #[must_use]
    pub fn fresh(recipient: Recipient, reverse_path: ReversePath) -> Self {
        let Recipient { address, notify, orcpt } = recipient;
        Self {
            address,
            reverse_path,
            notify,
            orcpt,
            attempts: 0,
            last: None,
            expanded_from: Vec::new(),
            goal: Goal::Tables,
        }
    }
}

impl RecipientRecord {
    /// Whose program, file or list it is.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match &self.goal {
            Goal::Special { user, .. } => user.clone(),
            Goal::Tables | Goal::Mailbox => None,
        }
    }
}

/// A message and those of its recipients that are still to be served, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub id: QueueId,
    pub record: MessageRecord,
    pub recipients: Vec<(u32, RecipientRecord)>,
}

/// What can be stored as a row.
pub trait Record: Serialize + DeserializeOwned {
    /// The layout written today: a change of the record is a new number.
    const VERSION: u8;

    /// Reads the rest of a row that has another version byte. A record that was changed once reads
    /// its previous layout here.
    ///
    /// # Errors
    /// [`RecordError`]: of a version that this release does not know, or not a record.
    fn older(version: u8, _rest: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::Version(version))
    }

    /// The row: version byte and postcard.
    ///
    /// # Errors
    /// [`RecordError::Damaged`]: cannot happen for the records above.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        postcard::to_extend(self, vec![Self::VERSION]).map_err(|_| RecordError::Damaged)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RecordError`]: of another version, or not a record.
    fn decode(row: &[u8]) -> Result<Self, RecordError> {
        match row.split_first() {
            Some((&version, rest)) if version == Self::VERSION => whole(rest),
            Some((&other, rest)) => Self::older(other, rest),
            None => Err(RecordError::Damaged),
        }
    }
}

impl Record for MessageRecord {
    const VERSION: u8 = 3;

    /// What is new comes last, and is nothing: a zero each, as postcard writes `None` and a first variant.
    fn older(version: u8, rest: &[u8]) -> Result<Self, RecordError> {
        match version {
            // Without a reason.
            1 => whole(&[rest, &[0, 0]].concat()),
            // All aliases were followed.
            2 => whole(&[rest, &[0]].concat()),
            other => Err(RecordError::Version(other)),
        }
    }
}

impl Record for RecipientRecord {
    const VERSION: u8 = 2;

    fn older(version: u8, rest: &[u8]) -> Result<Self, RecordError> {
        match version {
            1 => whole::<FirstRecipient>(rest).map(Into::into),
            other => Err(RecordError::Version(other)),
        }
    }
}

/// Version 1 of [`RecipientRecord`].
#[derive(Debug, Deserialize)]
struct FirstRecipient {
    address: Address,
    reverse_path: ReversePath,
    notify: Notify,
    orcpt: Option<OriginalRecipient>,
    attempts: u32,
    last: Option<LastAttempt>,
    expanded_from: Vec<Address>,
}

impl From<FirstRecipient> for RecipientRecord {
    fn from(first: FirstRecipient) -> Self {
        Self {
            address: first.address,
            reverse_path: first.reverse_path,
            notify: first.notify,
            orcpt: first.orcpt,
            attempts: first.attempts,
            last: first.last,
            expanded_from: first.expanded_from,
            goal: Goal::Tables,
        }
    }
}

/// Nothing may follow the record.
fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Ok(record),
        Ok(_) | Err(_) => Err(RecordError::Damaged),
    }
}

/// Why a row is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a release that this one does not know.
    Version(u8),
    /// Not what was written.
    Damaged,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "the record has version {version}, which this release cannot read")
            }
            Self::Damaged => f.write_str("the record is damaged"),
        }
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use envelope::{
        Aliasing, Body, Detail, Enhanced, Envelope, Origin, OriginalRecipient, Recipient, Return,
        ReversePath, Status,
    };
    use proptest::prelude::*;

    use super::{LastAttempt, MessageRecord, RecipientRecord, Record, RecordError};

    fn message() -> MessageRecord {
        let envelope = Envelope {
            reverse_path: ReversePath::NULL,
            recipients: Vec::new(),
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Return::Headers),
            envid: Some("ümlaut".to_owned()),
            origin: Origin::User { uid: 1000, name: "alice".to_owned() },
            aliasing: Aliasing::Skipped,
        };
        let quarantine = Some("suspicious".to_owned());
        MessageRecord {
            held: true,
            quarantine,
            ..MessageRecord::arrived(&envelope, 1_790_000_000_000)
        }
    }

    fn recipient() -> RecipientRecord {
        let address: envelope::Address = "dörte@bücher.example".parse().unwrap();
        let path = ReversePath(Some(address.clone()));
        let status = Status::Deferred(Detail::ours(Enhanced::NO_ANSWER, "no answer"));
        RecipientRecord {
            last: Some(LastAttempt { at: 5, status }),
            expanded_from: vec![address.clone()],
            ..RecipientRecord::fresh(Recipient::plain(address), path)
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        assert_eq!(MessageRecord::decode(&message().encode().unwrap()), Ok(message()));
        assert_eq!(RecipientRecord::decode(&recipient().encode().unwrap()), Ok(recipient()));
    }

    #[test]
    fn a_message_of_the_previous_versions_is_read() {
        let before = MessageRecord { aliasing: Aliasing::Followed, ..message() };
        let mut row = before.encode().unwrap();
        assert_eq!((row.remove(0), row.pop()), (3, Some(0)), "what is new comes last");
        row.insert(0, 2);
        assert_eq!(MessageRecord::decode(&row), Ok(before));
        let before = MessageRecord { quarantine: None, aliasing: Aliasing::Followed, ..message() };
        let mut row = before.encode().unwrap();
        assert_eq!((row.remove(0), row.pop(), row.pop()), (3, Some(0), Some(0)));
        row.insert(0, 1);
        assert_eq!(MessageRecord::decode(&row), Ok(before));
    }

    #[test]
    fn a_recipient_of_the_previous_version_is_read() {
        let mut row = recipient().encode().unwrap();
        assert_eq!((row.remove(0), row.pop()), (2, Some(0)), "what is new comes last");
        row.insert(0, 1);
        assert_eq!(RecipientRecord::decode(&row), Ok(recipient()));
    }

    /// Rows that the first release has written: what is in a record must not change either.
    #[test]
    fn rows_of_the_first_release_are_read() {
        let row = |hex: &str| {
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            hex.as_bytes().chunks(2).map(byte).collect::<Vec<_>>()
        };
        let row_of_message = row("0180d8c1a28c340000010101010107c3bc6d6c61757401e80705616c696365\
            80d8c1a28c340100");
        let aliasing = Aliasing::Followed;
        let read = MessageRecord { quarantine: None, aliasing, ..message() };
        assert_eq!(MessageRecord::decode(&row_of_message), Ok(read));
        let row_of_recipient = row(
            "010664c3b67274650f62c3bc636865722e6578616d706c65010664c3b6727465\
            0f62c3bc636865722e6578616d706c65000101000106726663383232037840790301050104\
            0201c303056c6174657201076d782e74657374010664c3b67274650f62c3bc636865722e6578616d706c65",
        );
        let status = Detail::reply("mx.test", 451, Enhanced(4, 2), "later");
        let original = OriginalRecipient { kind: "rfc822".into(), address: "x@y".into() };
        let read = RecipientRecord {
            orcpt: Some(original),
            attempts: 3,
            last: Some(LastAttempt { at: 5, status: Status::Deferred(status) }),
            ..recipient()
        };
        assert_eq!(RecipientRecord::decode(&row_of_recipient), Ok(read));
    }

    #[test]
    fn other_versions_and_what_is_cut_or_longer_are_told_apart() {
        let mut row = recipient().encode().unwrap();
        for end in 1..row.len() {
            assert_eq!(RecipientRecord::decode(&row[..end]), Err(RecordError::Damaged));
        }
        row.push(0);
        assert_eq!(RecipientRecord::decode(&row), Err(RecordError::Damaged));
        row[0] = RecipientRecord::VERSION + 1;
        let unknown = RecordError::Version(RecipientRecord::VERSION + 1);
        assert_eq!(RecipientRecord::decode(&row), Err(unknown));
        assert_eq!(RecipientRecord::decode(&[]), Err(RecordError::Damaged));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(mut row in proptest::collection::vec(any::<u8>(), 1..200)) {
            row[0] = 1 + row[0] % MessageRecord::VERSION.max(RecipientRecord::VERSION);
            // What can be read can be written and read again.
            if let Ok(record) = MessageRecord::decode(&row) {
                prop_assert_eq!(MessageRecord::decode(&record.encode().unwrap()), Ok(record));
            }
            if let Ok(record) = RecipientRecord::decode(&row) {
                let again = RecipientRecord::decode(&record.encode().unwrap());
                prop_assert_eq!(again, Ok(record));
            }
        }

        #[test]
        fn a_flipped_bit_is_no_panic(at in 0_usize..1000, bit in 0_u8..8) {
            let mut row = recipient().encode().unwrap();
            let length = row.len();
            row[at % length] ^= 1 << bit;
            if let Ok(record) = RecipientRecord::decode(&row) {
                prop_assert!(record.encode().is_ok());
            }
        }
    }
}
