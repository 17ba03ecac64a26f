//! What a node at work in a region reaches for: events to put, others to write to, rendezvous to ask, things to count.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::protocol::SwarmReport;
use swarm::{Message, PeerHint};

use crate::How;
use crate::event::{Event, Load, Mail, Slab, What, Wheel};
use crate::setting::{STEP, Setting};
use crate::tally::Tally;
use crate::transit::Transit;

/// What rendezvous is told or asked.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) at: u64,
    pub(crate) from: u32,
    pub(crate) seq: u32,
    /// Which of the node's stays it is.
    pub(crate) stay: u16,
    /// Which server is asked.
    pub(crate) server: u8,
    pub(crate) what: Asked,
}

/// See [`Ask`].
#[derive(Debug)]
pub(crate) enum Asked {
    Find,
    Report(Box<SwarmReport>),
    Gone,
}

/// Sums the time that engines take, if it is to be known: looking at the clock costs some itself.
pub(crate) struct Watch {
    running: bool,
    pub(crate) sum: Duration,
}

impl Watch {
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if !self.running {
            return work();
        }
        let began = Instant::now();
        let done = work();
        self.sum += began.elapsed();
        done
    }
}

/// See the module.
pub(crate) struct Post<'a> {
    pub(crate) setting: &'a Setting,
    pub(crate) tally: Tally,
    /// Virtual microseconds.
    pub(crate) now: u64,
    /// Which region this is, of how many.
    region: u32,
    regions: u32,
    /// When the step ends that is being worked on.
    ends: u64,
    pub(crate) wheel: Wheel,
    messages: Slab<Message>,
    candidates: Slab<Vec<PeerHint>>,
    /// Events of the node at work within this step.
    soon: BinaryHeap<Reverse<Event>>,
    /// For other regions.
    pub(crate) out: Vec<Vec<Mail>>,
    pub(crate) asks: Vec<Ask>,
    /// Lines that several nodes share: when they have sent, and taken in, what was under way.
    pub(crate) homes: BTreeMap<u32, [u64; 2]>,
    /// The ways between systems, if they have limits.
    pub(crate) transit: Option<Arc<Transit>>,
    pub(crate) watch: Watch,
    /// Whether each failover is kept.
    pub(crate) failovers: bool,
}

impl<'a> Post<'a> {
    pub(crate) fn new(
        setting: &'a Setting,
        transit: Option<Arc<Transit>>,
        region: u32,
        regions: u32,
        how: How,
    ) -> Self {
        Self {
            tally: Tally::new(setting.scenario.places.systems),
            setting,
            now: 0,
            region,
            regions,
            ends: 0,
            wheel: Wheel::new(),
            messages: Slab::new(),
            candidates: Slab::new(),
            soon: BinaryHeap::new(),
            out: (0..regions).map(|_| Vec::new()).collect(),
            asks: Vec::new(),
            homes: BTreeMap::new(),
            transit,
            watch: Watch { running: how.profile, sum: Duration::ZERO },
            failovers: how.failovers,
        }
    }

    pub(crate) fn begin(&mut self, step: u64) {
        self.ends = (step + 1) * STEP;
    }

    /// To another node, not before the next step.
    pub(crate) fn send(&mut self, event: Event, load: Load) {
        debug_assert!(event.at >= self.ends, "nothing is that near: {event:?}");
        let region = self.setting.region(event.to, self.regions);
        let mail = Mail { event, load };
        if region == self.region {
            self.receive(mail)
        } else {
            self.out[region as usize].push(mail)
        }
    }

    /// To the node itself, at any time from now on.
    pub(crate) fn remind(&mut self, event: Event) {
        if event.at < self.ends {
            self.soon.push(Reverse(event));
        } else {
            self.wheel.put(event);
        }
    }

    /// The next reminder within this step that comes before `other`.
    pub(crate) fn soon_before(&mut self, other: Option<&Event>) -> Option<Event> {
        let Reverse(first) = self.soon.peek()?;
        if other.is_some_and(|other| other < first) {
            return None;
        }
        self.soon.pop().map(|Reverse(event)| event)
    }

    /// Takes in what came from another region, or goes to this one.
    pub(crate) fn receive(&mut self, mail: Mail) {
        let Mail { mut event, load } = mail;
        match load {
            Load::None => {}
            Load::Message(message) => event.what = What::Message(self.messages.put(message)),
            Load::Candidates(peers) => event.what = What::Candidates(self.candidates.put(peers)),
            Load::Neighbours(peers) => event.what = What::Neighbours(self.candidates.put(peers)),
        }
        self.wheel.put(event);
    }

    pub(crate) fn message(&mut self, place: u32) -> Option<Message> {
        self.messages.take(place)
    }

    pub(crate) fn candidates(&mut self, place: u32) -> Option<Vec<PeerHint>> {
        self.candidates.take(place)
    }
}
