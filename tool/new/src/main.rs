//! new: begins a program or a server: `cargo xtask new NAME --server|--program`.
//!
//! A plain name makes a package of the workspace in `srv` or `cmd`; a path makes one anywhere else, which depends on this
//! checkout. What is written is in `templates`; the test s72_new builds and runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask new NAME|PATH --server|--program
Begins a file server or a program: NAME in this workspace, below srv or cmd; PATH (with a /) anywhere else.";

/// The template of a server, which doc/write-a-server.md shows.
const SERVER: &str = include_str!("../templates/server.rs");
const PROGRAM: &str = include_str!("../templates/program.rs");

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match new(&words) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("new: {words}");
            ExitCode::from(2)
        }
    }
}

fn new(words: &[String]) -> Result<String, String> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|w| w.starts_with('-'));
    let server = match (&flags[..], &names[..]) {
        (["--server"], [_]) => true,
        (["--program"], [_]) => false,
        (["-h" | "--help"], _) => return Ok(USAGE.into()),
        _ => return Err(USAGE.into()),
    };
    let (root, inside) = (xtask::root(), !names[0].contains('/'));
    let dir = if inside {
        root.join(if server { "srv" } else { "cmd" }).join(names[0])
    } else {
        // Relative to where the user is, not to the workspace, from which cargo runs this.
        std::path::absolute(names[0]).map_err(|e| e.to_string())?
    };
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !good {
        return Err(format!(
            "{name}: a name is lower-case letters, digits, - and _, and begins with a letter"
        ));
    }
    if dir.exists() {
        return Err(format!("{} is there already", dir.display()));
    }
    let write = |file: &str, text: String| {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&dir))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| format!("{}: {e}", path.display()))
    };
    write("Cargo.toml", manifest(&name, server, (!inside).then_some(&root)))?;
    write("src/main.rs", if server { SERVER } else { PROGRAM }.replace("NAME", &name))?;
    if !inside {
        write(".cargo/portolan.toml", config(&root)?)?;
    }
    Ok(next(&name, server, &dir, &root, inside))
}

/// The package's manifest; with a root, that of a package of its own beside it.
fn manifest(name: &str, server: bool, root: Option<&PathBuf>) -> String {
    let dependency = |name: &str, package: &str, path: &str| match root {
        None => format!("{name}.workspace = true\n"),
        Some(root) => {
            format!("{name} = {{ package = \"{package}\", path = \"{}\" }}\n", root.join(path).display())
        }
    };
    let mut text = format!("[package]\nname = \"{name}\"\ndescription = \"Says what it is for\"\n");
    text += match root {
        None => {
            "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
                 license.workspace = true\npublish.workspace = true\n"
        }
        Some(_) => "version = \"0.1.0\"\nedition = \"2024\"\npublish = false\n",
    };
    text += &format!("\n[[bin]]\nname = \"{name}\"\npath = \"src/main.rs\"\ntest = false\nbench = false\n");
    text += "\n[dependencies]\n";
    if server {
        text += &dependency("abi", "portolan-abi", "abi");
        text += &dependency("ninep", "portolan-ninep", "ninep");
        text += &dependency("serve", "portolan-serve", "lib/serve");
        text += &dependency("sync", "portolan-sync", "lib/sync");
    }
    text += "\n[target.'cfg(portolan)'.dependencies]\n";
    text += &dependency("portolan", "portolan", "lib/portolan");
    if server {
        text += "\n[target.'cfg(not(portolan))'.dependencies]\n";
        text += &dependency("net9", "net9", "lib/net9");
    }
    text += match root {
        None => "\n[lints]\nworkspace = true\n",
        Some(_) => {
            "\n[lints.rust]\nunexpected_cfgs = { level = \"warn\", check-cfg = [\"cfg(portolan)\"] }\n\
             \n[profile.release]\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\n\
             \n# A workspace of its own.\n[workspace]\n"
        }
    };
    text
}

/// How the program is built for the machine: as this workspace's are, with the whole path of the linker's script.
fn config(root: &Path) -> Result<String, String> {
    let path = root.join("lib/user.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(text.replace("-Tlib/rt/user.ld", &format!("-T{}", root.join("lib/rt/user.ld").display())))
}

/// What to do next.
fn next(name: &str, server: bool, dir: &Path, root: &Path, inside: bool) -> String {
    let (shown, root) = (dir.display(), root.display());
    let arguments = if server { "'tcp!127.0.0.1!5640'" } else { "Cargo.toml" };
    let script = if server {
        format!("{name}; mount /srv/{name} /n; echo hello >/n/note; cat /n/note")
    } else {
        format!("{name} /lib/services")
    };
    if inside {
        return format!(
            "{shown} is begun. On this host:\n  cargo run -p {name} -- {arguments}\nIn the machine:\n  \
             cargo xtask run -c '{script}'"
        );
    }
    format!(
        "{shown} is begun. There, on this host:\n  cargo run -- {arguments}\nFor the machine:\n  \
         cargo --config .cargo/portolan.toml build --release\nand in {root}:\n  cargo xtask run --share \
         {shown}/target/portolan/x86_64-unknown-linux-gnu/release -c '/n/host/{script}'"
    )
}
