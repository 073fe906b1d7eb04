//! svc: the services that init supervises, by its file /dev/svc.

use super::given::Given;
use super::text;
use portolan::abi::file::OWRITE;
use portolan::alloc::format;
use portolan::{Error, File, Result, fs, println};

const FILE: &str = "/dev/svc";

pub(super) fn svc(g: &mut Given) -> Result<()> {
    match g.rest[..] {
        [] | [b"list"] => list(),
        [word @ (b"start" | b"stop" | b"restart"), name] => {
            let (word, name) = (text(word), text(name));
            let f = File::open(FILE, OWRITE).map_err(|e| Error::of(FILE, e))?;
            f.write_all(format!("{word} {name}").as_bytes())
                .map_err(|e| Error::of(format!("{word} {name}"), e))
        }
        _ => Err(g.wrong()),
    }
}

fn list() -> Result<()> {
    let all = text(&fs::read(FILE).map_err(|e| Error::of(FILE, e))?);
    println!("{:10} {:8} {:>5} {:>6} {:>7}  last end", "service", "state", "pid", "starts", "seconds");
    for line in all.lines() {
        let mut words = line.splitn(6, ' ');
        let mut word = || words.next().unwrap_or("");
        println!("{:10} {:8} {:>5} {:>6} {:>7}  {}", word(), word(), word(), word(), word(), word());
    }
    Ok(())
}
