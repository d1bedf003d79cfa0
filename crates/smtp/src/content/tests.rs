use proptest::prelude::*;

use super::{Bare, Facts, Progress, Receiver};

/// Content and facts, or `Bare`; `None`: the end did not come. With what follows the end.
type Received = Result<(Option<(Vec<u8>, Facts)>, Vec<u8>), Bare>;

/// Receives DATA in pieces of these lengths, the last one as long as the rest.
fn data(wire: &[u8], cuts: &[usize]) -> Received {
    let mut receiver = Receiver::data();
    let mut out = Vec::new();
    let mut rest = wire;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (mut piece, later) = rest.split_at(cut.min(rest.len()));
        let progress = receiver.receive(&mut piece, &mut out)?;
        if progress == Progress::End {
            let after = [piece, later].concat();
            return Ok((Some((out, *receiver.facts())), after));
        }
        assert!(piece.is_empty());
        rest = later;
    }
    Ok((None, Vec::new()))
}

fn whole(wire: &str) -> Option<String> {
    let (received, _) = data(wire.as_bytes(), &[]).unwrap();
    received.map(|(content, _)| String::from_utf8(content).unwrap())
}

#[test]
fn dots_are_taken_off_and_one_alone_ends() {
    for (wire, content) in [
        (".\r\n", Some("")),
        ("\r\n.\r\n", Some("\r\n")),
        ("a\r\n.\r\n", Some("a\r\n")),
        ("..\r\n.\r\n", Some(".\r\n")),
        (".a\r\n...b\r\n.\r\n", Some("a\r\n..b\r\n")),
        ("a.\r\n.b.\r\n.\r\n", Some("a.\r\nb.\r\n")),
        ("a\r\n.", None),
        ("a\r\n.\r", None),
        ("a\r\n", None),
        ("a .\r\n", None),
    ] {
        assert_eq!(whole(wire).as_deref(), content, "{wire:?}");
    }
}

#[test]
fn only_crlf_dot_crlf_ends_and_nothing_else_is_taken_for_a_line_end() {
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r\r\n", "\r\n.\r.\r\n"] {
        let wire = format!("a{end}MAIL FROM:<x@y>\r\n.\r\n");
        assert_eq!(data(wire.as_bytes(), &[]), Err(Bare), "{end:?}");
    }
}

#[test]
fn facts_are_told() {
    let wire = "Received: x\r\nRECEIVED:y\r\n received: no\r\n.Received: dotted\r\nReceive: no\r\n\
                X: \u{e4}\r\n\r\nReceived: no\r\n.\r\n";
    let facts = data(wire.as_bytes(), &[]).unwrap().0.unwrap().1;
    assert_eq!((facts.hops, facts.eight_bit, facts.nul, facts.longest_line), (3, true, false, 16));
    let facts = data(b"a\0b\r\n.\r\n", &[]).unwrap().0.unwrap().1;
    assert_eq!(facts, Facts { size: 5, longest_line: 3, nul: true, ..Facts::default() });
}

#[test]
fn the_last_chunk_ends_its_last_line() {
    for (chunk, content) in [("", ""), ("a", "a\r\n"), ("a\r\n", "a\r\n"), (".", ".\r\n")] {
        let (mut receiver, mut out) = (Receiver::bdat(), Vec::new());
        receiver.receive(&mut chunk.as_bytes(), &mut out).unwrap();
        receiver.finish(&mut out).unwrap();
        assert_eq!(out, content.as_bytes());
        assert_eq!(receiver.facts().size, content.len() as u64);
    }
    let mut receiver = Receiver::bdat();
    receiver.receive(&mut &b"a\r"[..], &mut Vec::new()).unwrap();
    assert_eq!(receiver.finish(&mut Vec::new()), Err(Bare));
}

/// Few bytes, all of which matter.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(&b"\r\n"[..]),
        Just(&b"."[..]),
        Just(&b"a"[..]),
        Just(&b"\r"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r\n.\r\n"[..]),
        Just(&b"Received:"[..]),
        Just(&b"\xe4\0"[..]),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..6, 0..40)
}

/// A line break that breaks nothing is not bare: `\r` before `\n`, or `\n` after `\r`.
fn is_bare(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content).replace("\r\n", "");
    text.contains(['\r', '\n'])
}

proptest! {
    #[test]
    fn every_cut_gives_the_same(wire in wire(), cuts in cuts()) {
        prop_assert_eq!(data(&wire, &cuts), data(&wire, &[]));
    }

    #[test]
    fn a_bare_cr_or_lf_is_refused_wherever_it_stands(
        lines in prop::collection::vec("[a.]{0,4}", 0..6),
        at in 0_usize..40,
        byte in prop::sample::select(&b"\r\n"[..]),
        cuts in cuts(),
    ) {
        let mut content: Vec<u8> = lines.join("\r\n").into_bytes();
        content.insert(at.min(content.len()), byte);
        let wire = [&content[..], b"x\r\n.\r\n"].concat();
        prop_assume!(is_bare(&wire));
        let refused = Receiver::bdat().receive(&mut &wire[..], &mut Vec::new());
        prop_assert_eq!(refused, Err(Bare));
        // DATA may end before the place, and then what follows is no content.
        match data(&wire, &cuts) {
            Err(Bare) => {}
            Ok((received, after)) => {
                prop_assert!(received.is_some() && is_bare(&after));
            }
        }
    }

    #[test]
    fn what_the_client_side_writes_arrives(
        lines in prop::collection::vec("[a.\u{e4}]{0,5}", 0..8),
        cuts in cuts(),
    ) {
        let content = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let (mut stuffing, mut wire) = (crate::client::Stuffing::default(), Vec::new());
        stuffing.push(content.as_bytes(), &mut wire);
        stuffing.finish(&mut wire);
        let (received, after) = data(&wire, &cuts).unwrap();
        prop_assert_eq!(received.unwrap().0, content.as_bytes());
        prop_assert!(after.is_empty());
    }
}
