//! The whole house with stand-ins for the daemons (`examples/stand_in.rs`).

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use config::Snapshot;
use daemon::Identity;
use ipc::Connection;
use ipc::admin::{Answer, Command, Hello, Welcome};
use ipc::run_as::{RunAs, Started, Who};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::control::Control;
use crate::run_as::Runner;
use ground::{Listeners, bind_unix};

const TIME: Duration = Duration::from_secs(60);

/// A house under a temporary root.
struct Rooted {
    root: TempDir,
    house: Arc<House>,
    address: SocketAddr,
    to_qmgr: Client,
    from_local: Option<Incoming>,
}

impl Rooted {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let test = std::env::current_exe().unwrap();
        let stand_in = test.ancestors().nth(2).unwrap().join("examples/stand_in");
        assert!(stand_in.is_file(), "cargo test builds it with the tests");
        for name in HOUSE.iter().map(|plan| plan.command.0).chain(["deliver"]) {
            // `smtpd` is there twice.
            let _ = symlink(&stand_in, root.path().join(name));
        }
        let any = "127.0.0.1:0".parse().unwrap();
        let snapshot = snapshot(root.path(), any, 50);
        let listeners = Listeners::bind(&snapshot.config, &mut Vec::new()).unwrap();
        let address = listeners.tcp[0].1;
        let accounts = Accounts::look_up(&snapshot.config, []).unwrap();
        let generation = Generation::new(1, snapshot, listeners, Vec::new()).unwrap();
        let (house, to_qmgr, from_local) = House::start(generation, &accounts, root.path());
        let house = Arc::new(house);
        tokio::time::timeout(TIME, house.ready()).await.unwrap();
        Self { root, house, address, to_qmgr, from_local: Some(from_local) }
    }

    fn pid(&self, name: &str) -> u32 {
        let processes = self.house.status().processes;
        processes.iter().find(|process| process.name == name).unwrap().pid.unwrap()
    }

    /// What a network client is told: the pid of `qmgr`, as `smtpd` got it over its edge.
    async fn ask(&self) -> u32 {
        let asking = async {
            let mut client = TcpStream::connect(self.address).await.unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            text.parse().unwrap()
        };
        tokio::time::timeout(TIME, asking).await.unwrap()
    }

    /// Kills a daemon, and waits until its successor is ready.
    async fn kill(&self, name: &str) {
        let pid = self.pid(name);
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        let at = HOUSE.iter().position(|plan| plan.name == name).unwrap();
        let mut view = self.house.rooms[at].view.clone();
        let is_new = |view: &View| is_ready(view) && view[0].borrow().process.pid != Some(pid);
        tokio::time::timeout(TIME, view.wait_for(is_new)).await.unwrap().unwrap();
    }

    /// The generation after that in force, with another configuration.
    fn next(&self, hops: usize) -> Generation {
        let before = self.house.in_force();
        let snapshot = snapshot(self.root.path(), self.address, hops);
        let listeners = before.listeners.next(&snapshot.config).unwrap();
        Generation::new(before.number + 1, snapshot, listeners, Vec::new()).unwrap()
    }

    async fn drain(&self) {
        self.house.drain(std::future::pending()).await;
        assert!(self.house.rooms.iter().all(|held| held.view.has_changed().is_err()));
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn whoever_dies_is_replaced_and_joined_anew() {
    run(async {
        let rooted = Rooted::start().await;
        assert_eq!(rooted.ask().await, rooted.pid("qmgr"));
        // Who is asked, who asks, both, and both again.
        for names in [&["qmgr"][..], &["smtpd(mx)"], &["qmgr", "smtpd(mx)"], &["smtpd(mx)", "qmgr"]]
        {
            for name in names {
                rooted.kill(name).await;
            }
            assert_eq!(rooted.ask().await, rooted.pid("qmgr"), "{names:?}");
        }
        let processes = rooted.house.status().processes;
        let restarts = |name| processes.iter().find(|other| other.name == name).unwrap().restarts;
        assert_eq!((restarts("qmgr"), restarts("smtpd(mx)"), restarts("local")), (3, 3, 0));
        rooted.drain().await;
    });
}

#[test]
fn a_generation_comes_into_force_everywhere_or_nowhere() {
    run(async {
        let rooted = Rooted::start().await;
        let pids = || HOUSE.each_ref().map(|plan| rooted.pid(plan.name));
        let first = pids();
        // `smtpd` cannot be started: the others go back.
        let smtpd = rooted.root.path().join("smtpd");
        let stand_in = std::fs::read_link(&smtpd).unwrap();
        std::fs::remove_file(&smtpd).unwrap();
        let refused = rooted.house.change(rooted.next(60)).await.unwrap_err();
        assert!(refused.starts_with("smtpd(mx): ended at its start"), "{refused}");
        assert_eq!((pids(), rooted.house.in_force().number), (first, 1));
        assert_eq!(rooted.ask().await, rooted.pid("qmgr"));

        symlink(stand_in, &smtpd).unwrap();
        rooted.house.change(rooted.next(60)).await.unwrap();
        let second = pids();
        for (number, plan) in HOUSE.iter().enumerate() {
            assert_eq!(first[number] == second[number], plan.lasts, "{}", plan.name);
        }
        assert_eq!(rooted.ask().await, rooted.pid("qmgr"));
        // Whoever dies now has the edges to those that are in force.
        for name in ["qmgr", "smtpd(mx)"] {
            rooted.kill(name).await;
            assert_eq!(rooted.ask().await, rooted.pid("qmgr"));
        }
        assert_eq!(rooted.house.status().generation, 2);
        rooted.drain().await;
    });
}

#[test]
fn who_dies_of_an_offer_begins_with_it() {
    run(async {
        let rooted = Rooted::start().await;
        let pid = Pid::from_raw(rooted.pid("qmgr").try_into().unwrap());
        // It cannot answer before it is dead.
        kill(pid, Signal::SIGSTOP).unwrap();
        let changed = rooted.house.change(rooted.next(60));
        let killed = async { kill(pid, Signal::SIGKILL).unwrap() };
        let (changed, ()) = tokio::join!(changed, killed);
        changed.unwrap();
        assert_ne!(rooted.pid("qmgr"), pid.as_raw().cast_unsigned());
        assert_eq!(rooted.ask().await, rooted.pid("qmgr"));
        rooted.drain().await;
    });
}

#[test]
fn the_control_socket() {
    run(async {
        let rooted = Rooted::start().await;
        let path = rooted.root.path().join("control");
        let socket = bind_unix(&path).unwrap();
        let (stop, mut stops) = mpsc::channel(1);
        let (reload, _askers) = mpsc::channel(1);
        let (house, to_qmgr) = (Arc::clone(&rooted.house), rooted.to_qmgr.clone());
        let control = Control { house, to_qmgr, reload, stop };
        tokio::spawn(control.serve(socket));
        let connect = || {
            let stream = UnixStream::connect(&path).unwrap();
            Connection::from_fd(OwnedFd::from(stream)).unwrap()
        };
        let mut client = connect();
        let welcome = client.call::<_, Welcome>(&Hello::Supervisor, b"", None, TIME).await;
        assert_eq!(welcome.unwrap().head, Welcome::Yes { admin: true });
        let status = client.call::<_, Answer>(&Command::Status, b"", None, TIME).await.unwrap();
        let Answer::Status(status) = status.head else { panic!("{:?}", status.head) };
        assert_eq!(status.listeners, [format!("{} (mx)", rooted.address)]);
        assert!(status.processes.iter().all(|process| process.pid.is_some()));
        client.send(&Command::Stop, b"", None).await.unwrap();
        let mut asked = stops.recv().await.unwrap();
        asked.send(&Answer::Stopped, b"", None).await.unwrap();
        assert_eq!(client.receive::<Answer>().await.unwrap().head, Answer::Stopped);
        // The stand-in of `qmgr` says this.
        let mut client = connect();
        let welcome = client.call::<_, Welcome>(&Hello::Queue, b"", None, TIME).await;
        assert_eq!(welcome.unwrap().head, Welcome::Yes { admin: false });
        rooted.drain().await;
        // Nobody is there to take it: the client is told.
        let welcome = connect().call::<_, Welcome>(&Hello::Queue, b"", None, TIME).await;
        assert!(matches!(welcome.unwrap().head, Welcome::No(_)));
    });
}

#[test]
fn a_process_for_each_known_user() {
    run(async {
        let mut rooted = Rooted::start().await;
        let runner = Runner::new(&rooted.house, rooted.root.path().join("deliver"));
        let (incoming, door) = Incoming::new();
        let (edge, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(door.serve(Connection::from_fd(theirs.into()).unwrap()));
        tokio::spawn(runner.serve(incoming));
        let (local, renewal) = Client::new(Arrow::LocalToSupervisor);
        renewal.renew(Connection::from_fd(edge.into()).unwrap());
        let id = envelope::QueueId::new(1).unwrap();
        for (user, known) in [("anna", true), ("otto", true), ("ghost", false), ("# ghost", false)]
        {
            let request = RunAs { who: Who::Mailbox(user.into()), id };
            let frame = local.call::<_, Started>(&request, b"", None, TIME).await.unwrap();
            let home = rooted.root.path().join("home").join(user);
            let expected =
                if known { Started::Yes { home, shell: None } } else { Started::UnknownUser };
            assert_eq!((frame.head, frame.descriptor.is_some()), (expected, known), "{user}");
        }
        drop(rooted.from_local.take());
        rooted.drain().await;
    });
}

/// Whoever stops his processes keeps them from ending; the others are to get theirs.
#[test]
fn no_user_has_all_processes() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root starts a process as somebody else");
    }
    run(async {
        let mut rooted = Rooted::start().await;
        // Ends with its standard input.
        let runner = Runner::new(&rooted.house, "/bin/cat".into());
        let spawn = |id| runner.spawn(Some(Identity { uid: id, gid: id }), Who::Default);
        let (alice, bob) = (4001, 4002);
        let all: Vec<_> = (0..100).map_while(|_| spawn(alice).ok()).collect();
        assert!((4..64).contains(&all.len()), "{}", all.len());
        assert!(spawn(alice).is_err());
        drop(spawn(bob).unwrap());
        drop(all);
        drop(rooted.from_local.take());
        rooted.drain().await;
    });
}

fn snapshot(root: &Path, address: SocketAddr, hops: usize) -> Snapshot {
    let text = format!(
        "hostname = \"mx.example.org\"\n[tables]\ndirectory = \"/\"\n[limits]\nhops = {hops}\n\
         [[listener]]\nrole = \"mx\"\naddress = \"{address}\"\n"
    );
    let file = root.join("pennypost.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(root.join("users"), "# ghost\nanna:*\notto::x\n").unwrap();
    let snapshot = Snapshot::take(Some(root), Some(&file)).unwrap();
    std::fs::create_dir_all(&snapshot.config.paths.run).unwrap();
    snapshot
}
