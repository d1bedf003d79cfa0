use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::letter;

/// A home with a `.forward`.
struct Home {
    directory: tempfile::TempDir,
    forwards: Forwards,
    shell: Option<PathBuf>,
}

impl Home {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Self { directory, forwards: Forwards::default(), shell: None };
        fs::write(home.forward(), text).unwrap();
        home.mode(&home.forward(), 0o644);
        home
    }

    fn forward(&self) -> PathBuf {
        self.directory.path().join(".forward")
    }

    fn mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn store(&self) -> Store {
        Store {
            forward: vec![self.directory.path().join(".forward+x"), self.forward()],
            shell: self.shell.clone(),
            ..letter::tests::store()
        }
    }

    /// `None`: into the mailbox.
    fn members(&mut self) -> Option<Vec<String>> {
        self.way(true).0
    }

    fn way(&mut self, may_read: bool) -> (Option<Vec<String>>, Vec<String>) {
        let store = self.store();
        match self.forwards.way(&store, may_read) {
            Way::Mailbox(remarks) => (None, remarks),
            Way::Elsewhere(Said::Expanded { members, remarks }) => {
                (Some(members.iter().map(ToString::to_string).collect()), remarks)
            }
            Way::Elsewhere(Said::Stale) => (Some(vec!["stale".into()]), Vec::new()),
            Way::Elsewhere(Said::Status(status)) => (Some(vec![status.to_string()]), Vec::new()),
        }
    }

    fn refused(&mut self) -> String {
        let (members, remarks) = self.way(true);
        assert_eq!(members, None);
        remarks.join("; ")
    }
}

#[test]
fn a_forward_says_where_mail_goes() {
    let mut home = Home::new("# mine\n\\anna, otto@a.test\n\"|vacation anna\", /mail/old\n");
    let members = ["\\anna@h", "otto@a.test", "|vacation anna", "/mail/old"].map(String::from);
    assert_eq!(home.way(true), (Some(members.to_vec()), Vec::new()));
    // recipient.c, include(): one that names nobody is none.
    assert_eq!(Home::new("# nobody\n\n").way(true), (None, Vec::new()));
    fs::remove_file(home.forward()).unwrap();
    assert_eq!(home.way(true), (None, Vec::new()));
}

#[test]
fn the_first_that_is_there_counts() {
    let mut home = Home::new("otto");
    fs::write(home.directory.path().join(".forward+x"), "emil").unwrap();
    assert_eq!(home.members(), Some(vec!["emil@h".to_owned()]));
}

#[test]
fn what_cannot_be_done_leaves_a_copy_in_the_mailbox() {
    let mut home = Home::new("otto\na b\n|x >y\n");
    let (members, remarks) = home.way(true);
    assert_eq!(members, Some(vec!["otto@h".to_owned(), "\\anna@example.org".to_owned()]));
    let path = home.forward().display().to_string();
    assert!(remarks[0].starts_with(&format!("{path}:2: ")), "{remarks:?}");
    assert!(remarks[1].starts_with(&format!("{path}:3: cannot use >")), "{remarks:?}");
    let (members, remarks) = Home::new("a b").way(true);
    assert_eq!((members, remarks.len()), (None, 1));
}

#[test]
fn a_file_that_others_may_write_is_not_followed() {
    let mut home = Home::new("otto");
    for mode in [0o664, 0o646] {
        home.mode(&home.forward(), mode);
        assert!(home.refused().contains("others may write to it"));
    }
    home.mode(&home.forward(), 0o600);
    assert!(home.members().is_some());
    let directory = home.directory.path().to_owned();
    for mode in [0o770, 0o707] {
        // Another process, which has not read it before.
        home.forwards = Forwards::default();
        home.mode(&directory, mode);
        assert!(home.refused().contains("others may write to /"));
    }
    home.mode(&directory, 0o700);
    assert!(Home { forwards: Forwards::default(), ..home }.members().is_some());
}

