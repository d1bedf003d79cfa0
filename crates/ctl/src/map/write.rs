//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Replaces `path` by one with this content, with the rights of the file that `like` is.
///
/// # Errors
/// The old file is as it was.
pub(super) fn replace(path: &Path, like: &Path, content: &[u8]) -> io::Result<()> {
    // A link is not replaced: the file that it leads to is.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let new = beside(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = fill(file, like, content).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
        return written;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// A name of our own in the same directory.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new.{}", std::process::id()));
    name.into()
}

fn fill(mut file: File, like: &Path, content: &[u8]) -> io::Result<()> {
    let old = fs::metadata(like).ok();
    if let Some(old) = &old {
        // Only root can give it to the owner of the old one.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    let mode = old.map_or(0o640, |old| old.mode() & 0o666);
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}
