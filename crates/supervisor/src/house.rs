//! All daemons together: started, watched, drained.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ground::Accounts;
use ipc::admin::{Process, SystemStatus};
use ipc::{Arrow, Client, Incoming};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::edges::Edges;
use crate::generation::Generation;

use crate::keeper::{Asked, Keeper, Phase, Step, View};
use crate::plan::{HOUSE, LAST_DRAINED};
use crate::process::{DRAIN_TIME, Recipe, now};

/// How long a closed daemon may take, its keeper's patience included.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// One after the other is waited for.
const MAX_STEPS: usize = 1;

/// The daemons, each with its keeper.
#[derive(Debug)]
pub(crate) struct House {
    rooms: Vec<Held>,
    in_force: watch::Sender<Arc<Generation>>,
    /// Why what is on disk is not in force.
    refused: Mutex<Option<String>>,
    started: i64,
}

#[derive(Debug)]
struct Held {
    drained: u8,
    steps: mpsc::Sender<Asked>,
    phase: watch::Sender<Phase>,
    view: watch::Receiver<View>,
}

impl House {
    /// Starts every daemon of the plan. Returns the supervisor's own ends of the arrows, too.
    pub(crate) fn start(
        generation: Generation,
        accounts: &Accounts,
        programs: &Path,
    ) -> (Self, Client, Incoming) {
        let (to_qmgr, renewal) = Client::new(Arrow::SupervisorToQmgr);
        let (from_local, door) = Incoming::new();
        let edges = Arc::new(Edges::new(renewal, door));
        let generation = Arc::new(generation);
        let rooms = HOUSE.each_ref().map(|plan| {
            let (steps, taken) = mpsc::channel(MAX_STEPS);
            let (phase, wanted) = watch::channel(Phase::Run);
            let (view, shown) = watch::channel(View::new());
            let recipe = Recipe {
                plan,
                program: programs.join(plan.command.0),
                identity: accounts.get(plan.account),
                edges: Arc::clone(&edges),
            };
            let keeper = Keeper::new(recipe, Arc::clone(&generation));
            tokio::spawn(keeper.keep(taken, wanted, view));
            Held { drained: plan.drained, steps, phase, view: shown }
        });
        let in_force = watch::Sender::new(generation);
        let house =
            Self { rooms: rooms.into(), in_force, refused: Mutex::default(), started: now() };
        (house, to_qmgr, from_local)
    }

    /// The generation that is in force.
    pub(crate) fn in_force(&self) -> Arc<Generation> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Brings another generation into force: every daemon gets ready for it, and only when all are
    /// ready the old one ends.
    ///
    /// # Errors
    /// The first daemon that is not, and why. Nothing has changed.
    pub(crate) async fn change(&self, generation: Generation) -> Result<(), String> {
        let generation = Arc::new(generation);
        let prepared = self.step(&Step::Prepare(Arc::clone(&generation))).await;
        if prepared.is_ok() {
            self.step(&Step::Do).await?;
            self.in_force.send_replace(generation);
        } else {
            // Why that fails, if it does, is not the question.
            let _ = self.step(&Step::Undo).await;
        }
        prepared
    }

    /// Has every keeper take the step, and waits for all.
    async fn step(&self, step: &Step) -> Result<(), String> {
        let mut answers = Vec::new();
        for held in &self.rooms {
            let (asker, answer) = oneshot::channel();
            // A keeper that is gone lets the asker go, too.
            let _ = held.steps.send((step.clone(), asker)).await;
            answers.push(answer);
        }
        let mut all = Ok(());
        for answer in answers {
            let done = answer.await.unwrap_or_else(|_| Err("the mail system ends".to_owned()));
            all = all.and(done);
        }
        all
    }

    /// Remembers what became of the files on disk, for the status.
    pub(crate) fn note(&self, refused: Option<String>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    /// Returns once every daemon works.
    pub(crate) async fn ready(&self) {
        for held in &self.rooms {
            // Fails only if the keeper is gone, and then it is not ready either.
            if held.view.clone().wait_for(is_ready).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Drains in the order of the plan, then closes what is left. `hurry`: do not wait any longer.
    pub(crate) async fn drain(&self, hurry: impl Future<Output = ()>) {
        let drained = async {
            let deadline = Instant::now() + DRAIN_TIME;
            for stage in 0..=LAST_DRAINED {
                self.enter(Phase::Drain, stage..=stage, deadline).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = hurry => {}
        }
        self.enter(Phase::Close, 0..=LAST_DRAINED, Instant::now() + CLOSE_TIME).await;
    }

    /// Tells these what is wanted, and waits until they are gone.
    async fn enter(&self, phase: Phase, stages: RangeInclusive<u8>, deadline: Instant) {
        let concerned = || self.rooms.iter().filter(|held| stages.contains(&held.drained));
        for held in concerned() {
            held.phase.send_replace(phase);
        }
        for held in concerned() {
            // A keeper that is silent has none to keep.
            let _ = timeout_at(deadline, held.view.clone().wait_for(|_| false)).await;
        }
    }

    pub(crate) fn status(&self) -> SystemStatus {
        let generation = self.in_force();
        SystemStatus {
            hostname: generation.config().hostname.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: generation.number,
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            started: self.started,
            processes: self.rooms.iter().flat_map(|held| processes(&held.view.borrow())).collect(),
            listeners: generation.listeners.describe(),
        }
    }
}

fn is_ready(view: &View) -> bool {
    view.first().is_some_and(|state| state.borrow().ready)
}

/// Without those that were retired and are gone.
fn processes(view: &View) -> Vec<Process> {
    let processes = view.iter().map(|state| state.borrow().process.clone());
    processes.filter(|process| !process.retired || process.pid.is_some()).collect()
}

#[cfg(test)]
mod tests;
