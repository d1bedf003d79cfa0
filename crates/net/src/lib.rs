//! Finding and reaching other mail systems: DNS, connections, and the dialogue on them.
//!
//! [`Route`] gives the addresses of a next hop in the order in which they are to be tried;
//! [`dial`] connects to one of them, [`exchange`] moves the bytes of the client's dialogue, and
//! [`Inquiry`] asks whether mail for a recipient would be taken. [`Lookups`] shows to whoever watches
//! what was asked of the DNS.

mod dial;
mod exchange;
mod inquiry;
mod lookups;
mod resolver;
mod route;
mod stream;

pub use dial::{CONNECT_TIME, dial};
pub use exchange::exchange;
pub use inquiry::Inquiry;
pub use lookups::Lookups;
pub use resolver::{Exchange, Failure, Families, Resolver, Servers};
pub use route::{MAX_ADDRESSES, MAX_HOSTS, Route, Target};
pub use stream::{Place, Stream};
