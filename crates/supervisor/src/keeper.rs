//! Keeps one daemon alive: starts it again when it dies, takes it from one generation to the next,
//! and lets those end that were replaced.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ipc::admin;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::generation::Generation;
use crate::process::{Process, Recipe, Standing, State, Word, now};

/// A daemon that lived longer is restarted at once.
const SHORT_LIFE: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// How long what a replaced process has under way may go on; then it is drained.
const RETIREMENT: Duration = Duration::from_secs(10 * 60);
/// Replaced processes of one kind; beyond it the oldest are drained.
const MAX_RETIRED: usize = 8;
/// How long a replaced process may take to drain.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// What is wanted of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Run,
    Drain,
    /// End, drained or not.
    Close,
}

/// A step from one generation to the next. What was prepared is then done or undone.
#[derive(Debug)]
pub(crate) enum Step {
    Prepare(Arc<Generation>, oneshot::Sender<Result<(), String>>),
    Do,
    Undo,
}

/// What a keeper tells; it is silent once its processes are gone for good.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) ready: bool,
    /// The retired ones last.
    pub(crate) processes: Vec<admin::Process>,
}

/// The keeper of one daemon.
#[derive(Debug)]
pub(crate) struct Keeper {
    recipe: Arc<Recipe>,
    /// In force.
    generation: Arc<Generation>,
    /// Prepared, and the process that was started for it.
    next: Option<(Arc<Generation>, Option<Process>)>,
    process: Option<Process>,
    retired: VecDeque<Retired>,
    retiring: JoinSet<()>,
    steps: mpsc::Receiver<Step>,
    phase: watch::Receiver<Phase>,
    view: watch::Sender<View>,
    restarts: u32,
    /// When the process began, or ended.
    began: Instant,
    delay: Duration,
}

/// A replaced process; dropped, its time is over.
#[derive(Debug)]
struct Retired {
    state: watch::Receiver<State>,
    _patience: oneshot::Sender<()>,
}

impl Keeper {
    pub(crate) fn new(
        recipe: Recipe,
        generation: Arc<Generation>,
        steps: mpsc::Receiver<Step>,
        phase: watch::Receiver<Phase>,
        view: watch::Sender<View>,
    ) -> Self {
        Self {
            recipe: Arc::new(recipe),
            generation,
            next: None,
            process: None,
            retired: VecDeque::new(),
            retiring: JoinSet::new(),
            steps,
            phase,
            view,
            restarts: 0,
            began: Instant::now(),
            delay: Duration::ZERO,
        }
    }

    /// Until all processes were drained or closed.
    pub(crate) async fn keep(mut self) {
        self.start(Arc::clone(&self.generation));
        while *self.phase.borrow() == Phase::Run {
            self.show();
            let again = self.began + self.delay;
            tokio::select! {
                _ = self.phase.changed() => {}
                lives = follow(&mut self.process) => if !lives { self.mourn() },
                () = sleep_until(again), if self.process.is_none() => {
                    self.start(Arc::clone(&self.generation));
                }
                Some(step) = self.steps.recv() => self.step(step).await,
                Some(_) = self.retiring.join_next() => {}
            }
        }
        // A successor that did not come into its own has nothing to finish.
        self.next = None;
        if let Some(process) = self.process.take() {
            drain(process, self.phase.clone(), std::future::pending()).await;
        }
        while self.retiring.join_next().await.is_some() {}
    }

    fn start(&mut self, generation: Arc<Generation>) {
        self.process = Some(Process::start(&self.recipe, generation, Standing::First));
        self.began = Instant::now();
    }

