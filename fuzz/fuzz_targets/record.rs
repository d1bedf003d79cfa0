//! Any row of the queue is a record or damaged, and a record that is read can be kept.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use qmgr::record::{MessageRecord, RecipientRecord, Record};

fuzz_target!(|row: &[u8]| {
    kept::<MessageRecord>(row);
    kept::<RecipientRecord>(row);
});

fn kept<T: Record + PartialEq + Debug>(row: &[u8]) {
    if let Ok(record) = T::decode(row) {
        let row = record.encode().expect("a record can be written");
        assert_eq!(T::decode(&row), Ok(record));
    }
}
