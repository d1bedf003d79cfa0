//! The words of the trade, shared by every process: addresses and paths, the envelope, the queue
//! id, the next hop and the status of a recipient.
//!
//! **Invariant:** pure. No files, sockets, threads or clock.

mod address;
pub mod command;
mod delivery_line;
mod dialogue;
mod extension;
mod hop;
mod member;
mod message;
mod ourselves;
mod printable;
mod queue_id;
mod status;
mod submission;

pub use address::{Address, AddressError, ReversePath, domain_key};
pub use delivery_line::DeliveryLine;
pub use dialogue::Dialogue;
pub use extension::{Extension, Extensions};
pub use hop::{Host, NextHop, Protocol, Server};
pub use member::{Member, Special};
pub use message::{
    Body, Disposition, Envelope, Notify, Origin, OriginalRecipient, Recipient, Return,
};
pub use ourselves::Ourselves;
pub use printable::{Printable, is_hidden, printable};
pub use queue_id::{QueueId, QueueIdError};
pub use status::{Detail, Enhanced, Heard, Status};
pub use submission::{Aliasing, HeaderCare, Label, OriginalClient, Submission};
