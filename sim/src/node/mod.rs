//! One node: a real engine, its connections, and its line.

mod connect;
mod held;
mod links;
mod report;
mod transfer;
mod uplink;

use swarm::{Engine, Input, Output, Stats, Time};
use ticket::Role;

use self::held::Held;
use self::links::Links;
use self::uplink::{Uplink, Waiting};
use crate::chance::hash;
use crate::event::{Event, Load, What};
use crate::population::{Manner, Stay};
use crate::post::{Ask, Asked, Post};
use crate::setting::{EPOCH, Setting};
use crate::tally::{Record, micros};

/// The engine is not woken again sooner than this, as in `link`.
const NAP: u64 = 500;
/// Rendezvous is asked by one node at most this often, as in `link`.
const FIND_EVERY: u64 = 1_000_000;
/// And asked again if it did not answer.
const FIND_AGAIN: u64 = 2_000_000;
/// Reports to rendezvous: the first, and from then on.
const REPORT_SOON: u64 = 500_000;
const REPORT_EVERY: u64 = 2_000_000;
/// What is stalled sooner after joining belongs to the start.
const START: u64 = 10_000_000;

/// See the module.
pub(crate) struct Node {
    me: u32,
    engine: Engine,
    /// Of its clock: virtual time 0 is this.
    origin: u64,
    /// Tells apart what it causes.
    pub(crate) seq: u32,
    stay: u16,
    ends: Stay,
    joined: u64,
    role: Role,
    manner: Manner,
    k: u8,
    wake: Option<u64>,
    links: Links,
    dialling: Vec<u32>,
    uplink: Uplink,
    /// When the downlink has taken in what is coming.
    down_free: u64,
    /// A connection to a repeater is open from the channel before.
    warm: bool,
    /// Rendezvous has answered.
    told: bool,
    /// When rendezvous is or was asked last.
    found: u64,
    held: Held,
    startup: Option<u64>,
    /// Segments that were played whole since then.
    full: u64,
    /// Microseconds that were stalled in its start.
    early: Option<u64>,
    /// Who sent a shard that failed its proof, and when first.
    bad: Vec<(u32, u64)>,
}

impl Node {
    /// A node that begins its stay now.
    pub(crate) fn join(post: &mut Post, me: u32, stay: u16, seq: u32) -> Self {
        let setting = post.setting.clone();
        let profile = setting.profile(me);
        let drawn = hash(setting.seed, u64::from(me), u64::from(stay), 3);
        // Every node's own clock has another origin, an hour back at least.
        let origin = 3_600_000_000 + (drawn >> 32);
        let config = setting.config(me);
        let mut node = Self {
            me,
            engine: Engine::new(config, drawn, Time(post.now + origin)),
            origin,
            seq,
            stay,
            ends: profile.stays[usize::from(stay)],
            joined: post.now,
            role: profile.role,
            manner: profile.manner,
            k: setting.scenario.channel.k,
            wake: None,
            links: Links::default(),
            dialling: Vec::new(),
            uplink: Uplink::default(),
            down_free: 0,
            warm: profile.role == Role::Viewer && setting.scenario.viewers.warm,
            told: false,
            found: 0,
            held: Held::new(setting.scenario.channel.n),
            startup: None,
            full: 0,
            early: None,
            bad: Vec::new(),
        };
        post.tally.lately.joins += u64::from(node.role == Role::Viewer);
        let offset = EPOCH as i64 - origin as i64 + profile.clock_error;
        node.input(post, Input::Clock { offset });
        node.find(post);
        let report = REPORT_SOON + drawn % REPORT_EVERY;
        node.remind(post, post.now + report, What::Report);
        if node.role == Role::Headend {
            let next = (post.now / setting.segment + 1) * setting.segment;
            node.remind(post, next, What::Publish);
        }
        for (i, cut) in setting.cuts().iter().enumerate() {
            let at = cut.from + crate::setting::IDLE;
            if profile.location.asn == Some(cut.asn) && post.now < at && at < cut.to {
                node.remind(post, at, What::Cut(i as u16));
            }
        }
        if node.role == Role::Viewer {
            node.remind(post, post.now + START, What::Settled);
        }
        if node.ends.to < setting.end {
            node.remind(post, node.ends.to, What::Leave);
        }
        node
    }

