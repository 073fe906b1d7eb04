//! NAME: prints its arguments, and how many lines each file of that name has.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

/// Lines of a text, counted the same everywhere.
fn lines(text: &[u8]) -> usize {
    text.iter().filter(|b| **b == b'\n').count()
}

#[cfg(portolan)]
fn program() -> portolan::Result<()> {
    use portolan::{Error, args, fs, println};
    for path in args().skip(1) {
        let name = portolan::alloc::string::String::from_utf8_lossy(path);
        let text = fs::read(path).map_err(|e| Error::of(&name, e))?;
        println!("{name} {}", lines(&text));
    }
    Ok(())
}

#[cfg(portolan)]
portolan::program!(program);

#[cfg(not(portolan))]
fn main() -> Result<(), String> {
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
        println!("{path} {}", lines(&text));
    }
    Ok(())
}
