//! Names of this machine's users.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Uid, User};

/// Names that are remembered; one more, and it begins anew.
const MAX_KNOWN: usize = 1024;

/// Remembers the names it looked up.
#[derive(Debug, Default)]
pub(crate) struct Users(Mutex<HashMap<u32, String>>);

impl Users {
    /// The name of a user, or the uid in digits.
    pub(crate) fn name(&self, uid: u32) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(&uid) {
            return name.clone();
        }
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
            return uid.to_string();
        };
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.entry(uid).or_insert(user.name).clone()
    }
}
