//! `editmap`: asks for or changes an entry of a map.

fn main() -> std::process::ExitCode {
    ctl::map::editmap()
}
