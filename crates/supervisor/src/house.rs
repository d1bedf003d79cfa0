//! All daemons together: started, watched, drained.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::Config;
use ipc::admin::SystemStatus;
use ipc::{Arrow, Client, Incoming};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::edges::Edges;
use crate::ground::Accounts;
use crate::keeper::{GENERATION, Gifts, Keeper, MAX_EDGES, Phase, State, now};
use crate::listeners::Listeners;
use crate::plan::{HOUSE, LAST_DRAINED};
use crate::trouble::{self, Trouble};

/// How long daemons may take to finish what is under way; then the queue keeps it for next time.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long a closed daemon may take, its keeper's patience included.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// The daemons, each with its keeper.
#[derive(Debug)]
pub(crate) struct House {
    rooms: Vec<Held>,
    /// All but the processes.
    about: SystemStatus,
}

#[derive(Debug)]
struct Held {
    drained: u8,
    phase: watch::Sender<Phase>,
    state: watch::Receiver<State>,
}

impl House {
    /// Starts every daemon of the plan. Returns the supervisor's own ends of the arrows, too.
    pub(crate) fn start(
        config: &Arc<Config>,
        accounts: &Accounts,
        listeners: Listeners,
        programs: &Path,
    ) -> Result<(Self, Client, Incoming), Trouble> {
        let configuration = postcard::to_allocvec(&**config)
            .map_err(|error| Trouble(trouble::CONFIG, format!("configuration: {error}")))?;
        let (to_qmgr, renewal) = Client::new(Arrow::SupervisorToQmgr);
        let (from_local, door) = Incoming::new();
        let mut edges = Edges { owners: HashMap::new(), to_qmgr: renewal, from_local: door };
        let rooms = HOUSE.each_ref().map(|plan| {
            let (sender, fresh) = mpsc::channel(MAX_EDGES);
            edges.owners.extend(plan.ends().map(|end| (end, sender.clone())));
            (plan, fresh)
        });
        let about = SystemStatus {
            hostname: config.hostname.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: GENERATION,
            started: now(),
            processes: Vec::new(),
            listeners: listeners.describe(),
        };
        let mut house = Self { rooms: Vec::new(), about };
        let config = Arc::clone(config);
        let gifts = Arc::new(Gifts { configuration, config, listeners, edges });
        for (plan, fresh) in rooms {
            let (phase, wanted) = watch::channel(Phase::Run);
            let (state, watched) = watch::channel(State::new(plan.name));
            let keeper = Keeper {
                plan,
                program: programs.join(plan.command.0),
                identity: accounts.get(plan.account),
                gifts: Arc::clone(&gifts),
                edges: fresh,
                phase: wanted,
                state,
            };
            tokio::spawn(keeper.keep());
            house.rooms.push(Held { drained: plan.drained, phase, state: watched });
        }
        Ok((house, to_qmgr, from_local))
    }

    /// Returns once every daemon works.
    pub(crate) async fn ready(&self) {
        for held in &self.rooms {
            // Fails only if the keeper is gone, and then it is not ready either.
            if held.state.clone().wait_for(|state| state.ready).await.is_err() {
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
            let _ = timeout_at(deadline, held.state.clone().wait_for(|_| false)).await;
        }
    }

    pub(crate) fn status(&self) -> SystemStatus {
        let processes = self.rooms.iter().map(|held| held.state.borrow().process.clone());
        SystemStatus { processes: processes.collect(), ..self.about.clone() }
    }
}

#[cfg(test)]
mod tests;
