//! `purgestat`: forgets what is known of next hops and old; it is `sendmail -bH`.

fn main() -> std::process::ExitCode {
    ctl::sendmail::main()
}
