//! Logs: text for people or JSON for machines, on standard error.
//!
//! At `info` a stranger can follow a run. Network addresses of viewers are personal data: write
//! them through [`Redacted`].

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, IsTerminal},
    net::{IpAddr, SocketAddr},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing_subscriber::EnvFilter;

use crate::Common;

static SHOW_ADDRESSES: AtomicBool = AtomicBool::new(false);
/// Random for each run, so that marks cannot be turned back into addresses by trying them all.
static MARKS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// One readable line per event.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging as the command line asks. A second call in one process changes nothing but the
/// switch for addresses.
pub fn init(common: &Common) {
    show_addresses(common.log_addresses);
    let filter = EnvFilter::try_new(&common.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr as fn() -> _);
    // Err means that a subscriber is there already, which is what is wanted.
    let _already = match common.log_format {
        Format::Text => builder.with_target(false).with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Switches whether [`Redacted`] shows addresses; `--log-addresses` does it for programs.
pub fn show_addresses(show: bool) {
    SHOW_ADDRESSES.store(show, Ordering::Relaxed);
}

/// Parser of `--log` for clap.
pub(crate) fn parse_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Something with an IP address that [`Redacted`] can hide.
pub trait Address: fmt::Display {
    /// The part that is hidden.
    fn ip(&self) -> IpAddr;
}

impl Address for IpAddr {
    fn ip(&self) -> IpAddr {
        *self
    }
}

impl Address for SocketAddr {
    fn ip(&self) -> IpAddr {
        SocketAddr::ip(self)
    }
}

impl<T: Address + ?Sized> Address for &T {
    fn ip(&self) -> IpAddr {
        (**self).ip()
    }
}

/// Shows an address as a short mark, the same for the same IP address during one run of a program
/// and different in the next; as it is when `--log-addresses` was given.
#[derive(Clone, Copy)]
pub struct Redacted<T>(pub T);

impl<T: Address> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOW_ADDRESSES.load(Ordering::Relaxed) {
            return self.0.fmt(f);
        }
        write!(f, "address-{:04x}", MARKS.hash_one(self.0.ip()) & 0xffff)
    }
}

impl<T: Address> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the switch is one for the process.
    #[test]
    fn addresses_are_marks_unless_asked_for() {
        let one: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        let same_host: SocketAddr = "192.0.2.7:5000".parse().unwrap();
        let mark = Redacted(one).to_string();
        assert!(mark.starts_with("address-") && !mark.contains("192"), "{mark}");
        assert_eq!(mark, format!("{:?}", Redacted(&same_host)));
        let marks: std::collections::BTreeSet<_> = (0..=255)
            .map(|last| Redacted(IpAddr::from([198, 51, 100, last])).to_string())
            .collect();
        assert!(marks.len() > 200, "marks tell hosts apart: {}", marks.len());
        show_addresses(true);
        assert_eq!(Redacted(one).to_string(), "192.0.2.7:4000");
        show_addresses(false);
    }

    #[test]
    fn a_wrong_filter_is_refused_on_the_command_line() {
        assert!(parse_filter("info,swarm=debug").is_ok());
        assert!(parse_filter("swarm=loud").is_err());
    }
}
