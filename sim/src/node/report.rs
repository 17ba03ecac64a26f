//! How a node fares, as `link` tells it to rendezvous.

use link::protocol::SwarmReport;
use swarm::{ByRole, Substreams};
use ticket::Role;

use super::{Node, REPORT_EVERY};
use crate::event::What;
use crate::population::Manner;
use crate::post::{Asked, Post};
use crate::rendezvous::swarm_id;
use crate::tally::micros;

/// Free sub-streams that are reported where no limit is known.
const PLENTY: u64 = 1000;

impl Node {
    pub(super) fn report(&mut self, post: &mut Post<'_>) {
        self.remind(post, post.now + REPORT_EVERY, What::Report);
        let stats = self.stats(post.now);
        let profile = post.setting.profile(self.me);
        let channel = &post.setting.scenario.channel;
        let flowing: Substreams = stats.substreams.iter().map(|parent| parent.index).collect();
        let all =
            self.role == Role::Headend || self.role == Role::Repeater && flowing.len() >= channel.k;
        let rate = (channel.bitrate.bits_per_second() / u64::from(channel.k)).max(1);
        let by_uplink = profile.lends.map(|uplink| uplink / rate);
        let most = by_uplink.into_iter().chain(profile.max_pushed.map(u64::from)).min();
        let free = match most {
            _ if self.manner == Manner::FreeRider => 0,
            None => PLENTY,
            Some(most) => most.saturating_sub(stats.pushed.into()).min(PLENTY),
        };
        let by_role = |bytes: &ByRole| [bytes.headend, bytes.repeater, bytes.viewer];
        let report = SwarmReport {
            swarm: swarm_id().0,
            have: if all { Substreams::first(channel.n) } else { flowing },
            free: free as u16,
            pushed: stats.pushed.min(u16::MAX.into()) as u16,
            lag_ms: (micros(stats.lag) / 1000) as u32,
            startup_ms: stats.startup.map_or(0, |startup| (micros(startup) / 1000).max(1) as u32),
            stalls: stats.stalls as u32,
            stall_ms: micros(stats.stalled) / 1000,
            bytes_in: by_role(&stats.bytes_in),
            bytes_out: by_role(&stats.bytes_out),
        };
        self.ask(post, Asked::Report(Box::new(report)));
    }
}
