//! Any bytes on an edge are frames, the beginning of one, or the peer's fault.

#![no_main]

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::BytesMut;
use ipc::{admin, control, delivery, mailbox, policy, run_as, submission};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 11 {
        0 => frames::<submission::Submit>(bytes),
        1 => frames::<submission::Reply>(bytes),
        2 => frames::<delivery::Attempt>(bytes),
        3 => frames::<delivery::Outcomes>(bytes),
        4 => frames::<policy::Check>(bytes),
        5 => frames::<policy::Verdicts>(bytes),
        6 => frames::<run_as::RunAs>(bytes),
        7 => frames::<mailbox::Store>(bytes),
        8 => frames::<admin::QueueRequest>(bytes),
        9 => frames::<admin::QueueReply>(bytes),
        _ => frames::<control::Report>(bytes),
    }
});

/// All at once and byte by byte, the same frames come out, and their heads survive another trip.
fn frames<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) {
    let whole = read::<T>(bytes, bytes.len().max(1));
    assert_eq!(whole, read::<T>(bytes, 1));
}

fn read<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8], cut: usize) -> Vec<String> {
    let (mut inbox, mut descriptors) = (BytesMut::new(), VecDeque::new());
    let mut seen = Vec::new();
    for piece in bytes.chunks(cut) {
        inbox.extend_from_slice(piece);
        loop {
            match ipc::decode::<T>(&mut inbox, &mut descriptors) {
                Ok(Some(frame)) => seen.push(format!("{:?} {:?}", again(frame.head), frame.body)),
                Ok(None) => break,
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}

fn again<T: Serialize + DeserializeOwned + Debug>(head: T) -> T {
    let bytes = postcard::to_stdvec(&head).expect("what was read can be written");
    let back: T = postcard::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(format!("{head:?}"), format!("{back:?}"));
    back
}
