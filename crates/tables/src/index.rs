//! The entries of a table in little memory: the text of all keys and values in one piece, and a hash
//! table of where they are.
//!
//! **Invariant:** an entry is never changed or removed: a table that changes is read anew.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::Place;
use crate::lines::Line;

/// Keys, each with its value and its line. The first entry of a key holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    text: String,
    slots: HashTable<Slot>,
    /// The sources, in their order.
    files: Vec<(usize, Arc<str>)>,
    /// Not for eyes of others: the keys are the administrator's, so nobody can have them collide.
    hasher: DefaultHashBuilder,
}

/// Where an entry is in the text: the value follows the key. A table has less than 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u32,
    value: u32,
    end: u32,
    line: u32,
    /// Of `files`.
    file: u32,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) value: &'a str,
    /// The number of its source.
    pub(crate) source: usize,
    pub(crate) file: &'a Arc<str>,
    pub(crate) line: usize,
}

impl<'a> Found<'a> {
    pub(crate) fn new(value: &'a str, source: usize, place: &'a Place) -> Self {
        Self { value, source, file: &place.file, line: place.line }
    }

    pub(crate) fn place(&self) -> Place {
        Place { file: Arc::clone(self.file), line: self.line }
    }
}

impl Index {
    /// Adds an entry, unless an earlier source has the key.
    ///
    /// # Errors
    /// This source has the key already, in this line.
    pub(crate) fn insert(&mut self, key: &str, value: &str, line: &Line) -> Result<(), usize> {
        if let Some(found) = self.get(key) {
            return if found.source == line.source { Err(found.line) } else { Ok(()) };
        }
        if self.files.last().is_none_or(|(source, _)| *source != line.source) {
            self.files.push((line.source, Arc::clone(&line.file)));
        }
        let Self { text, slots, files, hasher } = self;
        let begin = text.len();
        text.push_str(key);
        let middle = text.len();
        text.push_str(value);
        let slot = Slot {
            key: number(begin),
            value: number(middle),
            end: number(text.len()),
            line: number(line.number),
            file: number(files.len() - 1),
        };
        let hash_of = |slot: &Slot| hasher.hash_one(key_of(text, slot));
        slots.insert_unique(hash_of(&slot), slot, hash_of);
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Option<Found<'_>> {
        if self.slots.is_empty() {
            return None;
        }
        let is_it = |slot: &Slot| key_of(&self.text, slot) == key;
        self.found(self.slots.find(self.hasher.hash_one(key), is_it)?)
    }

    /// The same with the key in two parts.
    pub(crate) fn get_of(&self, prefix: &str, key: &str) -> Option<Found<'_>> {
        if prefix.is_empty() {
            return self.get(key);
        }
        // Most tables of several are empty, and then nothing is put together.
        if self.slots.is_empty() {
            return None;
        }
        self.get(&[prefix, key].concat())
    }

    fn found(&self, slot: &Slot) -> Option<Found<'_>> {
        let (source, file) = self.files.get(slot.file as usize)?;
        let value = self.text.get(slot.value as usize..slot.end as usize)?;
        Some(Found { value, source: *source, file, line: slot.line as usize })
    }

    /// The value of a key as it is written; the key as it is looked up, in lower case.
    pub(crate) fn raw(&self, key: &str) -> Option<(&str, Place)> {
        self.get(key).map(|found| (found.value, found.place()))
    }

    /// Everything, in the order of the sources.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        let mut slots: Vec<_> = self.slots.iter().collect();
        slots.sort_unstable_by_key(|slot| (slot.key, slot.value));
        slots.into_iter().filter_map(|slot| Some((key_of(&self.text, slot), self.found(slot)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The table as it stays, without room for more.
    pub(crate) fn finished(mut self) -> Self {
        self.text.shrink_to_fit();
        self
    }
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn key_of<'a>(text: &'a str, slot: &Slot) -> &'a str {
    text.get(slot.key as usize..slot.value as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn line(source: usize, number: usize) -> Line {
        let file = ["first", "second"][source].into();
        Line { number, text: String::new(), kind: Kind::Text, file, source }
    }

    fn shown(found: Option<Found<'_>>) -> Option<String> {
        found.map(|found| format!("{} {}", found.place(), found.value))
    }

    #[test]
    fn the_first_entry_of_a_key_holds() {
        let mut index = Index::default();
        assert_eq!(index.insert("a", "1", &line(0, 1)), Ok(()));
        assert_eq!(index.insert("ab", "", &line(0, 2)), Ok(()));
        assert_eq!(index.insert("a", "2", &line(0, 3)), Err(1));
        assert_eq!(index.insert("a", "3", &line(1, 1)), Ok(()));
        assert_eq!(index.insert("c", "4", &line(1, 2)), Ok(()));
        assert_eq!(index.insert("c", "5", &line(1, 3)), Err(2));
        assert_eq!(shown(index.get("a")).as_deref(), Some("first:1 1"));
        assert_eq!(shown(index.get("ab")).as_deref(), Some("first:2 "));
        assert_eq!(shown(index.get("c")).as_deref(), Some("second:2 4"));
        assert_eq!((shown(index.get("b")), shown(index.get("")), index.len()), (None, None, 3));
        let keys: Vec<_> = index.entries().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "ab", "c"]);
    }

    proptest! {
        #[test]
        fn it_is_a_map(entries in prop::collection::vec(("[a-c]{0,4}", "[a-c]{0,3}"), 0..200)) {
            let mut map = HashMap::new();
            let mut index = Index::default();
            for (number, (key, value)) in entries.iter().enumerate() {
                let fresh = !map.contains_key(key);
                prop_assert_eq!(index.insert(key, value, &line(0, number)).is_ok(), fresh);
                map.entry(key).or_insert(format!("first:{number} {value}"));
            }
            let index = index.finished();
            for (key, found) in map {
                prop_assert_eq!(shown(index.get(key)), Some(found));
            }
            prop_assert_eq!(shown(index.get("d")), None);
        }
    }
}
