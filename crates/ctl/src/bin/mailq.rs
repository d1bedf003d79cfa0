//! `mailq`: lists the queue; it is `sendmail -bp`.

fn main() -> std::process::ExitCode {
    ctl::sendmail::main()
}
