//! A node's own clock, what is wrong with it, and how it learns the platform's.

use link::Pulse;
use swarm::{Input, Time};

use super::Node;
use crate::chance::hash;
use crate::event::What;
use crate::population::Faults;
use crate::post::Post;
use crate::setting::{EPOCH, Setting};

/// A thousand millions: what drift is counted in.
const PARTS: i128 = 1_000_000_000;

/// From virtual time to the node's and back. It never goes back: as programs use the system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Virtual time 0 is this.
    origin: u64,
    faults: Faults,
}

impl Clock {
    pub(crate) fn new(origin: u64, faults: Faults) -> Self {
        Self { origin, faults }
    }

    /// What the node's clock shows.
    pub(crate) fn local(&self, now: u64) -> Time {
        let Faults { gains, stands, stands_for } = self.faults;
        let stood = now.saturating_sub(stands).min(stands_for.into());
        let ran = now - stood;
        let gained = i128::from(ran) * i128::from(gains) / PARTS;
        Time((self.origin + ran).saturating_add_signed(gained as i64))
    }

    /// The first moment at which it shows this.
    pub(crate) fn moment(&self, local: Time) -> u64 {
        let Faults { gains, stands, stands_for } = self.faults;
        let shown = i128::from(local.0.saturating_sub(self.origin));
        let mut ran = (shown * PARTS / (PARTS + i128::from(gains))) as u64;
        // Rounding: a step at most.
        ran -= u64::from(ran > 0);
        let shows = |ran: u64| ran as i128 + i128::from(ran) * i128::from(gains) / PARTS;
        while shows(ran) < shown {
            ran += 1;
        }
        if ran > stands { ran + u64::from(stands_for) } else { ran }
    }
}

impl Node {
    pub(super) fn local(&self, now: u64) -> Time {
        self.clock.local(now)
    }

    /// What is known of the platform's clock from the channel before: the best of a burst of questions.
    pub(super) fn know_time(&mut self, post: &mut Post<'_>) {
        let setting = post.setting;
        for _ in 0..Pulse::BURST {
            self.seq = self.seq.wrapping_add(1);
            let [there, back] = setting.ask(self.me, self.server, post.now, self.seq);
            // The answer has just come.
            let read = platform(setting, self.server) + post.now - back;
            let now = self.clock.local(post.now).0;
            if let Some(offset) = self.pulse.sample(now - there - back, read, now) {
                self.offset = offset;
            }
        }
        let offset = self.offset;
        self.input(post, Input::Clock { offset });
        let every = Pulse::EVERY.as_micros() as u64;
        let first = hash(setting.seed, u64::from(self.me), post.now, 5) % every;
        self.pulses = Pulse::BURST;
        self.remind(post, post.now + first, What::AskTime);
    }

    /// Asks its rendezvous for the time, five times in a row, twice a minute.
    pub(super) fn ask_time(&mut self, post: &mut Post<'_>) {
        self.pulses = self.pulses.saturating_sub(1);
        let again = if self.pulses > 0 {
            Pulse::APART
        } else {
            self.pulses = Pulse::BURST;
            Pulse::EVERY
        };
        self.remind(post, post.now + again.as_micros() as u64, What::AskTime);
        if !self.reaches_rendezvous(post) {
            return;
        }
        let [there, back] = post.setting.ask(self.me, self.server, post.now, self.seq);
        let what = What::Time { there: there as u32, trip: (there + back) as u32 };
        self.remind(post, post.now + there + back, what);
    }

    pub(super) fn time_came(&mut self, post: &mut Post<'_>, there: u64, trip: u64) {
        let asked = post.now - trip;
        let read = platform(post.setting, self.server) + asked + there;
        let (sent, now) = (self.clock.local(asked), self.clock.local(post.now));
        if let Some(offset) = self.pulse.sample(sent.0, read, now.0) {
            self.offset = offset;
            self.input(post, Input::Clock { offset });
        }
    }

    /// Whether its rendezvous answers; when that has been away for as long as it takes to notice, it goes to the next.
    pub(super) fn reaches_rendezvous(&mut self, post: &mut Post<'_>) -> bool {
        let setting = post.setting;
        if setting.cut_off(self.me, post.now) {
            return false;
        }
        let servers = setting.scenario.rendezvous.servers;
        for _ in 0..servers {
            match setting.away_since(self.server, post.now) {
                None => return true,
                Some(since) if since + crate::setting::IDLE > post.now => return false,
                Some(_) => {
                    self.server = (self.server + 1) % servers;
                    // Another rendezvous has another clock.
                    self.pulse.forget();
                }
            }
        }
        false
    }
}

/// What a server's clock shows at virtual time 0, microseconds since 1970.
fn platform(setting: &Setting, server: u8) -> u64 {
    let apart = setting.scenario.rendezvous.clocks_apart.get().as_micros() as u64;
    EPOCH + apart * u64::from(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_shows_is_found_again_however_wrong_it_is() {
        let stands = Faults { gains: 0, stands: 5_000_000, stands_for: 300_000 };
        for gains in [-50_000, 0, 50_000] {
            let clock = Clock::new(3_600_000_000, Faults { gains, ..stands });
            let mut before = Time(0);
            for now in (0..600_000_000).step_by(99_991) {
                let local = clock.local(now);
                assert!(local >= before, "time goes back");
                before = local;
                let moment = clock.moment(local);
                assert!(moment <= now && clock.local(moment) >= local, "{now} {moment}");
                let still = (5_000_000..=5_300_000).contains(&now);
                assert!(still || now - moment <= 1, "{now} {moment}");
            }
            let gained = clock.local(600_000_000).0 as i64 - 4_200_000_000;
            assert!((gained - (-300_000 + i64::from(gains) * 6 / 10)).abs() <= 20, "{gained}");
        }
    }
}
