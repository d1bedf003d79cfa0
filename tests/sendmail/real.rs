//! The real Sendmail, in namespaces of its own: no network, its own host name and users.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::skipped;

/// Where `fetch` has put it.
#[derive(Debug)]
pub(crate) struct Sendmail {
    tree: PathBuf,
}

/// What it is told of the world.
#[derive(Debug, Default)]
pub(crate) struct Setting {
    pub(crate) hostname: String,
    /// FEATURE(nullclient), which goes without all others.
    pub(crate) null_client: Option<String>,
    /// More lines of `sendmail.mc`.
    pub(crate) features: String,
    /// Names and texts of tables, in which `@FOLDER@` is the folder of all that it reads.
    pub(crate) tables: Vec<(String, String)>,
    pub(crate) users: Vec<String>,
    /// The domains that a sender can have: all of them, if it is not said.
    pub(crate) domains: Option<Vec<String>>,
    /// Paths below that folder, where each user's home is `home/USER`, and texts.
    pub(crate) files: Vec<(String, String)>,
}

/// How it is called, and what it reads.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) arguments: Vec<String>,
    pub(crate) input: String,
}

/// Standard output and exit code.
pub(crate) type Output = (String, String);

/// All that `/etc/mail` may have, so that no table is missing.
const TABLES: [&str; 11] = [
    "access",
    "aliases",
    "domaintable",
    "generics-domains",
    "genericstable",
    "local-host-names",
    "mailertable",
    "masquerade-domains",
    "relay-domains",
    "virtuser-domains",
    "virtusertable",
];
const MAPS: [&str; 5] = ["access", "domaintable", "genericstable", "mailertable", "virtusertable"];

impl Sendmail {
    /// `None`, and a line that says why: it is not there, or cannot be run by this user.
    pub(crate) fn find() -> Option<Self> {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let tree = target.join("sendmail/tree");
        if !target.join("sendmail/ready").exists() {
            let remedy = "Sendmail 8.17 is not there (tests/sendmail/fetch)";
            assert!(std::env::var_os("CI").is_none(), "{remedy}");
            skipped(remedy);
            return None;
        }
        let allowed = namespace().args(USER.split(' ')).arg("true").output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            skipped("this user may not make namespaces (unshare -m -u -n -U)");
            return None;
        }
        let sendmail = Self { tree };
        let version =
            &sendmail.run(&Setting::default(), &[Call::new(&["-d0.1", "-bv", "root"])])[0];
        if !version.0.contains("Version 8.17.") {
            skipped(&format!("this is not Sendmail 8.17: {}", version.0));
            return None;
        }
        Some(sendmail)
    }

    /// One answer for each call.
    pub(crate) fn run(&self, setting: &Setting, calls: &[Call]) -> Vec<Output> {
        let folder = tempfile::Builder::new().prefix("sendmail").tempdir_in("/var/tmp").unwrap();
        let folder = folder.path();
        self.write(folder, setting);
        let mut script = self.preparation(setting);
        for (number, call) in calls.iter().enumerate() {
            fs::write(folder.join(format!("{number}.in")), &call.input).unwrap();
            let arguments: Vec<_> = call.arguments.iter().map(|word| quoted(word)).collect();
            let arguments = arguments.join(" ");
            let kind = if call.arguments == ["-bs"] { "session" } else { "call" };
            script += &format!("{kind} {number} {arguments}\n");
        }
        let output =
            namespace().args(["bash", "-ec", &script]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let read = |name: String| {
            let text = fs::read(folder.join(name)).unwrap();
            // To who is not root it says at the head of `-bv` that he may not see everything.
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.starts_with(b"Notice: -bv "));
            String::from_utf8_lossy(&lines.collect::<Vec<_>>().concat()).into_owned()
        };
        let answer = |number| {
            (read(format!("{number}.out")), read(format!("{number}.exit")).trim().to_owned())
        };
        (0..calls.len()).map(answer).collect()
    }

    fn write(&self, folder: &Path, setting: &Setting) {
        let place = folder.display().to_string();
        fs::create_dir_all(folder.join("mail")).unwrap();
        fs::create_dir_all(folder.join("queue")).unwrap();
        for name in TABLES {
            fs::write(folder.join("mail").join(name), "").unwrap();
        }
        for (name, text) in &setting.tables {
            assert!(TABLES.contains(&name.as_str()), "{name}");
            fs::write(folder.join("mail").join(name), text.replace("@FOLDER@", &place)).unwrap();
        }
        for (path, text) in &setting.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let template = match &setting.null_client {
            Some(hub) => include_str!("null-client.mc").replace("@HUB@", hub),
            None => include_str!("sendmail.mc").to_owned(),
        };
        let config = template.replace("@FOLDER@", &place);
        let config = config.replace("@HOSTNAME@", setting.hostname());
        let config = config.replace("@FEATURES@\n", &setting.features());
        fs::write(folder.join("sendmail.mc"), config).unwrap();
        let mut users = "root:x:0:0::/root:/bin/sh\nrunner:x:3000:3000::/:/bin/sh\n".to_owned();
        for user in &setting.users {
            users += &format!("{user}:x:3000:3000::{place}/home/{user}:/bin/sh\n");
        }
        fs::write(folder.join("passwd"), users).unwrap();
        let mut hosts = format!("127.0.0.1 {} localhost\n", setting.hostname());
        for domain in setting.domains.iter().flatten() {
            hosts += &format!("198.51.100.254 {domain}\n");
        }
        fs::write(folder.join("hosts"), hosts).unwrap();
        // Other modules know users of their own.
        let modules = "passwd: files\nhosts: files\n";
        fs::write(folder.join("nsswitch.conf"), modules).unwrap();
        fs::write(folder.join("services"), "hosts files\npasswd files\naliases files\n").unwrap();
    }

    fn preparation(&self, setting: &Setting) -> String {
        let tree = quoted(&self.tree.display().to_string());
        let hostname = setting.hostname();
        let maps: Vec<_> = MAPS
            .iter()
            .map(|map| {
                format!(
                    "$user \"$programs/makemap\" -C$PWD/sendmail.cf hash mail/{map} <mail/{map}\n"
                )
            })
            .collect();
        format!(
            "user='{USER}'\n{FUNCTIONS}chmod -R go-w .\ntree={tree}\nprograms=$tree/usr/libexec/sendmail\n\
             hostname {hostname} || echo {hostname} >/proc/sys/kernel/hostname\n\
             mount --bind hosts /etc/hosts\nmount --bind passwd /etc/passwd\n[ ! -e /etc/nsswitch.conf ] || mount --bind nsswitch.conf /etc/nsswitch.conf\n\
             export LD_LIBRARY_PATH=$tree/usr/lib/$(uname -m)-linux-gnu:$tree/lib/$(uname -m)-linux-gnu\n\
             PATH=$tree/usr/bin:$PATH\n\
             m4 -D_CF_DIR_=$tree/usr/share/sendmail/cf/ $tree/usr/share/sendmail/cf/m4/cf.m4 sendmail.mc >sendmail.cf\n\
             {}$user \"$programs/newaliases\" -C$PWD/sendmail.cf >/dev/null || :\nset +e\n",
            maps.concat(),
        )
    }
}

