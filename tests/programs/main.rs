//! Real programs, as Debian packages them, against the real system.
//!
//! A program that is not installed is skipped with a line that says so; where `CI` is set that is a
//! failure, so that a skip cannot hide.

mod postfix;
mod senders;

use std::path::Path;

/// Is `program` there? `package` is what to install.
fn installed(program: &str, package: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .chain(["/usr/sbin", "/usr/lib/git-core"])
        .any(|folder| Path::new(folder).join(program).exists());
    if !found {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is missing: apt-get install {package}"
        );
        println!("skipped: {program} is not installed (apt-get install {package})");
    }
    found
}
