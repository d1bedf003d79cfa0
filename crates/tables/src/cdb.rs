//! The constant database of D. J. Bernstein (<https://cr.yp.to/cdb/cdb.txt>): written whole, read whole.
//! `makemap` writes it, and so do tinycdb and Postfix.

use std::io;

/// Bytes before the first record: 256 hash tables, each with place and length.
const HEADER: usize = 256 * 8;

/// The file with these entries.
///
/// # Errors
/// It would be larger than the 4 GiB that the format has.
pub fn encode(entries: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut file = vec![0; HEADER];
    let mut buckets: Vec<Vec<(u32, u32)>> = vec![Vec::new(); 256];
    for (key, value) in entries {
        let (hash, place) = (hash(key.as_bytes()), number(file.len())?);
        if let Some(bucket) = buckets.get_mut(hash as usize % 256) {
            bucket.push((hash, place));
        }
        file.extend(number(key.len())?.to_le_bytes());
        file.extend(number(value.len())?.to_le_bytes());
        file.extend(key.as_bytes());
        file.extend(value.as_bytes());
    }
    let mut header = Vec::with_capacity(HEADER);
    for bucket in &buckets {
        let slots = table(bucket);
        header.extend(number(file.len())?.to_le_bytes());
        header.extend(number(slots.len())?.to_le_bytes());
        for (hash, place) in slots {
            file.extend(hash.to_le_bytes());
            file.extend(place.to_le_bytes());
        }
    }
    for (byte, from) in file.iter_mut().zip(header) {
        *byte = from;
    }
    number(file.len())?;
    Ok(file)
}

/// Twice as many slots as entries, each entry in the first free one from where its hash points.
fn table(bucket: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut slots = vec![(0, 0); 2 * bucket.len()];
    for &(hash, place) in bucket {
        let start = (hash >> 8) as usize % slots.len();
        let (before, after) = slots.split_at_mut(start);
        let free = after.iter_mut().chain(before).find(|slot| slot.1 == 0);
        if let Some(free) = free {
            *free = (hash, place);
        }
    }
    slots
}

/// All entries of a file, in the order in which they were written; `None`: it is no such file, or
/// not of texts.
#[must_use]
pub fn decode(file: &[u8]) -> Option<Vec<(String, String)>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    records(file)?.into_iter().map(|(key, value)| Some((text(key)?, text(value)?))).collect()
}

/// The same as bytes, without the NUL with which C ends a text (Postfix, and `makemap -N`).
pub(crate) fn records(file: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    // The first hash table begins where the records end.
    let end = (0..HEADER).step_by(8).map(|at| word(file, at)).min()??;
    let mut records = file.get(HEADER..end)?;
    let mut entries = Vec::new();
    while !records.is_empty() {
        let (key, value) = (word(records, 0)?, word(records, 4)?);
        let (texts, rest) = records.get(8..)?.split_at_checked(key.checked_add(value)?)?;
        let (key, value) = texts.split_at_checked(key)?;
        let text = |bytes: &'_ [u8]| bytes.len() - usize::from(bytes.ends_with(b"\0"));
        entries.push((key.get(..text(key))?, value.get(..text(value))?));
        records = rest;
    }
    Some(entries)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn number(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381_u32, |hash, &byte| hash.wrapping_mul(33) ^ u32::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks a key up as other programs do, which stop at the first free slot.
    fn find<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
        let hash = hash(key.as_bytes()) as usize;
        let (table, slots) = (word(file, hash % 256 * 8)?, word(file, hash % 256 * 8 + 4)?);
        let slots = (0..slots).map(|step| table + ((hash >> 8) + step) % slots * 8);
        let mut taken =
            slots.take_while(|slot| word(file, slot + 4).is_some_and(|place| place > 0));
        taken.find_map(|slot| {
            let place = word(file, slot + 4)?;
            let (length, value) = (word(file, place)?, word(file, place + 4)?);
            let found = file.get(place + 8..)?.get(..length + value)?;
            found.strip_prefix(key.as_bytes()).filter(|_| word(file, slot) == Some(hash))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(
            entries in prop::collection::btree_map("[a-z.@]{1,12}", "[^\\x00]{0,8}", 0..100)
        ) {
            let entries: Vec<_> = entries.into_iter().collect();
            let file = encode(&entries).unwrap();
            for (key, value) in &entries {
                prop_assert_eq!(find(&file, key), Some(value.as_bytes()));
            }
            prop_assert_eq!(find(&file, "A"), None);
            prop_assert_eq!(decode(&file), Some(entries));
        }

        #[test]
        fn no_file_of_others_is_trouble(file: Vec<u8>) {
            let _ = decode(&file);
        }
    }

    /// cdb(5): `h = ((h << 5) + h) ^ c`, from 5381, in 32 bits.
    #[test]
    fn the_hash_is_that_of_others() {
        assert_eq!((hash(b""), hash(b"one"), hash(b"postmaster")), (5381, 193420161, 1412970497));
    }

    #[test]
    fn nothing_is_a_file_too() {
        let file = encode(&[]).unwrap();
        assert_eq!((file.len(), decode(&file)), (HEADER, Some(Vec::new())));
        assert_eq!(decode(b""), None);
    }
}
