//! Keeps one daemon alive: starts it again when it dies, takes it from one generation to the next,
//! and lets those end that were replaced.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::generation::Generation;
use crate::process::{Process, Recipe, Standing, State, Word};

/// A daemon that lived longer is restarted at once.
const SHORT_LIFE: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Replaced processes of one kind that finish what they have; one more, and the oldest drains.
const MAX_RETIRED: usize = 8;

/// What is wanted of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Run,
    Drain,
    /// End, drained or not.
    Close,
}

/// A step from one generation to the next. What was prepared is then done or undone.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Prepare(Arc<Generation>),
    Do,
    Undo,
}

/// A step, and who waits for it.
pub(crate) type Asked = (Step, oneshot::Sender<Result<(), String>>);

/// What a keeper tells: the state of its processes, the retired ones last. It is silent once they
/// are gone for good.
pub(crate) type View = Vec<watch::Receiver<State>>;

/// The keeper of one daemon.
#[derive(Debug)]
pub(crate) struct Keeper {
    recipe: Arc<Recipe>,
    /// In force.
    generation: Arc<Generation>,
    /// Prepared, and the process that was started for it.
    next: Option<(Arc<Generation>, Option<Process>)>,
    process: Process,
    /// When the process began, or when the next begins if it is dead.
    began: Instant,
    dead: bool,
    restarts: u32,
    delay: Duration,
    retired: Vec<Process>,
}

impl Keeper {
    pub(crate) fn new(recipe: Recipe, generation: Arc<Generation>) -> Self {
        let recipe = Arc::new(recipe);
        Self {
            process: Process::start(&recipe, Arc::clone(&generation), Standing::First, 0),
            recipe,
            generation,
            next: None,
            began: Instant::now(),
            dead: false,
            restarts: 0,
            delay: Duration::ZERO,
            retired: Vec::new(),
        }
    }

    /// Until all processes were drained or closed.
    pub(crate) async fn keep(
        mut self,
        mut steps: mpsc::Receiver<Asked>,
        mut phase: watch::Receiver<Phase>,
        view: watch::Sender<View>,
    ) {
        while *phase.borrow() == Phase::Run {
            view.send_replace(self.view());
            tokio::select! {
                _ = phase.changed() => {}
                changed = self.process.state.changed(), if !self.dead => {
                    if changed.is_err() {
                        self.mourn();
                    }
                }
                () = sleep_until(self.began), if self.dead => self.start(),
                Some((step, asker)) = steps.recv() => {
                    let done = self.step(step, phase.clone()).await;
                    view.send_replace(self.view());
                    // Whoever asked for it waits.
                    let _ = asker.send(done);
                }
            }
        }
        // Whoever waits for a step learns that there will be none.
        drop(steps);
        self.end(phase).await;
    }

    fn view(&mut self) -> View {
        self.retired.retain(|process| process.state.has_changed().is_ok());
        let all = std::iter::once(&self.process).chain(&self.retired);
        all.map(|process| process.state.clone()).collect()
    }

    /// Starts the next process. Who took an offer and died begins with what was offered.
    fn start(&mut self) {
        let offered = self.next.as_ref().filter(|_| self.recipe.plan.lasts);
        let generation = Arc::clone(offered.map_or(&self.generation, |(generation, _)| generation));
        self.process = Process::start(&self.recipe, generation, Standing::First, self.restarts);
        (self.began, self.dead) = (Instant::now(), false);
    }

    /// The process has ended.
    fn mourn(&mut self) {
        self.delay = next_delay(self.delay, self.began.elapsed());
        (self.began, self.dead) = (Instant::now() + self.delay, true);
        self.restarts += 1;
        let (name, end) = (self.recipe.plan.name, &self.process.state.borrow().end);
        tracing::error!("{name} ended ({end}), restarts after {:.1?}", self.delay);
    }

    async fn step(&mut self, step: Step, mut phase: watch::Receiver<Phase>) -> Result<(), String> {
        match step {
            Step::Prepare(generation) => {
                let prepared = tokio::select! {
                    prepared = self.prepare(&generation) => prepared,
                    _ = phase.wait_for(|phase| *phase != Phase::Run) => Err("ends".to_owned()),
                };
                let named = |why| format!("{}: {why}", self.recipe.plan.name);
                self.next = Some((generation, prepared.map_err(named)?));
            }
            Step::Do => {
                let Some((generation, successor)) = self.next.take() else { return Ok(()) };
                self.generation = generation;
                successor.into_iter().for_each(|successor| self.replace(successor));
            }
            Step::Undo => self.undo().await,
        }
        Ok(())
    }

    /// Goes as far as it can be undone. Returns the process that is to take the place of ours.
    async fn prepare(&mut self, next: &Arc<Generation>) -> Result<Option<Process>, String> {
        if self.recipe.plan.lasts {
            return self.offer(next).await.map(|()| None);
        }
        if next.snapshot.is_same_for(self.recipe.plan.tables, &self.generation.snapshot) {
            return Ok(None);
        }
        let (next, restarts) = (Arc::clone(next), self.restarts);
        let mut successor = Process::start(&self.recipe, next, Standing::Successor, restarts);
        successor.ready().await?;
        Ok(Some(successor))
    }

    /// Of what lasts there is one process at a time: it changes over to the generation. If it
    /// dies of that, or is dead, the next one begins with it.
    async fn offer(&mut self, generation: &Arc<Generation>) -> Result<(), String> {
        if let Some(answer) = self.process.offer(generation).await {
            return answer;
        }
        if !self.dead {
            self.mourn();
        }
        self.next = Some((Arc::clone(generation), None));
        self.start();
        self.process.ready().await
    }

    /// Goes back to the generation in force.
    async fn undo(&mut self) {
        if let Some((_, Some(successor))) = self.next.take() {
            // It may have clients already.
            self.retire(successor);
        }
        let lasts = self.recipe.plan.lasts;
        if lasts && self.process.offer(&self.generation).await != Some(Ok(())) {
            // The one after it begins with that.
            self.process.tell(Word::Close);
        }
    }

    /// The successor is asked from now on.
    fn replace(&mut self, successor: Process) {
        if let Err(error) = successor.introduce(&self.recipe) {
            tracing::error!("{}: {error}", self.recipe.plan.name);
        }
        let process = std::mem::replace(&mut self.process, successor);
        (self.began, self.dead) = (Instant::now(), false);
        self.retire(process);
    }

    /// Lets a process end when what it has under way has ended.
    fn retire(&mut self, process: Process) {
        process.tell(Word::Retire);
        self.retired.push(process);
        if let Some(oldest) = self.retired.iter().rev().nth(MAX_RETIRED) {
            oldest.tell(Word::Drain);
        }
    }

    /// Drains all processes, and closes those that are left when the house closes.
    async fn end(mut self, mut phase: watch::Receiver<Phase>) {
        let mut all = std::mem::take(&mut self.retired);
        all.extend(
            self.next.and_then(|(_, successor)| successor).into_iter().chain([self.process]),
        );
        all.iter().for_each(|process| process.tell(Word::Drain));
        tokio::select! {
            () = gone(&mut all) => return,
            // Without a house nobody waits.
            _ = phase.wait_for(|phase| *phase == Phase::Close) => {}
        }
        all.iter().for_each(|process| process.tell(Word::Close));
        gone(&mut all).await;
    }
}

async fn gone(processes: &mut [Process]) {
    for process in processes {
        process.gone().await;
    }
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
