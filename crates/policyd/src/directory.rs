//! Who is a user of this machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daemon::user_with_mailbox;
use policy::Account;
use tables::Users;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long an answer of the user database is believed.
const FRESH: Duration = Duration::from_secs(10);
/// Answers remembered; beyond it all are forgotten.
const MAX_REMEMBERED: usize = 10_000;
/// How long the user database (LDAP, say) may take; `smtpd` waits longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lookups under way, each on a thread of its own; also those that nobody waits for any more.
const MAX_LOOKUPS: usize = 16;

/// Answers whether there is a user with a mailbox.
#[derive(Debug)]
pub(crate) enum Directory {
    /// Under `--root`: exactly these.
    Table(Users),
    System(System),
}

/// The accounts of the system from this uid on, and root.
#[derive(Debug)]
pub(crate) struct System {
    minimum_uid: u32,
    remembered: Mutex<Remembered>,
    lookups: Arc<Semaphore>,
}

type Remembered = HashMap<String, (Instant, Account)>;

impl Directory {
    pub(crate) fn system(minimum_uid: u32) -> Self {
        let lookups = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self::System(System { minimum_uid, remembered: Mutex::default(), lookups })
    }

    pub(crate) async fn find(&self, name: &str) -> Account {
        match self {
            Self::Table(users) if users.contains(name) => Account::Exists,
            Self::Table(_) => Account::Unknown,
            Self::System(system) => system.find(name).await,
        }
    }
}

impl System {
    async fn find(&self, name: &str) -> Account {
        if let Some(account) = recall(&self.remembered, name) {
            return account;
        }
        let account = match timeout(PATIENCE, self.look_up(name.to_owned())).await {
            Ok(Ok(account)) => account,
            Ok(Err(error)) => {
                tracing::warn!("the user database cannot be asked: {error}");
                return Account::Unavailable;
            }
            Err(_) => {
                tracing::warn!("the user database does not answer");
                return Account::Unavailable;
            }
        };
        remember(&self.remembered, name, account);
        account
    }

    /// Asks NSS, which may block.
    async fn look_up(&self, name: String) -> Result<Account, daemon::Error> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await?;
        let minimum_uid = self.minimum_uid;
        let found = tokio::task::spawn_blocking(move || {
            let found = user_with_mailbox(&name, minimum_uid);
            drop(permit);
            found
        });
        Ok(if found.await??.is_some() { Account::Exists } else { Account::Unknown })
    }
}

fn recall(remembered: &Mutex<Remembered>, name: &str) -> Option<Account> {
    let remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    let (when, account) = remembered.get(name)?;
    (when.elapsed() < FRESH).then_some(*account)
}

fn remember(remembered: &Mutex<Remembered>, name: &str, account: Account) {
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
    remembered.insert(name.to_owned(), (Instant::now(), account));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(directory: &Directory, names: &[&str]) -> Vec<Account> {
        let mut answers = Vec::new();
        for name in names {
            answers.push(directory.find(name).await);
        }
        answers
    }

    #[tokio::test]
    async fn under_a_root_the_table_is_the_truth() {
        let users = Users::read("users", "alice:x\n".as_bytes()).unwrap().table;
        let answers = ask(&Directory::Table(users), &["alice", "root", "Alice"]).await;
        assert_eq!(answers, [Account::Exists, Account::Unknown, Account::Unknown]);
    }

    #[tokio::test]
    async fn accounts_of_the_system_have_mailboxes_from_a_uid_on() {
        let names = ["root", "daemon", "no such user", "a/b", "root"];
        let (yes, no) = (Account::Exists, Account::Unknown);
        assert_eq!(ask(&Directory::system(1000), &names).await, [yes, no, no, no, yes]);
        assert_eq!(ask(&Directory::system(1), &names).await, [yes, yes, no, no, yes]);
    }

    #[tokio::test]
    async fn an_answer_is_remembered_and_the_memory_is_bounded() {
        let remembered = Mutex::default();
        for number in 0..MAX_REMEMBERED {
            remember(&remembered, &number.to_string(), Account::Unknown);
        }
        assert_eq!(recall(&remembered, "0"), Some(Account::Unknown));
        remember(&remembered, "alice", Account::Exists);
        assert_eq!(recall(&remembered, "0"), None);
        assert_eq!(recall(&remembered, "alice"), Some(Account::Exists));
    }

    #[tokio::test]
    async fn without_an_answer_nobody_is_called_unknown() {
        let directory = Directory::system(1000);
        let Directory::System(system) = &directory else { unreachable!() };
        system.lookups.close();
        assert_eq!(ask(&directory, &["root", "x"]).await, [Account::Unavailable; 2]);
    }
}
