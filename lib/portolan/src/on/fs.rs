//! Files by name: directories, attributes, removal, and the namespace.

use super::error::{Error, Result, check};
use super::file::File;
use crate::alloc::string::String;
use crate::alloc::vec::Vec;
use crate::sys;
use abi::error::Error as Known;
use abi::file::{DMDIR, OREAD};
use abi::limit;
pub use ninep::Stat;

/// Attributes as the kernel gave them: the record, and [`Attributes::stat`] to read it.
#[derive(Clone, Debug)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    fn read(get: impl FnOnce(&mut [u8]) -> Option<usize>) -> Result<Attributes> {
        let mut buf = Vec::new();
        buf.try_reserve(limit::STAT).map_err(|_| Known::NoMemory)?;
        buf.resize(limit::STAT, 0);
        let n = check(get(&mut buf))?;
        buf.truncate(n);
        Stat::decode(&buf).map_err(|_| Known::BadStat)?;
        Ok(Attributes(buf))
    }

    /// The fields.
    pub fn stat(&self) -> Stat<'_> {
        // `read` has decoded it once.
        Stat::decode(&self.0).unwrap_or(Stat::NOCHANGE)
    }
}

/// The attributes of a file.
pub fn stat(path: impl AsRef<[u8]>) -> Result<Attributes> {
    Attributes::read(|b| sys::stat(path.as_ref(), b))
}

/// The attributes of an open file.
pub fn fstat(f: &File) -> Result<Attributes> {
    Attributes::read(|b| sys::fstat(f.fd(), b))
}

/// Changes attributes; fields as in [`Stat::NOCHANGE`] stay.
pub fn wstat(path: impl AsRef<[u8]>, change: &Stat<'_>) -> Result<()> {
    let mut buf = Vec::new();
    buf.try_reserve(limit::STAT).map_err(|_| Known::NoMemory)?;
    buf.resize(limit::STAT, 0);
    let n = change.encode(&mut buf).map_err(|_| Known::NameTooLong)?;
    check(sys::wstat(path.as_ref(), &buf[..n]))
}

/// Removes a file or an empty directory.
pub fn remove(path: impl AsRef<[u8]>) -> Result<()> {
    check(sys::remove(path.as_ref()))
}

/// Makes a directory.
pub fn create_dir(path: impl AsRef<[u8]>, perm: u32) -> Result<()> {
    File::create(path, u32::from(OREAD) | abi::file::OEXCL, DMDIR | perm).map(drop)
}

/// Is there such a file?
pub fn exists(path: impl AsRef<[u8]>) -> bool {
    stat(path).is_ok()
}

/// Changes the working directory.
pub fn change_dir(path: impl AsRef<[u8]>) -> Result<()> {
    check(sys::chdir(path.as_ref()))
}

/// The working directory's path.
pub fn current_dir() -> Result<Vec<u8>> {
    File::open(".", OREAD)?.path()
}

/// The whole of a file.
pub fn read(path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    File::open(path, OREAD)?.read_all()
}

/// The whole of a file that is text.
pub fn read_to_string(path: impl AsRef<[u8]>) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new("not UTF-8 text"))
}

/// Gives a file another name in its directory, which replaces a file that has it. 9P has no renaming over a file, so
/// where the server knows none for a moment the name is nobody's.
pub fn rename(path: impl AsRef<[u8]>, name: &str) -> Result<()> {
    let path = path.as_ref();
    let change = Stat { name, ..Stat::NOCHANGE };
    let dir = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let to = [&path[..dir], name.as_bytes()].concat();
    match wstat(path, &change) {
        Err(_) if exists(&to) => {
            remove(&to)?;
            wstat(path, &change)
        }
        r => r,
    }
}

/// Makes a file that holds just this.
pub fn write(path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Result<()> {
    File::create(path, u32::from(abi::file::OWRITE | abi::file::OTRUNC), 0o666)?.write_all(data.as_ref())
}

/// Calls `each` with the record of every entry of a directory, in the server's order, until it fails.
pub fn each_entry(dir: &File, mut each: impl FnMut(Stat<'_>) -> Result<()>) -> Result<()> {
    let mut buf = Vec::new();
    buf.try_reserve(8192).map_err(|_| Known::NoMemory)?;
    buf.resize(8192, 0);
    loop {
        let n = dir.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        for s in ninep::Stats::new(&buf[..n]) {
            each(s.map_err(|_| Error::from(Known::BadStat))?)?;
        }
    }
}

/// Makes the file `new` appear at `old`.
pub fn bind(new: impl AsRef<[u8]>, old: impl AsRef<[u8]>, flags: u32) -> Result<()> {
    check(sys::bind(new.as_ref(), old.as_ref(), flags))
}

/// Attaches to the server behind a descriptor and puts its root at `old`.
pub fn mount(server: &File, old: impl AsRef<[u8]>, flags: u32, aname: &str) -> Result<()> {
    check(sys::mount(server.fd(), -1, old.as_ref(), flags, aname.as_bytes()))
}

/// Undoes a bind or mount; an empty `new` takes everything off `old`.
pub fn unmount(new: impl AsRef<[u8]>, old: impl AsRef<[u8]>) -> Result<()> {
    check(sys::unmount(new.as_ref(), old.as_ref()))
}