impl Setting {
    pub(crate) fn hostname(&self) -> &str {
        if self.hostname.is_empty() { "here.test" } else { &self.hostname }
    }

    fn features(&self) -> String {
        let all = "FEATURE(`accept_unresolvable_domains')\n";
        format!("{}{}", if self.domains.is_none() { all } else { "" }, self.features)
    }
}

impl Call {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { arguments, input: String::new() }
    }

    pub(crate) fn reading(arguments: &[&str], input: &str) -> Self {
        Self { input: input.to_owned(), ..Self::new(arguments) }
    }
}

/// All programs are run by the owner of all files, and no other user is there: as root Sendmail would take the rights
/// of others before it reads a list or a `.forward`, which it can only if root runs the test.
const USER: &str = "unshare --user --map-user=3000 --map-group=3000";

/// A session says EHLO first and waits for the answer: Debian's Sendmail ends one that does not.
const FUNCTIONS: &str = r#"
call() {
    number=$1
    shift
    timeout 30 $user "$programs/sendmail" -C$PWD/sendmail.cf "$@" <$number.in >$number.out 2>$number.err
    echo $? >$number.exit
}
session() {
    coproc timeout 30 $user "$programs/sendmail" -C$PWD/sendmail.cf -bs
    exec 3<&${COPROC[0]} 4>&${COPROC[1]}
    eval "exec ${COPROC[1]}>&-"
    head -1 $1.in >&4
    while read -r line <&3; do
        case $line in "250 "*) break ;; esac
    done
    tail -n +2 $1.in >&4
    exec 4>&-
    cat <&3 >$1.out
    echo 0 >$1.exit
}
"#;

fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(namespaces(&["--mount", "--uts", "--net"]));
    command
}

/// With a user namespace, too, for who is not root.
pub(crate) fn namespaces(kinds: &[&'static str]) -> Vec<&'static str> {
    let root = nix::unistd::getuid().is_root();
    kinds.iter().copied().chain((!root).then_some("--map-root-user")).collect()
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
