//! What the house stands on before there is a process in it: accounts, directories, the lock, the
//! listening sockets, and the service manager. For the supervisor alone.
//!
//! It does what it is told once, with the rights of its caller, and decides nothing afterwards.

mod listeners;
mod place;
pub mod systemd;
pub mod trouble;

pub use listeners::{Listeners, bind_unix};
pub use place::{Accounts, lock, make_directories};
pub use trouble::Trouble;
