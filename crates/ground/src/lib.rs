//! What the house stands on before there is a process in it: accounts, directories, the lock, the
//! listening sockets, and what the caller and the service manager say. For the supervisor alone.
//!
//! It does what it is told once, with the rights of its caller, and decides nothing afterwards.

mod arguments;
mod listeners;
mod place;
mod signals;
pub mod systemd;
pub mod trouble;

pub use arguments::{Arguments, pid_file};
pub use listeners::{Listeners, bind_unix};
pub use place::{Accounts, allow_descriptors, find_programs, lock, make_directories};
pub use signals::Signals;
pub use trouble::Trouble;
