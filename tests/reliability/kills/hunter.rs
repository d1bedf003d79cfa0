//! Kills one process after the other.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, System};

use super::load::Load;

const SUPERVISOR: &str = "supervisor";
const DELIVER: &str = "deliver";
/// Each of them is killed equally often, in random order.
const VICTIMS: [&str; 8] =
    [SUPERVISOR, "policyd", "remote", "local", "qmgr", "smtpd mx", "smtpd submission", DELIVER];
/// A daemon that lived for 10 s is restarted at once, and a younger one later and later.
const MATURE: Duration = Duration::from_secs(11);
/// One kill in so many is followed by another of the same daemon, as soon as it is there again.
const AGAIN: u8 = 4;
/// Messages that come and go between two kills: the system works again.
const PROGRESS: usize = 20;

/// A process was killed.
#[derive(Debug)]
pub struct Kill {
    pub victim: &'static str,
    pub at: SystemTime,
    /// When whatever was to die was dead: a supervisor takes its daemons along.
    pub over: SystemTime,
    /// Messages in the queue, at least.
    pub queued: usize,
}

#[derive(Default)]
pub struct Hunter {
    /// Of this round.
    left: Vec<&'static str>,
    /// To be killed again while it starts.
    again: Option<&'static str>,
    /// The last victim's process, which may be visible for a moment longer.
    dead: Option<Pid>,
    born: HashMap<Pid, Instant>,
    /// Acknowledged and arrived at the last kill.
    before: [usize; 2],
}

impl Hunter {
    /// Kills the next one, once `queued` messages wait.
    pub fn kill_one(&mut self, system: &mut System, load: &Load, queued: usize) -> Kill {
        let again = self.again.take();
        let victim = again.unwrap_or_else(|| self.next());
        let end = Instant::now() + PATIENCE;
        let pid = loop {
            let ready = load.queued() >= queued && (again.is_some() || self.progress(load));
            let pid = self.find(system, victim, again.is_some());
            if let (Some(pid), true) = (pid, ready) {
                break pid;
            }
            let state = (load.queued(), system.daemons());
            assert!(Instant::now() < end, "{victim}: {state:#?} {:#?}", system.log());
            sleep(Duration::from_millis(5));
        };
        let (queued, at) = (load.queued(), SystemTime::now());
        if victim == SUPERVISOR {
            load.set_down(true);
            system.kill();
        } else {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        let over = SystemTime::now();
        if victim == SUPERVISOR {
            system.start();
            load.set_down(false);
        }
        self.dead = Some(pid);
        self.before = [load.acknowledged().len(), load.arrived()];
        let can_again = again.is_none() && victim != DELIVER && fastrand::u8(..AGAIN) == 0;
        self.again = can_again.then_some(victim);
        Kill { victim, at, over, queued }
    }

    fn next(&mut self) -> &'static str {
        if self.left.is_empty() {
            self.left = VICTIMS.to_vec();
            fastrand::shuffle(&mut self.left);
        }
        self.left.pop().expect("invariant: a round is not empty")
    }

    fn progress(&self, load: &Load) -> bool {
        let now = [load.acknowledged().len(), load.arrived()];
        now.iter().zip(&self.before).all(|(now, before)| now - before >= PROGRESS)
    }

    /// The process of this name, if it is old enough; `again`: of any age.
    fn find(&mut self, system: &System, victim: &str, again: bool) -> Option<Pid> {
        let now = Instant::now();
        let daemons = system.daemons();
        for (_, pid) in &daemons {
            self.born.entry(*pid).or_insert(now);
        }
        self.born.retain(|pid, _| daemons.iter().any(|(_, other)| other == pid));
        if victim == SUPERVISOR {
            return Some(Pid::from_raw(i32::try_from(system.pid()).unwrap()));
        }
        let mut of_name = daemons.iter().filter(|(name, _)| name == victim);
        let old = |pid: &Pid| victim == DELIVER || now - self.born[pid] > MATURE;
        of_name.find(|(_, pid)| Some(*pid) != self.dead && (again || old(pid))).map(|(_, pid)| *pid)
    }
}
