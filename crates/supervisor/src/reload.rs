//! From one generation to the next: when the files change, on SIGHUP, and when somebody asks.
//!
//! **Invariant:** a generation is checked whole before any daemon hears of it, and comes into force
//! everywhere or nowhere.

use std::sync::Arc;

use config::Watch;
use daemon::Changes;
use ground::{Arguments, systemd};
use ipc::admin::{Answer, Reloaded};
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};

use crate::generation::Generation;
use crate::house::House;

/// Who waits for a reload is told what changed, or why nothing did.
pub(crate) type Asker = oneshot::Sender<Answer>;

/// Bytes of a refusal that are told.
const MAX_WHY: usize = 32 << 10;

/// What reloads.
#[derive(Debug)]
pub(crate) struct Reloader {
    arguments: Arc<Arguments>,
    house: Arc<House>,
    askers: mpsc::Receiver<Asker>,
    hang_up: Signal,
}

impl Reloader {
    pub(crate) fn new(
        arguments: Arguments,
        house: Arc<House>,
        askers: mpsc::Receiver<Asker>,
        hang_up: Signal,
    ) -> Self {
        Self { arguments: Arc::new(arguments), house, askers, hang_up }
    }

    /// For as long as the supervisor lives. Whoever asks while a reload is under way gets the
    /// answer of the next, which reads the files anew.
    pub(crate) async fn run(mut self) {
        self.house.ready().await;
        let mut askers = Vec::new();
        loop {
            // Watched first, read then: what changes after the reading is seen.
            let paths = self.house.in_force().config().paths.clone();
            let watch = self.watch();
            while let Ok(asker) = self.askers.try_recv() {
                askers.push(asker);
            }
            systemd::reloading();
            let answer = self.reload().await;
            systemd::ready(&self.house.status().summary());
            for asker in askers.drain(..) {
                // Who does not wait any longer reads the log.
                let _ = asker.send(answer.clone());
            }
            if self.house.in_force().config().paths != paths {
                // The tables are elsewhere now.
                continue;
            }
            tokio::select! {
                Some(asker) = self.askers.recv() => askers.push(asker),
                _ = self.hang_up.recv() => {}
                () = changed(watch) => {}
            }
        }
    }

    fn watch(&self) -> Option<Changes> {
        let watch = Watch::new(self.house.in_force().config()).and_then(Changes::new);
        let complain =
            |error: &_| tracing::warn!("changed files take effect on SIGHUP only: {error}");
        watch.inspect_err(complain).ok()
    }

    async fn reload(&self) -> Answer {
        let Err(mut why) = self.change().await else {
            self.house.note(None);
            return Answer::Reloaded(self.house.in_force().report());
        };
        why.truncate(why.floor_char_boundary(MAX_WHY));
        tracing::error!("nothing changes, the files are not as they should be");
        why.lines().for_each(|line| tracing::error!("{line}"));
        self.house.note(Some(why.clone()));
        Answer::NotReloaded(why)
    }

    async fn change(&self) -> Result<(), String> {
        let (arguments, before) = (Arc::clone(&self.arguments), self.house.in_force());
        let read = tokio::task::spawn_blocking(move || next(&arguments, &before)).await;
        let Some(next) = read.map_err(|error| error.to_string())?? else { return Ok(()) };
        let Reloaded { generation, changes, .. } = next.report();
        next.snapshot.findings.iter().for_each(|finding| tracing::warn!("{finding}"));
        self.house.change(next).await?;
        tracing::info!("configuration {generation} is in force: {} changed", changes.join(", "));
        Ok(())
    }
}

/// Reads the next generation, and binds what is new in it; `None`: it would be the same.
fn next(arguments: &Arguments, before: &Generation) -> Result<Option<Generation>, String> {
    let snapshot = arguments.settled()?;
    let changes = snapshot.changes(&before.snapshot);
    if changes.is_empty() {
        return Ok(None);
    }
    if snapshot.config.log != before.config().log {
        return Err("[log]: this needs a restart".to_owned());
    }
    let listeners = before.listeners.next(&snapshot.config);
    let next = listeners
        .and_then(|listeners| Generation::new(before.number + 1, snapshot, listeners, changes));
    next.map(Some).map_err(|trouble| trouble.1)
}

/// Returns once a file was changed, or never.
async fn changed(changes: Option<Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}
