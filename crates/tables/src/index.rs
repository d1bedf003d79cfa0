//! The entries of a table in little memory: the text of all keys and values in one piece, and a hash
//! table of where they begin.
//!
//! **Invariant:** an entry is never changed or removed: a table that changes is read anew.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Keys, each with its value and its line. The first entry of a key holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    text: String,
    /// In the order of the file.
    places: Vec<Place>,
    /// Numbers of places.
    by_key: HashTable<usize>,
    hasher: RandomState,
}

/// Where an entry is in the text: the value follows the key, and the next key follows the value.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: usize,
    value: usize,
    line: usize,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) value: &'a str,
    /// From 1.
    pub(crate) line: usize,
}

impl Index {
    /// Adds an entry.
    ///
    /// # Errors
    /// The key is there already, in this line.
    pub(crate) fn insert(&mut self, key: &str, value: &str, line: usize) -> Result<(), usize> {
        if let Some(found) = self.get(key) {
            return Err(found.line);
        }
        let Self { text, places, by_key, hasher } = self;
        let number = places.len();
        let begin = text.len();
        text.push_str(key);
        places.push(Place { key: begin, value: text.len(), line });
        text.push_str(value);
        let hash_of = |number: &usize| hasher.hash_one(key_of(text, places, *number));
        by_key.insert_unique(hash_of(&number), number, hash_of);
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Option<Found<'_>> {
        if self.places.is_empty() {
            return None;
        }
        let is_it = |number: &usize| key_of(&self.text, &self.places, *number) == key;
        let number = *self.by_key.find(self.hasher.hash_one(key), is_it)?;
        let Place { value, line, .. } = *self.places.get(number)?;
        let end = self.places.get(number + 1).map_or(self.text.len(), |next| next.key);
        Some(Found { value: self.text.get(value..end)?, line })
    }

    /// The keys with their lines, in the order of the file.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, usize)> {
        let numbered = self.places.iter().enumerate();
        numbered.map(|(number, place)| (key_of(&self.text, &self.places, number), place.line))
    }

    /// Everything, in the order of the file.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        self.keys().filter_map(|(key, _)| Some((key, self.get(key)?)))
    }

    pub(crate) const fn len(&self) -> usize {
        self.places.len()
    }

    /// The table as it stays, without room for more.
    pub(crate) fn finished(mut self) -> Self {
        self.text.shrink_to_fit();
        self.places.shrink_to_fit();
        self
    }
}

fn key_of<'a>(text: &'a str, places: &[Place], number: usize) -> &'a str {
    let key = places.get(number).and_then(|place| text.get(place.key..place.value));
    key.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Found, Index};

    #[test]
    fn the_first_entry_of_a_key_holds() {
        let mut index = Index::default();
        assert_eq!(index.insert("a", "1", 1), Ok(()));
        assert_eq!(index.insert("ab", "", 2), Ok(()));
        assert_eq!(index.insert("a", "2", 3), Err(1));
        assert_eq!(index.get("a"), Some(Found { value: "1", line: 1 }));
        assert_eq!(index.get("ab"), Some(Found { value: "", line: 2 }));
        assert_eq!((index.get("b"), index.get(""), index.len()), (None, None, 2));
        assert_eq!(index.keys().collect::<Vec<_>>(), [("a", 1), ("ab", 2)]);
    }

    proptest! {
        #[test]
        fn it_is_a_map(entries in prop::collection::vec(("[a-c]{0,4}", "[a-c]{0,3}"), 0..200)) {
            let mut map = HashMap::new();
            let mut index = Index::default();
            for (line, (key, value)) in entries.iter().enumerate() {
                let fresh = !map.contains_key(key);
                prop_assert_eq!(index.insert(key, value, line).is_ok(), fresh);
                map.entry(key).or_insert(Found { value, line });
            }
            let index = index.finished();
            for (key, found) in map {
                prop_assert_eq!(index.get(key), Some(found));
            }
            prop_assert_eq!(index.get("d"), None);
        }
    }
}
