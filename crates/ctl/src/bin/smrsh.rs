//! `smrsh`: runs the programs of one directory, and no other.

fn main() -> std::process::ExitCode {
    ctl::smrsh::main()
}
