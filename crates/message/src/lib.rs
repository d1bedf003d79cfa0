//! Message content: header fields, trace fields, what a submission lacks, recipients in a header,
//! addresses of a header rewritten, and delivery status notifications.
//!
//! Content is bytes with CRLF line ends, header first.
//!
//! **Invariant:** pure. Time, randomness and names are arguments.
//! **Invariant:** no byte from outside reaches a field that we write unless it is checked or escaped.

mod complete;
mod date;
mod dsn;
mod header;
mod received;
mod recipients;
mod rewrite;

pub use complete::{Completion, UNSENT_FIELDS, completion, message_id, separator, without_fields};
pub use date::Date;
pub use dsn::{Action, Built, Kind, Original, RecipientReport, Report};
pub use header::{Field, Fields, count, end_of_header, fields, first, has};
pub use received::{Protocol, Received, sender_warning};
pub use recipients::{MAX_RECIPIENTS, Recipients, RecipientsError, addresses, recipients};
pub use rewrite::{
    MAX_HEADER, NewHeader, Party, Unreadable, Written, qualify_header, rewrite_content,
    rewrite_header, whole_fields, written_addresses,
};
