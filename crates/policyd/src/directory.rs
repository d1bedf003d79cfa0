//! Who is a user of this machine.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::User;
use policy::Known;
use tables::Users;

/// How long an answer of the user database is believed.
const FRESH: Duration = Duration::from_secs(10);
/// Answers remembered; beyond it all are forgotten.
const MAX_REMEMBERED: usize = 10_000;
/// How long the user database (LDAP, say) may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers whether there is a user with a mailbox.
#[derive(Debug)]
pub(crate) enum Directory {
    /// Under `--root`: exactly these.
    Table(Users),
    /// The accounts of the system from this uid on, and root.
    System { minimum_uid: u32, remembered: Mutex<HashMap<String, (Instant, Known)>> },
}

impl Directory {
    pub(crate) const fn table(users: Users) -> Self {
        Self::Table(users)
    }

    pub(crate) fn system(minimum_uid: u32) -> Self {
        Self::System { minimum_uid, remembered: Mutex::default() }
    }

    pub(crate) async fn find(&self, name: &str) -> Known {
        match self {
            Self::Table(users) if users.contains(name) => Known::Yes,
            Self::Table(_) => Known::No,
            Self::System { minimum_uid, remembered } => {
                if let Some(known) = recall(remembered, name) {
                    return known;
                }
                let known = ask(name.to_owned(), *minimum_uid).await;
                if known != Known::Unsure {
                    remember(remembered, name, known);
                }
                known
            }
        }
    }
}

fn recall(remembered: &Mutex<HashMap<String, (Instant, Known)>>, name: &str) -> Option<Known> {
    let remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    let (when, known) = remembered.get(name)?;
    (when.elapsed() < FRESH).then_some(*known)
}

fn remember(remembered: &Mutex<HashMap<String, (Instant, Known)>>, name: &str, known: Known) {
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
    remembered.insert(name.to_owned(), (Instant::now(), known));
}

/// Asks NSS, which may block, on a thread of its own.
async fn ask(name: String, minimum_uid: u32) -> Known {
    let answer = tokio::task::spawn_blocking(move || User::from_name(&name));
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(Some(user)))) if user.uid.is_root() || user.uid.as_raw() >= minimum_uid => {
            Known::Yes
        }
        Ok(Ok(Ok(_))) => Known::No,
        Ok(Ok(Err(error))) => {
            tracing::warn!("the user database cannot be asked: {error}");
            Known::Unsure
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("the user database does not answer");
            Known::Unsure
        }
    }
}
