//! Finding and reaching other mail systems: DNS and TCP.
//!
//! [`Route`] gives the addresses of a next hop in the order in which they are to be tried;
//! [`dial`] connects to one of them.

mod dial;
mod ourselves;
mod resolver;
mod route;

pub use dial::{CONNECT_TIME, dial};
pub use ourselves::Ourselves;
pub use resolver::{Exchange, Failure, Families, Resolver, Servers};
pub use route::{MAX_ADDRESSES, MAX_HOSTS, Route, Target};
