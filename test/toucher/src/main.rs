//! toucher: fills memory and checks every byte of it: `toucher own MIB SEED`, `toucher file PATH SEED`,
//! `toucher pair PATH SEED`.
//!
//! Memory of its own is written and read twice; a file is attached, written and read, and its bytes are then the same as
//! the host makes by the same rule. The scenario s47_swap runs several at once in a machine with less memory than that. As
//! a pair two processes have the file attached, and one sees what the other changes: s45_segments.
#![cfg_attr(portolan, no_std, no_main)]
#![cfg_attr(portolan, allow(unsafe_code, reason = "the program's symbol is found by the linker"))]

#[cfg(portolan)]
portolan::program!(on::main);

#[cfg(portolan)]
mod on {
    use portolan::abi::file::{ORDWR, OREAD, RFFDG};
    use portolan::abi::limit::PAGE;
    use portolan::alloc::format;
    use portolan::alloc::vec::Vec;
    use portolan::segment::{Access, Segment};
    use portolan::{Error, File, Result, fs, println, process};

    /// What a page of eight-byte words is filled with: the word's number in the whole, stirred with a seed.
    fn word(seed: u64, at: usize) -> u64 {
        ((at as u64).wrapping_add(seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    }

    fn fill(page: &mut [u8], seed: u64, from: usize) {
        for (i, to) in page.chunks_exact_mut(8).enumerate() {
            to.copy_from_slice(&word(seed, from + 8 * i).to_le_bytes());
        }
    }

    fn check(page: &[u8], seed: u64, from: usize) -> Result<()> {
        for (i, b) in page.chunks_exact(8).enumerate() {
            if *b != word(seed, from + 8 * i).to_le_bytes() {
                return Err(Error::new(&format!("wrong at {}: {b:?}", from + 8 * i)));
            }
        }
        Ok(())
    }

    fn own(len: usize, seed: u64) -> Result<()> {
        let mut all: Vec<u8> = Vec::new();
        all.try_reserve_exact(len).map_err(|_| Error::new("out of memory"))?;
        all.resize(len, 0);
        for round in 0..2 {
            for (n, page) in all.chunks_exact_mut(PAGE).enumerate() {
                if round > 0 {
                    check(page, seed, n * PAGE)?;
                }
                fill(page, seed + round, n * PAGE);
            }
            for (n, page) in all.chunks_exact(PAGE).enumerate() {
                check(page, seed + round, n * PAGE)?;
            }
        }
        Ok(())
    }

    fn file(path: &[u8], seed: u64) -> Result<()> {
        let file = File::open(path, ORDWR)?;
        let len = fs::fstat(&file)?.stat().length as usize;
        let s = Segment::of_file(&file, Access::Write, 0, len)?;
        let mut page = [0; PAGE];
        for at in (0..len).step_by(PAGE) {
            fill(&mut page, seed, at);
            s.write(at, &page)?;
        }
        for at in (0..len).step_by(PAGE) {
            s.read(at, &mut page)?;
            check(&page, seed, at)?;
        }
        s.detach()
    }

    /// Has a file that is filled by `seed` attached, and sees another process fill it by the next. Both say that all is right.
    fn pair(path: &[u8], seed: u64) -> Result<()> {
        let reader = File::open(path, OREAD)?;
        let len = fs::fstat(&reader)?.stat().length as usize;
        let s = Segment::of_file(&reader, Access::Read, 0, len)?;
        let filled = |seed| {
            let mut page = [0; PAGE];
            (0..len)
                .step_by(PAGE)
                .try_for_each(|at| s.read(at, &mut page).and_then(|()| check(&page, seed, at)))
        };
        filled(seed)?;
        if process::fork(RFFDG)? == 0 {
            return file(path, seed + 1);
        }
        let ended = process::wait()?;
        if !ended.status.is_empty() {
            return Err(Error::new(&ended.status));
        }
        filled(seed + 1)
    }

    pub(crate) fn main() -> Result<()> {
        let words: Vec<&[u8]> = portolan::args().skip(1).collect();
        let number = |w: &[u8]| core::str::from_utf8(w).ok().and_then(|t| t.parse::<u64>().ok());
        let done = match words[..] {
            [b"own", mib, seed] => own((number(mib).unwrap_or(0) as usize) << 20, number(seed).unwrap_or(0)),
            [b"file", path, seed] => file(path, number(seed).unwrap_or(0)),
            [b"pair", path, seed] => pair(path, number(seed).unwrap_or(0)),
            _ => Err(Error::new("usage: toucher own MIB SEED | file PATH SEED | pair PATH SEED")),
        };
        done?;
        println!("all right");
        Ok(())
    }
}

#[cfg(not(portolan))]
fn main() {
    eprintln!("toucher: runs inside Portolan, by cargo xtask test s47");
    std::process::exit(1);
}
