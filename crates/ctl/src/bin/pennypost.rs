//! `pennypost`: the administrator's tool.

fn main() -> std::process::ExitCode {
    ctl::pennypost::main()
}
