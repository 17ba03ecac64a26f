//! Whether the node is still in the network in which it was.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use crate::nat::source;

/// How often it is looked: a question to the system's routing table, and no packet.
pub(super) const LOOK: Duration = Duration::from_millis(400);
/// The wall clock is so much ahead of the monotonic one, which stands still: the machine has slept.
const SLEPT: Duration = Duration::from_secs(3);

/// What was seen last.
pub(super) struct Network {
    /// Our own address on the way to someone else.
    local: Option<IpAddr>,
    wall: SystemTime,
    clock: Instant,
}

impl Network {
    pub(super) fn new() -> Self {
        Self { local: None, wall: SystemTime::now(), clock: Instant::now() }
    }

    /// Looks again, on the way to this address; whether something has changed.
    pub(super) fn has_changed(&mut self, to: SocketAddr) -> bool {
        let (wall, clock) = (SystemTime::now(), Instant::now());
        let slept = slept(wall.duration_since(self.wall).unwrap_or_default(), clock - self.clock);
        (self.wall, self.clock) = (wall, clock);
        slept | self.moved(source(to))
    }

    /// Being without a network is no change yet: what comes after may be the same one.
    fn moved(&mut self, local: Option<IpAddr>) -> bool {
        let Some(local) = local else { return false };
        self.local.replace(local).is_some_and(|old| old != local)
    }
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
        assert!(!network.moved(ip(1)), "the first");
        assert!(!network.moved(ip(1)));
        assert!(!network.moved(None));
        assert!(!network.moved(ip(1)), "back in the same");
        assert!(network.moved(ip(2)));
        assert!(!network.moved(ip(2)));
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