    /// The process has ended.
    fn mourn(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.delay = next_delay(self.delay, self.began.elapsed());
        self.began = Instant::now();
        self.restarts += 1;
        let (name, end) = (self.recipe.plan.name, &process.state.borrow().end);
        tracing::error!("{name} ended ({end}), restarts after {:.1?}", self.delay);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Prepare(generation, answer) => {
                let mut phase = self.phase.clone();
                let prepared = tokio::select! {
                    prepared = self.prepare(&generation) => prepared,
                    _ = phase.wait_for(|phase| *phase != Phase::Run) => Err("ends".to_owned()),
                };
                let prepared = prepared.map(|successor| self.next = Some((generation, successor)));
                let name = self.recipe.plan.name;
                // Whoever asked for it waits.
                let _ = answer.send(prepared.map_err(|why| format!("{name}: {why}")));
            }
            Step::Do => {
                let Some((generation, successor)) = self.next.take() else { return };
                self.generation = generation;
                if let Some(successor) = successor {
                    self.replace(successor);
                }
            }
            Step::Undo => self.undo().await,
        }
    }

    /// Goes as far as it can be undone. Returns the process that is to take the place of ours.
    async fn prepare(&mut self, next: &Arc<Generation>) -> Result<Option<Process>, String> {
        if self.recipe.plan.lasts {
            return self.offer(next).await.map(|()| None);
        }
        if self.generation.config() == next.config() {
            // Such a process has no tables.
            return Ok(None);
        }
        let mut successor = Process::start(&self.recipe, Arc::clone(next), Standing::Successor);
        successor.ready().await?;
        Ok(Some(successor))
    }

    /// Of what lasts there is one process at a time: it changes over to the generation. If it
    /// dies of that, or is dead, the next one begins with it.
    async fn offer(&mut self, generation: &Arc<Generation>) -> Result<(), String> {
        if let Some(process) = &self.process
            && let Some(answer) = process.offer(generation).await
        {
            return answer;
        }
        self.mourn();
        self.start(Arc::clone(generation));
        match &mut self.process {
            Some(process) => process.ready().await,
            None => Ok(()),
        }
    }

    /// Goes back to the generation in force.
    async fn undo(&mut self) {
        let next = self.next.take();
        if self.recipe.plan.lasts {
            let generation = Arc::clone(&self.generation);
            let back = match &self.process {
                Some(process) => process.offer(&generation).await,
                None => None,
            };
            // It has the generation in force when it begins anew.
            if back != Some(Ok(()))
                && let Some(process) = self.process.take()
            {
                process.close().await;
            }
        }
        // It may have clients already.
        if let Some((_, Some(successor))) = next {
            self.retire(successor);
        }
    }

    /// The successor is asked from now on.
    fn replace(&mut self, successor: Process) {
        if let Err(error) = successor.introduce(&self.recipe) {
            tracing::error!("{}: {error}", self.recipe.plan.name);
        }
        self.began = Instant::now();
        if let Some(process) = self.process.replace(successor) {
            self.retire(process);
        }
    }

    /// Lets a process end when what it has under way has ended.
    fn retire(&mut self, process: Process) {
        let (patience, over) = oneshot::channel();
        process.tell(Word::Retire);
        self.retired.push_back(Retired { state: process.state.clone(), _patience: patience });
        if self.retired.len() > MAX_RETIRED {
            self.retired.pop_front();
        }
        let patience = async {
            tokio::select! {
                _ = over => {}
                () = sleep(RETIREMENT) => {}
            }
        };
        self.retiring.spawn(drain(process, self.phase.clone(), patience));
    }

    /// Tells what there is.
    fn show(&mut self) {
        self.retired.retain(|retired| retired.state.has_changed().is_ok());
        let state = self.process.as_ref().map(|process| process.state.borrow().clone());
        let ready = state.as_ref().is_some_and(|state| state.ready);
        let state = state.unwrap_or_else(|| State { since: now(), ..State::default() });
        let retired = self.retired.iter().map(|retired| (true, retired.state.borrow().clone()));
        let all = std::iter::once((false, state)).chain(retired);
        let processes = all.map(|(retired, state)| admin::Process {
            name: self.recipe.plan.name.to_owned(),
            pid: state.pid,
            since: state.since,
            restarts: self.restarts,
            retired,
            identity: self.recipe.identity.map(|it| (it.uid, it.gid)),
            confinement: state.confinement,
        });
        self.view.send_replace(View { ready, processes: processes.collect() });
    }
}

/// Returns at the next change of a process, and whether it lives; of none there is never one.
async fn follow(process: &mut Option<Process>) -> bool {
    match process {
        Some(process) => process.state.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Waits until a process is gone: it is drained when `patience` or the house ends, and closed when
/// that does not help, or when the house closes.
async fn drain(
    mut process: Process,
    phase: watch::Receiver<Phase>,
    patience: impl Future<Output = ()>,
) {
    tokio::select! {
        () = process.gone() => return,
        () = patience => {}
        () = reached(&phase, |phase| phase != Phase::Run) => {}
    }
    process.tell(Word::Drain);
    let late = async {
        // The house, when it drains, has a time for all of them.
        reached(&phase, |phase| phase == Phase::Run).await;
        sleep(DRAIN_TIME).await;
    };
    tokio::select! {
        () = process.gone() => return,
        () = late => {}
        () = reached(&phase, |phase| phase == Phase::Close) => {}
    }
    process.close().await;
}

async fn reached(phase: &watch::Receiver<Phase>, wanted: impl Fn(Phase) -> bool) {
    // Without the house there is nothing to wait for.
    let _ = phase.clone().wait_for(|phase| wanted(*phase)).await;
}

/// Nothing after a long life; else twice what it was.
fn next_delay(delay: Duration, lived: Duration) -> Duration {
    if lived >= SHORT_LIFE {
        return Duration::ZERO;
    }
    (delay * 2).clamp(FIRST_DELAY, MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_lives_delay_the_next() {
        let short = Duration::from_secs(1);
        let mut delay = Duration::ZERO;
        let mut delays = Vec::new();
        for _ in 0..10 {
            delay = next_delay(delay, short);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(next_delay(delay, SHORT_LIFE), Duration::ZERO);
    }
}
