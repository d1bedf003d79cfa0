//! Any process is killed at random while messages come in and go out: everything acknowledged
//! arrives, whole, and twice only what was in flight at a kill.

mod account;
mod hunter;
mod load;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use support::{PATIENCE, Sink, System, SystemBuilder};

use account::Account;
use hunter::{Hunter, Kill};
use load::Load;

/// Kills in all; `PENNYPOST_KILLS` asks for more.
const KILLS: usize = 200;
/// Systems side by side: a daemon that died within 10 s of its start is restarted later and later,
/// so that one system can be hurt only so often.
const SYSTEMS: usize = 4;
/// What is queued at least when a process is killed.
const QUEUED: usize = 100;

#[test]
fn every_acknowledged_message_arrives_whatever_is_killed() {
    let kills = std::env::var("PENNYPOST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let hurt_one = |number: usize| {
        // In every other system a .forward stands between a recipient and the mailbox, and makes two of one.
        let forward = (number % 2 == 1).then_some("\\alice, /dev/null\n");
        std::thread::spawn(move || hurt(kills.div_ceil(SYSTEMS), forward))
    };
    let threads: Vec<_> = (0..SYSTEMS).map(hurt_one).collect();
    let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (in_flight, twice) = tell(&all);
    for (_, account) in all {
        assert_eq!(account.lost, [""; 0], "acknowledged and lost");
        assert_eq!(account.broken, [""; 0], "arrived, but not as it was sent");
        assert_eq!(account.unexplained, [""; 0], "arrived twice and was not in flight at a kill");
    }
    assert!(twice <= in_flight, "{twice} of {in_flight} in flight");
}

/// Prints the figures; returns the deliveries in flight and those made twice.
fn tell(all: &[(Vec<Kill>, Account)]) -> (usize, usize) {
    let kills = || all.iter().flat_map(|(kills, account)| kills.iter().zip(&account.kills));
    let mut victims: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (kill, (in_flight, twice)) in kills() {
        let sums = victims.entry(kill.victim).or_default();
        *sums = [sums[0] + 1, sums[1] + in_flight, sums[2] + twice, sums[3].max(*twice)];
    }
    for (victim, [kills, in_flight, twice, most]) in &victims {
        println!(
            "{victim:16} killed {kills:3} times, {in_flight:5} deliveries in flight, {twice:4} \
             made twice, at most {most:2} after one kill"
        );
    }
    let sum = |count: fn(&Account) -> usize| all.iter().map(|(_, it)| count(it)).sum::<usize>();
    let twice = victims.values().map(|sums| sums[2]).sum();
    println!(
        "{} kills, {} messages queued at least, {} acknowledged, {} lost, {twice} delivered twice \
         (the farthest {:?} from its kill), {} submitted again by sendmail",
        kills().count(),
        kills().map(|(kill, _)| kill.queued).min().unwrap_or(0),
        sum(|it| it.acknowledged),
        sum(|it| it.lost.len()),
        all.iter().map(|(_, it)| it.farthest).max().unwrap_or_default(),
        sum(|it| it.submitted_again),
    );
    (victims.values().map(|sums| sums[1]).sum(), twice)
}

/// One system, `kills` times.
fn hurt(kills: usize, forward: Option<&str>) -> (Vec<Kill>, Account) {
    let load = Load::new();
    let sink = Sink::scripted(load.gate(QUEUED + 40));
    let builder = SystemBuilder::new();
    if let Some(text) = forward {
        let home = builder.path("home/alice");
        std::fs::create_dir_all(&home).unwrap();
        let forward = home.join(".forward");
        std::fs::write(&forward, text).unwrap();
        std::fs::set_permissions(&forward, Permissions::from_mode(0o644)).unwrap();
    }
    let mut system = builder
        .smarthost(sink.address())
        .config("[queue]\nfirst_retry = \"1s\"\nmax_retry = \"2s\"\nhost_status = \"1s\"\n")
        .start();
    let senders = load.begin(&system, 5 * QUEUED);
    let mut hunter = Hunter::default();
    let kills: Vec<_> = (0..kills).map(|_| hunter.kill_one(&mut system, &load, QUEUED)).collect();
    load.finish();
    for sender in senders {
        sender.join().unwrap();
    }
    // Whatever waits for the next minute in the drop directory is picked up at the start.
    system.stop();
    system.start();
    wait_until_empty(&system);
    let account = Account::make(&system, &sink, &load.acknowledged(), &kills);
    (kills, account)
}

fn wait_until_empty(system: &System) {
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        let drops = std::fs::read_dir(system.path("var/spool/pennypost/drop")).unwrap().count();
        let output = system.command("pennypost").args(["queue", "count", "--json"]).output();
        let output = output.unwrap();
        let count: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if drops == 0 && count["messages"] == 0 {
            return;
        }
        assert!(Instant::now() < end, "{drops} dropped, {count} {output:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
