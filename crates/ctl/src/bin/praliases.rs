//! `praliases`: prints the aliases.

fn main() -> std::process::ExitCode {
    ctl::praliases::main()
}
