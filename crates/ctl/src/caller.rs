//! Who calls `sendmail`.

use std::fs::File;
use std::path::PathBuf;

use nix::unistd::{Uid, User};
use tables::Users;

use crate::routes::users;
use crate::site::Site;

/// The caller. A claim, good for header fields and for the default reverse-path only: who really
/// submits is what the kernel tells the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user's name, or the uid in digits.
    pub(crate) name: String,
    pub(crate) full_name: Option<String>,
    pub(crate) home: Option<PathBuf>,
}

impl Caller {
    /// Under a root `$LOGNAME`, if it is in the `users` table there; else the owner of the process.
    pub(crate) fn find(site: &Site) -> Self {
        let environment_name = std::env::var("NAME").ok().filter(|name| !name.is_empty());
        if let Some(name) = rooted_user(site) {
            let home = Some(site.home_of(&name));
            return Self { name, full_name: environment_name, home };
        }
        let uid = Uid::current();
        let Some(user) = User::from_uid(uid).ok().flatten() else {
            return Self { name: uid.to_string(), full_name: environment_name, home: None };
        };
        let gecos = || full_name(&user.gecos.to_string_lossy(), &user.name);
        Self { full_name: environment_name.or_else(gecos), home: Some(user.dir), name: user.name }
    }
}

fn rooted_user(site: &Site) -> Option<String> {
    site.root()?;
    let name = std::env::var("LOGNAME").ok()?;
    let users = match site.load() {
        Ok(config) => users(&config).ok()?,
        // Also while the configuration is broken.
        Err(_) => {
            let file = File::open(site.tables().join("users")).ok()?;
            Users::read("users", file).ok()?.table
        }
    };
    users.contains(&name).then_some(name)
}

/// The first item of GECOS; `&` stands for the capitalised login name.
fn full_name(gecos: &str, login: &str) -> Option<String> {
    let name = gecos.split(',').next().unwrap_or_default();
    let mut letters = login.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let name = name.replace('&', &(first + letters.as_str()));
    let name = name.trim();
    if name.is_empty() { None } else { Some(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::full_name;

    #[test]
    fn gecos_as_finger_reads_it() {
        let name = |gecos| full_name(gecos, "alice");
        assert_eq!(name("Alice Smith,Room 1,,").as_deref(), Some("Alice Smith"));
        assert_eq!(name("& Smith").as_deref(), Some("Alice Smith"));
        assert_eq!(name(",,,"), None);
        assert_eq!(name(""), None);
    }
}
