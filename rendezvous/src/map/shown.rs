//! What people are shown of the map: swarms in figures, and those who take part in them.

use segment::SwarmId;
use swarm::Time;
use ticket::{PeerId, Role};

use super::memory::{Home, Memory};
use super::swarm::{Part, Swarm};
use super::view::{ByRole, Member, Summary, median};
use crate::rank::SILENT;

impl Memory {
    pub(super) fn shown_member(
        &self,
        now: Time,
        swarm: &Swarm,
        peer: &PeerId,
        part: &Part,
    ) -> Option<Member> {
        let present = self.nodes.get(peer)?;
        let report = part.report.clone().unwrap_or_default();
        Some(Member {
            peer: *peer,
            role: part.role,
            location: part.location,
            software: present.node.software.clone(),
            joined_s: now.since(part.since).as_secs(),
            age_s: now.since(present.heard).as_secs(),
            publishes: swarm.publishers.contains(peer),
            reported: part.report.is_some(),
            have: report.have.iter().collect(),
            free: report.free,
            pushed: report.pushed,
            lag_ms: report.lag_ms,
            startup_ms: report.startup_ms,
            stalls: report.stalls,
            stall_ms: report.stall_ms,
            bytes_in: report.bytes_in.into(),
            bytes_out: report.bytes_out.into(),
        })
    }

    pub(super) fn summary(&self, now: Time, id: SwarmId, swarm: &Swarm) -> Summary {
        let parameters = &swarm.publication.parameters;
        let mut heard = [0; 3];
        let mut free = [0; 3];
        let (mut lags, mut starts) = (Vec::new(), Vec::new());
        let (mut stalls, mut stall_ms) = (0, 0_u64);
        let mut here = [0; 3];
        for (peer, part) in &swarm.parts {
            let place = match part.role {
                Role::Headend => 0,
                Role::Repeater => 1,
                Role::Viewer | Role::Rendezvous => 2,
            };
            let present = self.nodes.get(peer);
            if present.is_some_and(|present| now.since(present.heard) <= SILENT) {
                heard[place] += 1;
            }
            if present.is_some_and(|present| present.home == Home::Here) {
                here[place] += 1;
            }
            let Some(report) = &part.report else { continue };
            free[place] += u64::from(report.free);
            if part.role == Role::Viewer {
                lags.push(report.lag_ms);
                starts.extend(Some(report.startup_ms).filter(|&ms| ms > 0));
                stalls += u64::from(report.stalls);
                stall_ms = stall_ms.saturating_add(report.stall_ms);
            }
        }
        let count = |role| swarm.count(role) as u64;
        Summary {
            id: id.to_string(),
            channel: parameters.channel.clone(),
            rendition: parameters.rendition.clone(),
            live: swarm.on_air,
            key: PeerId(parameters.key).to_string(),
            n: parameters.n,
            k: parameters.k,
            essential_k: parameters.essential_k,
            segment_ms: parameters.segment_ms,
            delay_ms: parameters.delay_ms,
            bitrate: parameters.bitrate,
            epoch: swarm.keys.keys().next_back().copied(),
            keys_left_s: swarm.keys_until.since(now).as_secs(),
            nodes: [count(Role::Headend), count(Role::Repeater), count(Role::Viewer)].into(),
            here: here.into(),
            heard: heard.into(),
            free: free.into(),
            received: swarm.received.into(),
            offload: ByRole::from(swarm.recent).offload(),
            lag_ms: median(lags),
            startup_ms: median(starts),
            stalls,
            stall_ms,
        }
    }
}
