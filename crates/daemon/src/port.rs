//! Who holds a TCP port of this machine.

use std::fs;
use std::path::PathBuf;

/// Who listens on a port, as far as /proc tells: `master (pid 812)`.
#[must_use]
pub fn holder(port: u16) -> Option<String> {
    let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| listening_inodes(table, port));
    let sockets: Vec<PathBuf> =
        inodes.iter().flatten().map(|inode| format!("socket:[{inode}]").into()).collect();
    for process in fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()) {
        let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.flat_map(|fd| fs::read_link(fd.path()));
        if let Some(pid) = pid
            && targets.any(|target| sockets.contains(&target))
        {
            let name = fs::read_to_string(process.join("comm")).ok()?;
            return Some(format!("{} (pid {pid})", envelope::printable(name.trim())));
        }
    }
    None
}

/// proc_net(5): local address in column 2, state (0A: LISTEN) in 4, inode in 10.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = *columns else { return None };
        (local.ends_with(&suffix) && state == "0A").then(|| inode.to_owned())
    };
    text.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::holder;

    #[test]
    fn who_listens_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = holder(port).unwrap();
        assert!(shown.ends_with(&format!(" (pid {})", std::process::id())), "{shown}");
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