#[test]
fn only_plain_files_are_read() {
    let mut home = Home::new("otto");
    fs::remove_file(home.forward()).unwrap();
    fs::create_dir(home.forward()).unwrap();
    assert!(home.refused().contains("not a regular file"));
    fs::remove_dir(home.forward()).unwrap();
    nix::unistd::mkfifo(&home.forward(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(home.refused().contains("not a regular file"), "and nobody waits for a writer");
    fs::remove_file(home.forward()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.forward()).unwrap();
    assert!(home.refused().contains("not a regular file"));
    fs::remove_file(home.forward()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", home.forward()).unwrap();
    assert!(home.refused().contains("not a regular file"));
    fs::remove_file(home.forward()).unwrap();
    fs::write(home.forward(), "x, ".repeat(40_000)).unwrap();
    assert!(home.refused().contains("too long"));
    fs::write(home.forward(), b"\xff").unwrap();
    assert!(home.refused().contains("not UTF-8"));
}

#[test]
fn a_link_is_as_safe_as_what_it_leads_to() {
    let mut home = Home::new("");
    fs::remove_file(home.forward()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("forward");
    fs::write(&file, "otto").unwrap();
    std::os::unix::fs::symlink(&file, home.forward()).unwrap();
    assert_eq!(home.members(), Some(vec!["otto@h".to_owned()]));
    home.forwards = Forwards::default();
    home.mode(elsewhere.path(), 0o777);
    assert!(home.refused().contains("others may write to /"));
}

#[test]
fn the_file_of_another_user_is_not_followed() {
    let mut home = Home::new("otto");
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: not root");
    }
    // What a process with the group mail could read, a mailbox, belongs to somebody else.
    std::os::unix::fs::chown(home.forward(), Some(4711), None).unwrap();
    assert!(home.refused().contains("belongs to another user"));
    std::os::unix::fs::chown(home.forward(), Some(0), None).unwrap();
    assert!(home.members().is_some());
}

#[test]
fn who_has_no_shell_runs_no_programs() {
    let mut home = Home::new("otto, |vacation, /mail/old");
    home.shell = Some("/usr/sbin/nologin".into());
    let (members, remarks) = home.way(true);
    assert_eq!(members, Some(vec!["otto@h".to_owned(), "\\anna@example.org".to_owned()]));
    assert!(remarks[0].contains("shell") && remarks.len() == 2, "{remarks:?}");
    home.forwards = Forwards::default();
    home.shell = Some("".into());
    assert_eq!(home.members().unwrap().len(), 3, "conf.c, usershellok(): an empty one will do");
}

#[test]
fn a_list_has_a_bound() {
    let text = (0..=MAX_FORWARDED).map(|n| format!("u{n}\n")).collect::<String>();
    let (members, remarks) = Home::new(&text).way(true);
    let members = members.unwrap();
    assert_eq!(members.len(), MAX_FORWARDED + 1, "and the mailbox");
    assert!(members.last().unwrap().starts_with('\\'));
    assert!(remarks[0].contains("more than"), "{remarks:?}");
}

#[test]
fn a_confined_process_knows_when_it_is_out_of_date() {
    let mut home = Home::new("otto");
    assert_eq!(home.members(), Some(vec!["otto@h".to_owned()]));
    let known = || Some(vec!["otto@h".to_owned()]);
    let stale = || Some(vec!["stale".to_owned()]);
    assert_eq!(home.way(false).0, known());
    fs::write(home.forward(), "emil").unwrap();
    assert_eq!(home.way(false).0, stale());
    assert_eq!(home.members(), Some(vec!["emil@h".to_owned()]));
    fs::remove_file(home.forward()).unwrap();
    assert_eq!(home.way(false).0, None, "nothing there needs no reading");
    home.forwards = Forwards::default();
    fs::write(home.forward(), "emil").unwrap();
    assert_eq!(home.way(false).0, stale());
}

fn include_text(text: &str) -> Said {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    include(&path, &letter::tests::store())
}

#[test]
fn a_list_names_members_and_tells_what_is_none() {
    let said = include_text("# all\nAnna <anna@a.test>, otto\na b\n:include:/etc/more\n\\emil\n");
    let Said::Expanded { members, remarks } = said else { panic!("{said:?}") };
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["anna@a.test", "otto@h", ":include:/etc/more", "\\emil@h"]);
    assert!(remarks.len() == 1 && remarks[0].contains("list:3: "), "{remarks:?}");
}

#[test]
fn a_list_that_cannot_be_read_waits() {
    for said in [
        include(Path::new("/nonexistent/list"), &letter::tests::store()),
        include_text(""),
        include_text("a b\n"),
        include_text(&"x\n".repeat(MAX_MEMBERS + 1)),
    ] {
        let Said::Status(status) = said else { panic!("{said:?}") };
        assert_eq!(status.code(), "4.2.4", "{status}");
    }
}

#[test]
fn only_root_and_the_user_name_programs_in_lists() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: not root");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list");
    fs::write(&path, "otto\n|x\n/file\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let members = |path: &Path| match include(path, &letter::tests::store()) {
        Said::Expanded { members, remarks } => (members.len(), remarks.len()),
        said @ (Said::Status(_) | Said::Stale) => panic!("{said:?}"),
    };
    assert_eq!(members(&path), (3, 0));
    std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
    assert_eq!(members(&path), (1, 2));
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(include(&path, &letter::tests::store()), Said::Status(_)));
}
