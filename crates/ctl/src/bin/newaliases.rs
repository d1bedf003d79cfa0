//! `newaliases`: checks the aliases and brings them into force; it is `sendmail -bi`.

fn main() -> std::process::ExitCode {
    ctl::sendmail::main()
}
