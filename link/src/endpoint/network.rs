//! Whether the node is still in the network in which it was.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use crate::nat::source;

/// How often it is looked: a question to the system's routing table, and no packet.
const LOOK: Duration = Duration::from_millis(400);
/// The same while there is no network: somebody waits for it to come back.
const LOOK_OUT: Duration = Duration::from_millis(50);
/// The wall clock is so much ahead of the monotonic one, which stands still: the machine has slept.
const SLEPT: Duration = Duration::from_secs(3);

/// What was seen last.
pub(super) struct Network {
    /// Our own address on the way to someone else.
    local: Option<IpAddr>,
    /// There was no way when it was looked last.
    without: bool,
    wall: SystemTime,
    clock: Instant,
}

impl Network {
    pub(super) fn new() -> Self {
        Self { local: None, without: false, wall: SystemTime::now(), clock: Instant::now() }
    }

    /// How long until the next look.
    pub(super) fn pause(&self) -> Duration {
        if self.without { LOOK_OUT } else { LOOK }
    }

    /// Looks again, on the way to this address; what has changed.
    pub(super) fn look(&mut self, to: SocketAddr) -> Option<Change> {
        let (wall, clock) = (SystemTime::now(), Instant::now());
        let slept = slept(wall.duration_since(self.wall).unwrap_or_default(), clock - self.clock);
        (self.wall, self.clock) = (wall, clock);
        let change = self.seen(source(to));
        if slept { Some(Change::Another) } else { change }
    }

    /// Being without a network is no change yet: what comes after may be the same one.
    fn seen(&mut self, local: Option<IpAddr>) -> Option<Change> {
        let without = std::mem::replace(&mut self.without, local.is_none());
        let local = local?;
        match self.local.replace(local) {
            Some(old) if old != local => Some(Change::Another),
            Some(_) if without => Some(Change::Back),
            _ => None,
        }
    }
}

/// What has become of the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// It is another one, or may be: the machine has slept.
    Another,
    /// It was gone for a while.
    Back,
}

fn slept(wall: Duration, clock: Duration) -> bool {
    wall.saturating_sub(clock) > SLEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_is_another_network_and_none_is_not() {
        let mut network = Network::new();
        let ip = |last| Some(IpAddr::from([192, 0, 2, last]));
        assert_eq!(network.seen(ip(1)), None, "the first");
        assert_eq!(network.seen(ip(1)), None);
        assert_eq!(network.seen(None), None);
        assert_eq!(network.seen(ip(1)), Some(Change::Back), "in the same");
        assert_eq!(network.seen(ip(1)), None);
        assert_eq!(network.seen(ip(2)), Some(Change::Another));
        assert_eq!(network.seen(None), None);
        assert_eq!(network.seen(None), None);
        assert_eq!(network.seen(ip(1)), Some(Change::Another));
        assert_eq!(network.seen(ip(1)), None);
    }

    #[test]
    fn sleep_shows_in_the_clocks() {
        let second = Duration::from_secs(1);
        assert!(!slept(second, second));
        assert!(!slept(3 * second, second));
        assert!(slept(60 * second, second));
        assert!(!slept(Duration::ZERO, second), "the wall clock was set back");
    }
}
