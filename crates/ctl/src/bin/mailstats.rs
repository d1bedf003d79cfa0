//! `mailstats`: how much mail went through, by mailer.

fn main() -> std::process::ExitCode {
    ctl::mailstats::main()
}
