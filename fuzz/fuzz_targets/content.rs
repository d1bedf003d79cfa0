//! Content means one thing only: however it is cut, to whoever reads it, and on its way out again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::client::Stuffing;
use smtp::content::{Bare, Facts, Progress, Receiver};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut % 7) + 1;
    // The other reader does not take the place after DATA for the start of a line.
    let wire = [b"\r\n", bytes, b"\r\n.\r\nNOOP\r\n"].concat();
    let received = receive(&wire, wire.len());
    assert_eq!(received, receive(&wire, cut));
    if let Ok((content, rest, _)) = &received {
        let (same_content, same_rest) = another_reader(&wire);
        assert_eq!((content, rest), (&same_content, &same_rest));
        assert_eq!(sent_and_received(content, cut), *content);
    }
    let clean = sent_and_received(bytes, cut);
    assert_eq!(sent_and_received(&clean, bytes.len().max(1)), clean);
    chunks(bytes, cut);
});

/// Content, what follows it, and what was seen.
type Received = (Vec<u8>, Vec<u8>, Facts);

/// Reads DATA in pieces of `cut` bytes.
fn receive(wire: &[u8], cut: usize) -> Result<Received, Bare> {
    let (mut receiver, mut content, mut used) = (Receiver::data(), Vec::new(), 0);
    for piece in wire.chunks(cut) {
        let mut input = piece;
        let progress = receiver.receive(&mut input, &mut content)?;
        used += piece.len() - input.len();
        if progress == Progress::End {
            return Ok((content, wire[used..].to_vec(), *receiver.facts()));
        }
        assert!(input.is_empty());
    }
    unreachable!("the wire holds an end of data");
}

fn another_reader(wire: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut content, mut bytes) = (Vec::new(), wire.iter());
    let ended = smtp_proto::request::receiver::DataReceiver::new().ingest(&mut bytes, &mut content);
    assert!(ended);
    (content, bytes.as_slice().to_vec())
}

/// What a receiver gets of what our client sends; it finds exactly one message.
fn sent_and_received(content: &[u8], cut: usize) -> Vec<u8> {
    let (mut stuffing, mut wire) = (Stuffing::default(), Vec::new());
    for piece in content.chunks(cut) {
        stuffing.push(piece, &mut wire);
    }
    stuffing.finish(&mut wire);
    wire.extend_from_slice(b"QUIT\r\n");
    let (received, rest, _) = receive(&wire, wire.len()).expect("what we send has clean line ends");
    assert_eq!(rest, b"QUIT\r\n");
    assert!(received.is_empty() || received.ends_with(b"\r\n"));
    received
}

/// BDAT: the same content in one chunk and in many, complete lines in the end.
fn chunks(bytes: &[u8], cut: usize) {
    let read = |cut: usize| -> Result<(Vec<u8>, Facts), Bare> {
        let (mut receiver, mut content) = (Receiver::bdat(), Vec::new());
        for piece in bytes.chunks(cut) {
            receiver.receive(&mut &*piece, &mut content)?;
        }
        receiver.finish(&mut content)?;
        Ok((content, *receiver.facts()))
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(cut));
    if let Ok((content, facts)) = whole {
        assert!(content.starts_with(bytes) && facts.size == content.len() as u64);
        assert!(content.is_empty() || content.ends_with(b"\r\n"));
    }
}
