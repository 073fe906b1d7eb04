//! xtask: builds, runs, tests and measures Portolan.
fn main() {
    eprintln!("xtask: usage: cargo xtask run|test");
    std::process::exit(2);
}
