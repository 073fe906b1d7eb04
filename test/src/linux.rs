//! A Linux machine to mount with: Debian's kernel in QEMU, with a root folder made here and nothing else.
//!
//! The kernel package is unpacked under `target`; its 9P and network modules, a static busybox and what a scenario adds
//! become the initial root. The guest runs one script and powers off. What the script writes goes out over a second
//! serial line, so kernel messages can't mix with it. The host's loopback is 10.0.2.2 there.

use crate::ctx::{Ctx, Failure, Proc, ensure};
use bench::linux::{find, unpacked_kernel};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xtask::cpio::Archive;
use xtask::tell;

/// What a scenario that boots Linux asks of Debian.
pub(crate) const PACKAGES: [&str; 2] = ["qemu-system-x86", "busybox-static"];

/// The modules, each after those that it needs.
const MODULES: [&str; 13] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "netfs",
    "fscache",
    "9pnet",
    "9pnet_fd",
    "9p",
];

/// The last line of a script that came to its end.
const END: &str = "-- end of script";

/// The machine to be: a kernel and a root folder.
pub(crate) struct Linux {
    kernel: PathBuf,
    root: Archive,
    scratch: PathBuf,
}

impl Linux {
    /// Fetches the kernel if it is not there yet and makes a root with busybox and the modules.
    pub(crate) fn new(ctx: &Ctx) -> Result<Linux, Failure> {
        let unpacked = unpacked_kernel()?;
        let kernel = find(&unpacked.join("boot"), &|name| name.starts_with("vmlinuz"))
            .ok_or("no vmlinuz in the package")?;
        let mut root = Archive::default();
        for name in MODULES {
            let file = format!("{name}.ko");
            // A driver that is part of the kernel image itself has no file.
            if let Some(path) = find(&unpacked.join("lib/modules"), &|found| found == file) {
                root.file(&format!("modules/{file}"), 0o644, std::fs::read(path)?);
            }
        }
        ensure(root.has("modules/9p.ko"), || "the kernel's package has no 9p.ko".into())?;
        root.file("bin/busybox", 0o755, std::fs::read("/bin/busybox")?);
        ["dev", "proc", "sys", "tmp", "mnt", "root"].iter().for_each(|dir| root.folder(dir));
        root.file(
            "etc/passwd",
            0o644,
            b"root::0:0::/root:/bin/sh\nnobody::65534:65534::/:/bin/sh\ntests::1001:1001::/:/bin/sh\n".into(),
        );
        root.link("etc/mtab", "/proc/mounts");
        root.file("etc/group", 0o644, b"root::0:\nnobody::65534:\ntests::1001:\n".into());
        Ok(Linux { kernel, root, scratch: ctx.scratch().to_path_buf() })
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.root.file(path, mode, data);
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.root.link(path, to);
    }

    /// Adds a program of the host at the same place, with the shared libraries it needs.
    pub(crate) fn program(&mut self, ctx: &Ctx, path: &Path) -> Result<(), Failure> {
        self.root.file(&path.to_string_lossy(), 0o755, std::fs::read(path)?);
        let libraries = tell::output(Command::new("ldd").arg(path)).unwrap_or_default();
        for word in libraries
            .split_whitespace()
            .filter(|w| w.starts_with('/') && !self.root.has(w))
            .collect::<Vec<_>>()
        {
            self.root.file(word, 0o755, std::fs::read(word)?);
        }
        println!("added {} for {}", path.display(), ctx.scratch().display());
        Ok(())
    }

    /// Adds a folder of the host with everything in it, at the same place; links become what they lead to.
    pub(crate) fn tree(&mut self, folder: &Path) -> Result<(), Failure> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.tree(&path)?;
            } else if path.is_file() {
                self.root.file(&path.to_string_lossy(), 0o644, std::fs::read(&path)?);
            }
        }
        Ok(())
    }

    /// Boots, mounts the 9P server at this port of the host's loopback on /mnt, runs the script with busybox' shell and
    /// returns what it wrote. A script that fails, a kernel that dies or a time limit passed is a failure.
    pub(crate) fn run(
        mut self,
        ctx: &Ctx,
        port: u16,
        script: &str,
        limit: Duration,
    ) -> Result<String, Failure> {
        let (initrd, console, result) =
            (self.scratch.join("initrd"), self.scratch.join("console"), self.scratch.join("result"));
        self.root.file("init", 0o755, init(port).into_bytes());
        self.root.file("script", 0o755, script.as_bytes().to_vec());
        std::fs::write(&initrd, self.root.bytes())?;
        std::fs::write(&result, "")?;
        let serial = |path: &Path| format!("file:{}", path.display());
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-M",
            "q35",
            "-cpu",
            "max",
            "-m",
            "1024",
            "-smp",
            "2",
            "-accel",
            "tcg,thread=multi",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net", "-device", "isa-debug-exit"])
        .args([
            "-append",
            "console=ttyS0 quiet panic=-1 mitigations=off",
            "-serial",
            &serial(&console),
            "-serial",
            &serial(&result),
        ])
        .arg("-kernel")
        .arg(&self.kernel)
        .arg("-initrd")
        .arg(&initrd);
        let mut machine = ctx.spawn(&mut qemu)?;
        let waited = ctx.poll(limit, "the Linux machine did not end", || machine.ended().is_some());
        drop(machine);
        let read = |path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
        let (console, said) = (read(&console)?, read(&result)?);
        let tails = || format!("console:\n{}\nscript:\n{}", tell::tail(&console, 12), tell::tail(&said, 12));
        waited.map_err(|f| Failure::Cause(format!("{f:?}\n{}", tails())))?;
        match said.rsplit_once(END) {
            Some((said, rest)) if rest.trim() == "0" => Ok(said.to_string()),
            _ => Err(Failure::Cause(format!("the script failed\n{}", tails()))),
        }
    }
}

fn init(port: u16) -> String {
    let modules: Vec<String> =
        MODULES.iter().map(|m| format!("[ ! -e /modules/{m}.ko ] || insmod /modules/{m}.ko")).collect();
    format!(
        "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin:/usr/local/bin HOME=/root
mount -t devtmpfs none /dev; mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs none /tmp
{}
stty -F /dev/ttyS1 raw
exec >/dev/ttyS1 2>&1
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
n=0
until mount -t 9p -o trans=tcp,port={port},version=9p2000,uname=root,dfltuid=0,dfltgid=0,msize=65536 10.0.2.2 /mnt; do
  n=$((n+1)); [ $n -lt 10 ] || break; sleep 1
done
# The clock of the server is the one that times are compared with: begin a second when it does.
now() {{ rm -f /mnt/now; : >/mnt/now; stat -c %Y /mnt/now; }}
a=$(now); b=$a; while [ $a = $b ]; do b=$(now); done; date -s @$b >/dev/null; rm /mnt/now
grep -q ' /mnt 9p ' /proc/mounts && sh -e /script
echo \"{END} $?\"
sync; poweroff -f
",
        modules.join("\n")
    )
}

/// Starts the ramfs on a free loopback port, with what POSIX clients expect.
pub(crate) fn ramfs(ctx: &Ctx) -> Result<(Proc, u16), Failure> {
    let (program, port) = (ctx.fast_bin("ramfs")?, ctx.port()?);
    let address = format!("tcp!127.0.0.1!{port}");
    let server =
        ctx.spawn(Command::new(program).args(["--posix", "--owner", "root", "--listen", &address]))?;
    ctx.await_port(port)?;
    Ok((server, port))
}
