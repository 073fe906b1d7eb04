//! The command tap9.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use con9::link::Address;
use tap9::proxy::{self, Listener};
use tap9::trace::Trace;
use tap9::trouble::Trouble;

const USAGE: &str = "\
usage: tap9 --listen ADDRESS --to ADDRESS [--trace] [--pcap FILE] [--delay MS] [--truncate N]
            [--corrupt RATE] [--drop RATE] [--reorder] [--only requests|replies] [--seed N]

Stands between 9P clients and the server at --to. An ADDRESS is tcp!HOST!PORT or unix!PATH; it listens on this machine only.

  --trace          a line for each message, on standard error
  --pcap FILE      a capture file that tshark and wireshark understand
  --delay MS       each message arrives so much later
  --truncate N     the Nth message of each way is cut in its middle, and the connection ends
  --corrupt RATE   one bit of a message is flipped, with this probability (0 to 1)
  --drop RATE      a message is lost, with this probability
  --reorder        replies that don't depend on each other change places
  --only WAY       only requests, or only replies, have trouble
  --seed N         the same seed makes the same trouble (default 1)
";

struct Arguments {
    listen: Address,
    to: Address,
    trouble: Trouble,
    trace: bool,
    pcap: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(rate),
        _ => Err(format!("{text:?} is not a probability from 0 to 1")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn arguments() -> Result<Arguments, String> {
    let (mut listen, mut to, mut pcap, mut trace) = (None, None, None, false);
    let mut trouble = Trouble::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--listen" => listen = Some(value()?.parse()?),
            "--to" => to = Some(value()?.parse()?),
            "--trace" => trace = true,
            "--pcap" => pcap = Some(value()?.into()),
            "--delay" => trouble.delay = Duration::from_millis(number(&value()?)?),
            "--truncate" => trouble.truncate = number(&value()?)?,
            "--corrupt" => trouble.corrupt = rate(&value()?)?,
            "--drop" => trouble.drop = rate(&value()?)?,
            "--reorder" => trouble.reorder = true,
            "--seed" => trouble.seed = number(&value()?)?,
            "--only" => match value()?.as_str() {
                "requests" => trouble.replies = false,
                "replies" => trouble.requests = false,
                other => return Err(format!("--only requests or replies, not {other:?}")),
            },
            _ => return Err(format!("{arg:?} is not understood")),
        }
    }
    let listen = listen.ok_or("--listen ADDRESS is missing")?;
    Ok(Arguments { listen, to: to.ok_or("--to ADDRESS is missing")?, trouble, trace, pcap })
}

fn main() -> ExitCode {
    if std::env::args().any(|a| a == "--help") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(e) => {
            eprintln!("tap9: {e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("tap9: {e}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> std::io::Result<()> {
    let trace = Arc::new(Trace::new(arguments.trace, arguments.pcap.as_deref())?);
    let listener = Listener::listen(&arguments.listen)?;
    proxy::run(&listener, &arguments.to, &arguments.trouble, &trace)
}
