//! Rendezvous: the real map and ranking, behind a latency. All servers share the one map.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::rendezvous::map::{Bounds, Map, Memory, Node};
use link::protocol::{EpochKey, Parameters, Publication};
use segment::{ChannelKey, SwarmId};
use swarm::Time;
use ticket::{PeerId, Role};

use crate::event::{Event, Load, Mail, What};
use crate::post::{Ask, Asked};
use crate::setting::{STEP, Setting, addr};

/// The number of rendezvous among the nodes.
const ME: u32 = u32::MAX;
/// The channel's public key; nothing is signed in the model.
const KEY: [u8; 32] = [7; 32];
const RENDITION: &str = "main";

/// The name of the swarm that is simulated.
pub(crate) fn swarm_id() -> SwarmId {
    SwarmId::new(&ChannelKey(KEY), RENDITION)
}

/// See the module.
pub(crate) struct Rendezvous {
    setting: Arc<Setting>,
    map: Memory,
    swarm: SwarmId,
    pending: BTreeMap<(u64, u32, u32), Ask>,
    seq: u32,
    restarts: usize,
    /// Answers of the step.
    pub(crate) out: Vec<Mail>,
}

fn empty_map(setting: &Setting, restarts: usize) -> Memory {
    let bounds = Bounds {
        swarms: 16,
        swarms_per_viewer: 8,
        swarms_per_server: 16,
        off_air_after: std::time::Duration::from_secs(30),
    };
    Memory::new(bounds, &[], setting.seed ^ (restarts as u64 + 1) << 32)
}

impl Rendezvous {
    pub(crate) fn new(setting: Arc<Setting>) -> Self {
        Self {
            map: empty_map(&setting, 0),
            setting,
            swarm: swarm_id(),
            pending: BTreeMap::new(),
            seq: 0,
            restarts: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, ask: Ask) {
        self.pending.insert((ask.at, ask.from, ask.seq), ask);
    }

    /// Answers what comes in a step.
    pub(crate) fn step(&mut self, step: u64) {
        let ends = (step + 1) * STEP;
        if step.is_multiple_of(1_000_000 / STEP) {
            self.map.tick(Time(step * STEP));
        }
        while let Some(entry) = self.pending.first_entry() {
            if entry.get().at >= ends {
                return;
            }
            let ask = entry.remove();
            if self.setting.away_since(ask.server, ask.at).is_none() {
                self.answer(ask);
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        let restarts = self.setting.restarts(ask.at);
        if restarts != self.restarts {
            self.restarts = restarts;
            self.map = empty_map(&self.setting, restarts);
        }
        let (now, peer) = (Time(ask.at), self.setting.id(ask.from));
        match ask.what {
            Asked::Gone => self.map.depart(now, u64::from(ask.stay), peer),
            _ if !self.present(now, peer, &ask) => {}
            Asked::Report(report) => {
                self.map.report(now, peer, *report);
            }
            Asked::Find => {
                let neighbours = self.map.neighbours(now, peer, self.swarm);
                if !neighbours.is_empty() {
                    self.tell(&ask, What::Neighbours(0), Load::Neighbours(neighbours));
                }
                let peers = self.map.find(now, peer, self.swarm);
                self.tell(&ask, What::Candidates(0), Load::Candidates(peers));
            }
        }
    }

    /// Whether the node takes part; who is not known (any more) is taken in, as when its session comes up again.
    fn present(&mut self, now: Time, peer: PeerId, ask: &Ask) -> bool {
        if self.map.takes_part(peer, self.swarm) {
            self.map.heard(now, peer);
            return true;
        }
        let profile = self.setting.profile(ask.from);
        let node = Node {
            peer,
            role: profile.role,
            location: profile.location,
            addrs: vec![addr(&self.setting, ask.from)],
            software: String::new(),
            seen: addr(&self.setting, ask.from).ip(),
            reach: profile.nat.reach(),
        };
        self.map.arrive(now, u64::from(ask.stay), node);
        if profile.role == Role::Headend {
            let publication = self.publication();
            return self.map.publish(now, peer, publication).is_ok();
        }
        self.map.join(now, peer, self.swarm).is_ok()
    }

    fn publication(&self) -> Publication {
        let channel = &self.setting.scenario.channel;
        Publication {
            name: "Simulated".into(),
            parameters: Parameters {
                channel: "simulated".into(),
                rendition: RENDITION.into(),
                key: KEY,
                n: channel.n,
                k: channel.k,
                essential_k: Some(channel.essential_k),
                segment_ms: (self.setting.segment / 1000) as u16,
                delay_ms: (self.setting.delay / 1000) as u32,
                bitrate: channel.bitrate.bits_per_second(),
            },
            epoch_segments: 1 << 40,
            keys: vec![EpochKey { epoch: 1, key: [1; 32] }],
        }
    }

    fn tell(&mut self, ask: &Ask, what: What, load: Load) {
        self.seq = self.seq.wrapping_add(1);
        let [_, back] = self.setting.to_rendezvous(ask.from, ask.server);
        let at = ask.at + back;
        let event = Event { at, to: ask.from, from: ME, seq: self.seq, what };
        self.out.push(Mail { event, load });
    }
}
