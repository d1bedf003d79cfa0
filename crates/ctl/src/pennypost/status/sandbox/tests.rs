use std::path::Path;

use ipc::sandbox::Confinement;

use super::*;

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max data size             1073741824           1073741824           bytes
Max core file size        0                    0                    bytes
Max open files            16384                16384                files
Max locked memory         0                    0                    bytes
";

fn status(uid: u32, groups: &str, capabilities: &str, filters: u32) -> String {
    let (no_new_privs, mode) = if filters == 0 { (0, 0) } else { (1, 2) };
    format!(
        "Name:\tx\nPPid:\t100\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n\
         Groups:\t{groups} \nCapInh:\t0000000000000000\nCapPrm:\t{capabilities}\n\
         CapEff:\t{capabilities}\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
         NoNewPrivs:\t{no_new_privs}\nSeccomp:\t{mode}\nSeccomp_filters:\t{filters}\n"
    )
}

/// A supervisor 100 that is root, `qmgr` 101 as it should be, and `remote` 102 that is not.
fn look(pid: u32) -> io::Result<Kernel> {
    let targets = ["socket:[5]", "anon_inode:[eventpoll]", "socket:[6]", "/q/queue.redb"];
    let open = Some(targets.iter().map(Into::into).collect());
    let unlimited = "Max core file size        0                    unlimited            bytes\n";
    Ok(match pid {
        100 => Kernel::read(&status(0, "0", "000001ffffffffff", 0), unlimited, open),
        101 => Kernel::read(&status(998, "", "0000000000000000", 1), LIMITS, open),
        102 => Kernel::read(&status(998, "4 24", "0000000000000400", 0), LIMITS, None),
        _ => return Err(io::ErrorKind::NotFound.into()),
    })
}

fn system() -> SystemStatus {
    let process = |name: &str, pid, sandbox| Process {
        name: name.to_owned(),
        pid,
        since: 0,
        restarts: 0,
        retired: false,
        identity: Some((998, 998)),
        confinement: Some(Confinement { sandbox, landlock: Some(7) }),
    };
    let queue = Sandbox::new().directory(Path::new("/q")).permit(Permit::Threads);
    let out = Sandbox::new().permit(Permit::CallOut).memory(1 << 20);
    let gone = Sandbox::new();
    SystemStatus {
        hostname: "mail.x.test".to_owned(),
        version: "0.1.0".to_owned(),
        generation: 1,
        refused: None,
        started: 0,
        processes: vec![
            process("qmgr", Some(101), queue),
            process("remote", Some(102), out),
            process("local", None, gone),
        ],
        listeners: Vec::new(),
    }
}

#[test]
fn for_people() {
    let mut out = Vec::new();
    let report = Report::make(&system(), look);
    report.write(&mut out).unwrap();
    assert!(!report.agrees());
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn for_programs() {
    let mut out = Vec::new();
    Report::make(&system(), look).write_json(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    insta::assert_snapshot!(text);
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [supervisor, qmgr, remote, local] = &objects[..] else { panic!("{text}") };
    assert_eq!((&supervisor["pid"], &supervisor["declared"]), (&json!(100), &Value::Null));
    assert_eq!((&qmgr["kind"], &qmgr["differs"]), (&json!("sandbox"), &json!([])));
    assert_eq!((&qmgr["found"]["uid"], &qmgr["landlock"]), (&json!("998"), &json!(7)));
    let declared: Sandbox = serde_json::from_value(qmgr["declared"].clone()).unwrap();
    assert_eq!(declared, Sandbox::new().directory(Path::new("/q")).permit(Permit::Threads));
    let differs = ["groups", "capabilities", "no_new_privs", "seccomp", "memory"];
    assert_eq!(remote["differs"], json!(differs));
    assert_eq!((&local["differs"], &local["found"]["state"]), (&json!([]), &json!("restarting")));
}

#[test]
fn all_is_well_when_all_agree() {
    let mut system = system();
    system.processes.truncate(1);
    assert!(Report::make(&system, look).agrees());
    system.processes[0].confinement = None;
    assert!(!Report::make(&system, look).agrees());
}

/// The process of this test: what the kernel says is understood.
#[test]
fn a_real_process() {
    let kernel = Kernel::look(std::process::id()).unwrap();
    assert_eq!(kernel.uid, Some(nix::unistd::geteuid().as_raw()));
    assert_eq!(kernel.parent, u32::try_from(nix::unistd::getppid().as_raw()).ok());
    assert!(kernel.limits.descriptors.is_some_and(|limit| limit > 0));
    assert!(kernel.open.is_some_and(|kinds| !kinds.is_empty()));
    assert!(Kernel::look(0).is_err());
}
