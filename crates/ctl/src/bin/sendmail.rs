//! `sendmail`: takes a message from a program and submits it.

fn main() -> std::process::ExitCode {
    ctl::sendmail::main()
}
