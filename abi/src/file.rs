//! Qids, open modes, permissions and flags: the bits of section 5 and of open(2), bind(2) and fork(2).

/// The server's name for a file (intro(5)): unique in its tree for as long as the tree is served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(C)]
pub struct Qid {
    /// The high byte of the file's mode: [`QTDIR`] and so on.
    pub kind: u8,
    /// Counts the file's changes; 0 means that the file is never cached.
    pub vers: u32,
    /// Unique among the files of the tree.
    pub path: u64,
}

impl Qid {
    /// Is it a directory?
    pub const fn is_dir(self) -> bool {
        self.kind & QTDIR != 0
    }
}

/// Qid of a directory.
pub const QTDIR: u8 = 0x80;
/// Qid of an append-only file.
pub const QTAPPEND: u8 = 0x40;
/// Qid of an exclusive-use file.
pub const QTEXCL: u8 = 0x20;
/// Qid of a mounted channel.
pub const QTMOUNT: u8 = 0x10;
/// Qid of an authentication file.
pub const QTAUTH: u8 = 0x08;
/// Qid of a file not in the nightly backup.
pub const QTTMP: u8 = 0x04;
/// Qid of a plain file.
pub const QTFILE: u8 = 0x00;

/// Mode bit of a directory.
pub const DMDIR: u32 = 0x8000_0000;
/// Mode bit of an append-only file.
pub const DMAPPEND: u32 = 0x4000_0000;
/// Mode bit of an exclusive-use file.
pub const DMEXCL: u32 = 0x2000_0000;
/// Mode bit of a mounted channel.
pub const DMMOUNT: u32 = 0x1000_0000;
/// Mode bit of an authentication file.
pub const DMAUTH: u32 = 0x0800_0000;
/// Mode bit of a file not in the nightly backup.
pub const DMTMP: u32 = 0x0400_0000;
/// Permission to read, for others; shifted left by 3 for the group, by 6 for the owner.
pub const DMREAD: u32 = 4;
/// Permission to write.
pub const DMWRITE: u32 = 2;
/// Permission to execute, or to walk a directory.
pub const DMEXEC: u32 = 1;

/// Open for reading.
pub const OREAD: u8 = 0;
/// Open for writing.
pub const OWRITE: u8 = 1;
/// Open for reading and writing.
pub const ORDWR: u8 = 2;
/// Open for execution: reading, by permission to execute.
pub const OEXEC: u8 = 3;
/// Truncate the file first.
pub const OTRUNC: u8 = 0x10;
/// Close the descriptor on exec; never leaves the kernel.
pub const OCEXEC: u8 = 0x20;
/// Remove the file when the fid is clunked.
pub const ORCLOSE: u8 = 0x40;
/// With create(2): fail if the file exists. Never leaves the kernel; stands above the mode's byte.
pub const OEXCL: u32 = 0x1000;

/// bind(2), mount(2): replace.
pub const MREPL: u32 = 0;
/// bind(2), mount(2): before the others of the union.
pub const MBEFORE: u32 = 1;
/// bind(2), mount(2): after the others of the union.
pub const MAFTER: u32 = 2;
/// bind(2), mount(2): files may be created in this element.
pub const MCREATE: u32 = 4;
/// bind(2), mount(2): what appears there, and all below it, can't be changed by this way.
pub const MRDONLY: u32 = 8;
/// mount(2): the file's contents may be cached.
pub const MCACHE: u32 = 16;

/// rfork(2): a new namespace, copied from the old.
pub const RFNAMEG: u32 = 1 << 0;
/// rfork(2): a new environment, copied.
pub const RFENVG: u32 = 1 << 1;
/// rfork(2): a new descriptor table, copied.
pub const RFFDG: u32 = 1 << 2;
/// rfork(2): a new note group.
pub const RFNOTEG: u32 = 1 << 3;
/// rfork(2): a new process, not a change of this one.
pub const RFPROC: u32 = 1 << 4;
/// rfork(2): the child shares the memory.
pub const RFMEM: u32 = 1 << 5;
/// rfork(2): the parent does not wait for the child.
pub const RFNOWAIT: u32 = 1 << 6;
/// rfork(2): a new, empty namespace.
pub const RFCNAMEG: u32 = 1 << 10;
/// rfork(2): a new, empty environment.
pub const RFCENVG: u32 = 1 << 11;
/// rfork(2): a new, empty descriptor table.
pub const RFCFDG: u32 = 1 << 12;
/// rfork(2): a new rendezvous group.
pub const RFREND: u32 = 1 << 13;
/// rfork(2): no mount, and no path that begins with `#`, from now on.
pub const RFNOMNT: u32 = 1 << 14;

/// pwrite: the whole pages of the buffer leave the writer.
pub const GIVE: u32 = 1;
/// pread: the whole pages of the buffer may be replaced by others.
pub const TAKE: u32 = 1;

/// wstat(5): a 32-bit field that is not to change.
pub const NOCHANGE32: u32 = u32::MAX;
/// wstat(5): a 64-bit field that is not to change.
pub const NOCHANGE64: u64 = u64::MAX;

/// segattach: the file's pages can be written, which writes the file.
pub const SGWRITE: u32 = 1;
/// segattach: the file's pages can be executed.
pub const SGEXEC: u32 = 2;
/// segattach: a copy of what the file has now, the caller's own.
pub const SGPRIVATE: u32 = 4;
