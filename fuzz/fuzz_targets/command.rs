//! Any line is a command or a clear refusal, and what a command holds reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp::command::Path;
use smtp::{Charset, Command};

fuzz_target!(|line: &[u8]| {
    match Command::parse(line) {
        Ok(Command::Mail(mail)) => reads_back(&mail.path),
        Ok(Command::Rcpt(rcpt)) => reads_back(&rcpt.path),
        Ok(_) => {}
        Err(error) => {
            let mut reply = Vec::new();
            error.reply().write(Charset::Utf8, &mut reply);
            let text = reply.strip_suffix(b"\r\n").expect("a reply is a line");
            assert!(matches!(text.first(), Some(b'4' | b'5')));
            let said = text.split(|&byte| byte == b'\n').all(|line| {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                line.len() <= 510 && !line.iter().any(u8::is_ascii_control)
            });
            assert!(said, "{:?}", String::from_utf8_lossy(text));
        }
    }
});

fn reads_back(path: &Path) {
    if let Path::Mailbox(address) = path {
        assert_eq!(address.to_string().parse().as_ref(), Ok(address));
    }
}
