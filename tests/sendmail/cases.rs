//! The data files that the tests of the crates read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The text of each file of a folder of cases, by its name.
pub(crate) fn files(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    files.collect()
}

/// The sections of a file: `[name]` and what is below it.
pub(crate) fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) if name.chars().all(|c| c.is_ascii_lowercase() || "-_.".contains(c)) => {
                section = name.to_owned();
            }
            _ => {
                let text: &mut String = sections.entry(section.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    sections
}
