//! Content as it arrives: by DATA (RFC 5321 §4.1.1.4, §4.5.2) or BDAT (RFC 3030).
//!
//! **Invariant:** lines end with CRLF alone. A CR or an LF by itself is an error wherever it
//! stands, also where a piece of input ends, and only CRLF `.` CRLF ends DATA; however the input
//! is cut, the result is the same.

use memchr::{memchr, memchr2};

/// A CR or an LF that is not part of a CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare;

/// How far the content has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input is consumed.
    More,
    /// The end of data was reached; what follows is the next command.
    End,
}

/// What was seen in the content so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bytes, dots removed.
    pub size: u64,
    /// Bytes of the longest line, without its end.
    pub longest_line: usize,
    /// A byte over 127.
    pub eight_bit: bool,
    pub nul: bool,
    /// `Received` fields in the header.
    pub hops: usize,
}

/// Takes content apart from the dialogue around it.
#[derive(Debug)]
pub struct Receiver {
    framing: Framing,
    place: Place,
    line: usize,
    header: Header,
    facts: Facts,
}

/// How the end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By a dot alone; other lines with a dot in front carry one too many.
    Dot,
    /// By counting.
    Count,
}

/// Where in the line the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Text,
    /// After a CR.
    Cr,
    /// After a dot at the start of the line, which is not content.
    Dot,
    /// After such a dot and a CR.
    DotCr,
}

impl Receiver {
    /// For DATA.
    #[must_use]
    pub fn data() -> Self {
        Self::new(Framing::Dot)
    }

    /// For BDAT; the chunks of one message go to one receiver.
    #[must_use]
    pub fn bdat() -> Self {
        Self::new(Framing::Count)
    }

    fn new(framing: Framing) -> Self {
        let (place, header) = (Place::Start, Header::default());
        Self { framing, place, line: 0, header, facts: Facts::default() }
    }

    /// What was seen so far.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Consumes `input` up to the end of data and appends the content in it to `out`.
    ///
    /// # Errors
    /// [`Bare`]; the receiver is then of no more use.
    pub fn receive(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Progress, Bare> {
        let before = out.len();
        let result = self.take(input, out);
        let new = out.get(before..).unwrap_or_default();
        self.facts.size += new.len() as u64;
        self.facts.eight_bit |= !new.is_ascii();
        self.facts.nul |= memchr(0, new).is_some();
        result
    }

    /// The last chunk is complete: ends an unfinished last line.
    ///
    /// # Errors
    /// [`Bare`], if the content ends with a CR.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Bare> {
        match self.place {
            Place::Start => Ok(()),
            Place::Text | Place::Dot => {
                out.extend_from_slice(b"\r\n");
                self.facts.size += 2;
                self.end_line();
                Ok(())
            }
            Place::Cr | Place::DotCr => Err(Bare),
        }
    }

    /// Content is copied in runs as long as possible: only a dot that goes interrupts one.
    fn take(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Progress, Bare> {
        let mut run = *input;
        loop {
            let Some((&first, rest)) = input.split_first() else {
                out.extend_from_slice(run);
                return Ok(Progress::More);
            };
            match (self.place, first) {
                (Place::Start, b'.') if self.framing == Framing::Dot => {
                    copy_until(input, run, out);
                    *input = rest;
                    run = rest;
                    self.place = Place::Dot;
                }
                (Place::Dot, b'\r') => {
                    *input = rest;
                    run = rest;
                    self.place = Place::DotCr;
                }
                (Place::DotCr, b'\n') => {
                    *input = rest;
                    return Ok(Progress::End);
                }
                (Place::Cr, b'\n') => {
                    *input = rest;
                    self.end_line();
                }
                (Place::Cr | Place::DotCr, _) => return Err(Bare),
                (Place::Start | Place::Text | Place::Dot, _) => self.text(input)?,
            }
        }
    }

    /// Consumes text up to and with the next CR.
    fn text(&mut self, input: &mut &[u8]) -> Result<(), Bare> {
        let end = memchr2(b'\r', b'\n', input);
        let (text, rest) = input.split_at(end.unwrap_or(input.len()));
        self.header.see(text);
        self.line += text.len();
        self.place = Place::Text;
        *input = rest;
        match rest.split_first() {
            Some((b'\r', rest)) => {
                self.place = Place::Cr;
                *input = rest;
                Ok(())
            }
            Some(_) => Err(Bare),
            None => Ok(()),
        }
    }

    fn end_line(&mut self) {
        self.facts.longest_line = self.facts.longest_line.max(self.line);
        self.facts.hops += usize::from(self.header.end_line(self.line == 0));
        self.line = 0;
        self.place = Place::Start;
    }
}

/// Copies the part of `run` that `input`, its tail, has passed.
fn copy_until(input: &[u8], run: &[u8], out: &mut Vec<u8>) {
    let (passed, _) = run.split_at(run.len() - input.len());
    out.extend_from_slice(passed);
}

const RECEIVED: &[u8; 9] = b"received:";

/// Counts `Received` fields (RFC 5321 §6.3) without keeping more of a line than its start.
#[derive(Debug, Default)]
struct Header {
    start: [u8; RECEIVED.len()],
    known: usize,
    over: bool,
}

impl Header {
    fn see(&mut self, text: &[u8]) {
        if self.over {
            return;
        }
        let free = self.start.iter_mut().skip(self.known);
        self.known += free.zip(text).map(|(slot, byte)| *slot = byte.to_ascii_lowercase()).count();
    }

    /// Was the line the start of a `Received` field?
    fn end_line(&mut self, empty: bool) -> bool {
        let received = !self.over && self.known == RECEIVED.len() && self.start == *RECEIVED;
        self.over |= empty;
        self.known = 0;
        received
    }
}

#[cfg(test)]
mod tests;