    /// Whether the stay ends with this.
    pub(crate) fn handle(&mut self, post: &mut Post, event: Event) -> bool {
        match event.what {
            What::Shard { number, index, hops, flags } => {
                self.shard_came(post, &event, number, index, (hops, flags));
            }
            What::Message(place) => {
                if let Some(message) = post.message(place) {
                    self.message_came(post, event.from, message);
                }
            }
            What::Candidates(place) => {
                if let Some(peers) = post.candidates(place) {
                    self.told = true;
                    self.input(post, Input::Candidates { peers });
                }
            }
            What::Wake => {
                if self.wake == Some(post.now) {
                    self.wake = None;
                    self.input(post, Input::Timeout);
                }
            }
            What::Uplink => {
                self.uplink.awaited = false;
                self.settle(post);
            }
            What::Report => self.report(post),
            What::Find => {
                if !self.told || self.found <= post.now {
                    self.find(post);
                }
            }
            What::Dial => self.dialled(post, event.from),
            What::Accept => self.accepted(post, event.from),
            What::NoAnswer(peer) => self.no_answer(post, peer),
            What::Part => self.parted(post, event.from),
            What::Lost => self.lost(post, event.from),
            What::Publish => self.publish(post),
            What::Cut(cut) => self.cut(post, cut),
            What::Settled => self.early = Some(self.stalled(&post.setting, post.now)[0]),
            What::Leave => return true,
            What::Join(_) => {}
        }
        false
    }

    fn local(&self, now: u64) -> Time {
        Time(now + self.origin)
    }

    fn event(&mut self, at: u64, to: u32, what: What) -> Event {
        self.seq = self.seq.wrapping_add(1);
        Event { at, to, from: self.me, seq: self.seq, what }
    }

    fn remind(&mut self, post: &mut Post, at: u64, what: What) {
        let event = self.event(at, self.me, what);
        post.remind(event);
    }

    fn input(&mut self, post: &mut Post, input: Input) {
        self.engine.handle_input(self.local(post.now), input);
        self.settle(post);
    }

    /// Carries out what the engine wants until it wants nothing, and sees when it wants to be woken.
    fn settle(&mut self, post: &mut Post) {
        loop {
            while let Some(output) = self.engine.poll_output() {
                self.carry_out(post, output);
            }
            if !self.pump(post) {
                break;
            }
        }
        let Some((at, _)) = self.engine.next_timeout() else { return };
        let at = at.0.saturating_sub(self.origin).max(post.now + NAP);
        if self.wake.is_none_or(|set| at < set) {
            self.wake = Some(at);
            self.remind(post, at, What::Wake);
        }
    }

    fn carry_out(&mut self, post: &mut Post, output: Output) {
        match output {
            Output::Connect { peer, .. } => self.dial(post, Setting::number(&peer)),
            Output::Disconnect { peer, .. } => self.part(post, Setting::number(&peer)),
            Output::Send { to, message } => {
                self.write(post, Setting::number(&to), What::Message(0), Load::Message(message));
            }
            Output::SendShard { to, shard, deadline, urgency, .. } => {
                let to = Setting::number(&to);
                self.uplink.put(Waiting { to, shard, deadline, urgency, since: post.now });
            }
            Output::Cancel { to, substreams } => {
                self.uplink.cancel(Setting::number(&to), substreams);
            }
            Output::Play { number, due, layers } => self.played(post, number, due, layers.full),
            Output::FindPeers => {
                let at = self.found + FIND_EVERY;
                if at <= post.now {
                    self.find(post);
                } else if self.found <= post.now {
                    self.found = at;
                    self.remind(post, at, What::Find);
                }
            }
            Output::Miss { .. } | Output::Forget { .. } => {}
        }
    }

