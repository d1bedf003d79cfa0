//! `makemap`: writes the database of a map.

fn main() -> std::process::ExitCode {
    ctl::map::makemap()
}
