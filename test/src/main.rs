//! The program `scenarios`; `cargo xtask test` starts it. Everything is in the library beside it.

fn main() -> std::process::ExitCode {
    scenarios::main()
}
