//! `hoststat`: what is known of next hops; it is `sendmail -bh`.

fn main() -> std::process::ExitCode {
    ctl::sendmail::main()
}
