//! What every process does before its loop: takes its descriptors and configuration from the
//! supervisor, starts logging, and ends when it is drained or the supervisor is gone.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     daemon::run("example", async |mut house: daemon::House| {
//!         house.enter(daemon::Sandbox::new())?;
//!         let mut incoming = house.answers(ipc::Arrow::QmgrToRemote)?;
//!         let mut drain = house.drain();
//!         loop {
//!             tokio::select! {
//!                 connection = incoming.next() => drop(connection),
//!                 () = drain.begun() => return Ok(()),
//!             }
//!         }
//!     })
//! }
//! ```

mod admins;
mod changes;
mod drain;
mod generation;
mod house;
mod load;
pub mod log;
mod mailbox;
mod places;
mod port;
pub mod sandbox;

pub use admins::{name_of, recognize};
pub use changes::Changes;
pub use drain::Drain;
pub use generation::{Generation, Generations};
pub use house::{Error, House, TcpSocket, run};
pub use ipc::sandbox::{Permit, Sandbox};
pub use load::LoadGauge;
pub use mailbox::{Identity, Owner, user_with_mailbox};
pub use places::{Place, Places};
pub use port::holder;
