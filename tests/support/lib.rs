//! What the tests of the whole system share: a Pennypost under a temporary root, a client that
//! speaks SMTP to it, and a next hop that it speaks to.
//!
//! Tests wait for log lines and files, never for time; every wait is bounded by [`PATIENCE`].

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

mod client;
mod dovecot;
pub mod machine;
mod postfix;
mod sink;
mod system;

pub use client::Client;
pub use dovecot::Dovecot;
pub use postfix::Postfix;
pub use sink::{Received, Sink};
pub use system::{System, SystemBuilder, binary, children, free_address, is_alive, run};

/// The longest that a test waits for one thing; two slow cores share the whole suite.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration with load averages that no machine reaches, unless it names its own: how busy this
/// machine is changes nothing in a test.
#[must_use]
pub fn at_any_load(config: &str) -> String {
    let limits = "[queue]\nqueue_only_load = 100000.0\nrefuse_load = 100000.0\n";
    match config.split_once("[queue]\n") {
        _ if config.contains("_load = ") => config.to_owned(),
        Some((before, after)) => format!("{before}{limits}{after}"),
        None => format!("{config}\n{limits}"),
    }
}

/// Is `program` there? If not, the test is skipped with a line that says so and names `package`;
/// where `CI` is set that is a failure, so that a skip cannot hide.
#[must_use]
pub fn installed(program: &str, package: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let others = ["/usr/sbin", "/usr/lib", "/usr/lib/git-core", "/usr/lib/nagios/plugins"];
    let mut folders = path.split(':').chain(others);
    let found = folders.any(|folder| Path::new(folder).join(program).exists());
    let remedy = format!("{program} is not installed (apt-get install {package})");
    assert!(found || std::env::var_os("CI").is_none(), "{remedy}");
    if !found {
        skipped(&remedy);
    }
    found
}

/// Says that this test checks nothing, and why. On stderr itself, which the test harness does not
/// keep to itself as it does with what is printed.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", test.name().unwrap_or("a test"));
}
