//! What names for others cost a message: microseconds for its header.
//!
//! `cargo bench -p routing`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, for a person")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use message::{Party, rewrite_header};
use routing::{Border, Masquerade, Part, Settings, Taker};
use tables::{Reader, Source};

const MESSAGES: u32 = 100_000;
const LINES: usize = 100_000;

/// `genericstable` and the domain that it is for.
struct Tables(String);

impl Source for Tables {
    type Error = Infallible;

    fn table<T: Default>(&self, name: &str, read: Reader<T>) -> Result<T, Infallible> {
        let text = match name {
            "genericstable" => self.0.as_str(),
            "generics-domains" => "mail.example.org\n",
            _ => "",
        };
        Ok(read(name, &mut text.as_bytes()).unwrap().table)
    }
}

fn main() {
    let received = "Received: from mx.example.net (mx.example.net [192.0.2.1])\r\n\tby mail.example.org \
                    (Pennypost) with ESMTP\r\n\tid 00000000000\r\n\tfor <alice@example.org>;\r\n\
                    \tSat, 21 Nov 2026 04:35:50 +0000\r\n";
    let header = |from: &str| {
        format!(
            "{}Date: Sat, 21 Nov 2026 04:35:50 +0000\r\nFrom: Alice Smith <{from}>\r\n\
             To: \"Bob\" <bob@example.net>,\r\n carol@example.net, Dave <dave@example.com>\r\n\
             Message-ID: <20261121043550@example.org>\r\nSubject: a message of the usual kind\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
            received.repeat(3)
        )
    };
    let masquerade = Masquerade { name: Some("example.org".to_owned()), ..Masquerade::default() };
    let border = border(String::new(), masquerade.clone());
    measure("masqueraded", &border, |_| header("alice@mail.example.org"));
    measure("looked at, nothing changes", &border, |_| header("alice@example.com"));
    let lines: String =
        (0..LINES).map(|n| format!("user{n} First.Last{n}@example.org\n")).collect();
    let border = self::border(lines, masquerade);
    measure("in a genericstable of 100,000 lines", &border, |n| {
        header(&format!("user{n}@mail.example.org"))
    });
}

fn border(generics: String, masquerade: Masquerade) -> Border {
    let settings = Settings { hostname: "mail.example.org".to_owned(), ..Settings::default() };
    let Ok(border) = Border::read(settings, masquerade, &Tables(generics));
    border
}

fn measure(what: &str, border: &Border, header: impl Fn(usize) -> String) {
    let headers: Vec<_> = (0..1000).map(|n| header(n * 97)).collect();
    let begun = Instant::now();
    for (_, header) in (0..MESSAGES).zip(headers.iter().cycle()) {
        black_box(rewrite_header(header.as_bytes(), |party, written| {
            let part = match party {
                Party::Sender => Part::HeaderSender,
                Party::Recipient => Part::HeaderRecipient,
            };
            let which = (part, Taker::Smtp);
            border.rewrite(which, written.local, written.domain, &mut Vec::new())
        }));
    }
    let each = begun.elapsed() / MESSAGES;
    println!("{what}: {:.2} µs", each.as_secs_f64() * 1e6);
}
