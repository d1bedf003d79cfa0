//! Our commands with the same tables, below a root of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{binary, run};

use crate::real::{Call, Output, Setting, namespaces};

/// One answer for each call.
pub(crate) fn run_all(setting: &Setting, config: &str, calls: &[Call]) -> Vec<Output> {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), setting, config);
    let answer = |call: &Call| {
        // Without a network this machine has no addresses of its own.
        let mut command = Command::new("unshare");
        command.args(namespaces(&["--net"])).arg(binary("sendmail"));
        command.args(&call.arguments).env("PENNYPOST_ROOT", root.path());
        let output = run(&mut command, &call.input);
        let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
        (String::from_utf8_lossy(&output.stdout).into_owned(), code)
    };
    calls.iter().map(answer).collect()
}

fn write(root: &Path, setting: &Setting, config: &str) {
    let tables = root.join("etc/mail");
    fs::create_dir_all(&tables).unwrap();
    let hostname = setting.hostname();
    let text = format!("hostname = \"{hostname}\"\n{config}");
    fs::write(tables.join("pennypost.toml"), text).unwrap();
    let users: Vec<_> = setting.users.iter().map(|user| format!("{user}:\n")).collect();
    fs::write(tables.join("users"), users.concat()).unwrap();
    for (name, text) in &setting.tables {
        fs::write(tables.join(name), text).unwrap();
    }
}
