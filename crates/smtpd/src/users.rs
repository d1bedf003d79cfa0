//! Names of this machine's users. `policyd` knows them: this process asks no name service.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipc::Client;
use ipc::policy::{Name, Question};
use tokio::sync::Semaphore;

/// Names that are remembered; one more, and it begins anew.
const MAX_KNOWN: usize = 1024;
/// Names that are asked for at a time; beyond that, users go by their uid.
const MAX_ASKED: usize = 16;
/// How long an answer may take.
const TIME: Duration = Duration::from_secs(10);

/// Remembers the names it was told.
#[derive(Debug)]
pub(crate) struct Users {
    known: Mutex<HashMap<u32, String>>,
    asked: Semaphore,
}

impl Users {
    /// The name of a user, or the uid in digits.
    pub(crate) async fn name(&self, policyd: &Client, uid: u32) -> String {
        if let Some(name) = self.known().get(&uid) {
            return name.clone();
        }
        let Some(name) = self.ask(policyd, uid).await else {
            return uid.to_string();
        };
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.entry(uid).or_insert(name).clone()
    }

    async fn ask(&self, policyd: &Client, uid: u32) -> Option<String> {
        let _turn = self.asked.try_acquire().ok()?;
        match policyd.call::<_, Name>(&Question::Name { uid }, b"", None, TIME).await {
            Ok(frame) => frame.head.0,
            Err(error) => {
                tracing::warn!("policyd cannot be asked who has uid {uid}: {error}");
                None
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u32, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Users {
    fn default() -> Self {
        Self { known: Mutex::default(), asked: Semaphore::new(MAX_ASKED) }
    }
}