    /// Notes when the player has what it needs, and how exactly it keeps the common moment.
    fn played(&mut self, post: &mut Post, number: u64, due: Time, full: bool) {
        let due = due.0.saturating_sub(self.origin);
        let setting = &post.setting;
        if self.startup.is_none() {
            if due + setting.segment > post.now {
                let startup = post.now - self.joined;
                self.startup = Some(startup);
                post.tally.lately.starts.add(startup);
            }
            return;
        }
        self.full += u64::from(full);
        if due == post.now {
            let common = setting.captured(number) + setting.delay;
            post.tally.playout.add((post.now + 1_000_000).saturating_sub(common));
        }
    }

    fn find(&mut self, post: &mut Post) {
        self.found = post.now;
        self.ask(post, Asked::Find);
        if !self.told {
            self.remind(post, post.now + FIND_AGAIN, What::Find);
        }
    }

    fn ask(&mut self, post: &mut Post, what: Asked) {
        if post.setting.cut_off(self.me, post.now) {
            return;
        }
        self.seq = self.seq.wrapping_add(1);
        let at = post.now + post.setting.to_rendezvous(self.me);
        post.asks.push(Ask { at, from: self.me, seq: self.seq, stay: self.stay, what });
    }

    fn publish(&mut self, post: &mut Post) {
        let number = post.setting.segment_at(post.now);
        let header = post.setting.header(number);
        let shard_bytes = post.setting.shard_bytes(number);
        self.remind(post, post.now + post.setting.segment, What::Publish);
        self.input(post, Input::Published { header, shard_bytes });
    }

    pub(crate) fn stats(&self, now: u64) -> Stats {
        self.engine.stats(self.local(now))
    }

    /// Microseconds stalled and watched so far, as [`Record`] reckons them.
    pub(crate) fn stalled(&self, setting: &Setting, now: u64) -> [u64; 2] {
        let record = self.record_at(setting, now);
        [record.stalled(), record.watched()]
    }

    pub(crate) fn is_viewer(&self) -> bool {
        self.role == Role::Viewer
    }

    /// Ends the stay.
    pub(crate) fn leave(mut self, post: &mut Post) -> u32 {
        self.record(post);
        let idle = crate::setting::IDLE;
        if self.ends.good_bye {
            self.input(post, Input::Leave);
            self.ask(post, Asked::Gone);
        } else {
            for peer in self.links.peers() {
                let at = post.now + idle;
                let event = self.event(at, peer, What::Lost);
                post.send(event, Load::None);
            }
            self.seq = self.seq.wrapping_add(1);
            let at = post.now + idle;
            let ask = Ask { at, from: self.me, seq: self.seq, stay: self.stay, what: Asked::Gone };
            post.asks.push(ask);
        }
        self.seq
    }

    fn record_at(&self, setting: &Setting, now: u64) -> Record {
        let profile = setting.profile(self.me);
        Record {
            node: self.me,
            manner: self.manner,
            system: profile.location.asn.unwrap_or(0),
            joined: self.joined,
            stayed: now.saturating_sub(self.joined),
            startup: self.startup,
            played: self.full * setting.segment,
            segment: setting.segment,
            early: self.early,
            stats: self.stats(now),
            lends: profile.lends.unwrap_or(0),
        }
    }

    /// Notes what became of the stay.
    pub(crate) fn record(&self, post: &mut Post) {
        let record = self.record_at(&post.setting, post.now);
        if self.is_viewer() && self.startup.is_some() {
            post.tally.behind_edge.add(micros(record.stats.behind_edge));
        }
        let records =
            if self.is_viewer() { &mut post.tally.viewers } else { &mut post.tally.servers };
        records.push(record);
    }
}
