//! [`Address`]: where to listen or to connect, written as Plan 9 does.

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// `tcp!host!port` or `unix!path`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// A host, `*` for all of this one's addresses, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The text is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadAddress(String);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no address: write tcp!host!port or unix!path", self.0)
    }
}

impl std::error::Error for BadAddress {}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.into());
        match text.split_once('!').ok_or_else(bad)? {
            ("tcp", rest) => {
                let (host, port) = rest.split_once('!').ok_or_else(bad)?;
                let port = if port == "9fs" { 564 } else { port.parse().map_err(|_| bad())? };
                if host.is_empty() { Err(bad()) } else { Ok(Address::Tcp(host.into(), port)) }
            }
            ("unix", path) if !path.is_empty() => Ok(Address::Unix(path.into())),
            _ => Err(bad()),
        }
    }
}

impl Address {
    /// Can only this machine reach it? A host that is not known is not loopback.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp(host, port) => match host.parse::<IpAddr>() {
                Ok(ip) => ip.is_loopback(),
                Err(_) => (host.as_str(), *port)
                    .to_socket_addrs()
                    .is_ok_and(|mut all| all.len() > 0 && all.all(|a| a.ip().is_loopback())),
            },
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "tcp!{host}!{port}"),
            Address::Unix(path) => write!(f, "unix!{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_plan_9_writes_them() {
        assert_eq!("tcp!::1!5640".parse(), Ok(Address::Tcp("::1".into(), 5640)));
        assert_eq!("unix!/tmp/9".parse(), Ok(Address::Unix("/tmp/9".into())));
        for bad in ["", "tcp", "tcp!host", "tcp!!5640", "tcp!host!70000", "unix!", "il!host!17008"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_loopback_and_paths_are_local() {
        for (text, local) in [
            ("tcp!127.0.0.1!1", true),
            ("tcp!127.9.9.9!1", true),
            ("tcp!::1!1", true),
            ("unix!/tmp/9", true),
            ("tcp!*!1", false),
            ("tcp!0.0.0.0!1", false),
            ("tcp!192.0.2.1!1", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
        }
    }
}
