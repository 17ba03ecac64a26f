//! One node: a real engine, its connections, and its line.

mod clock;
mod connect;
mod held;
mod links;
mod report;
mod transfer;
mod uplink;

use link::Pulse;
use swarm::{Engine, Input, Output, Stats, Time};
use ticket::Role;

use self::clock::Clock;
use self::held::Held;
use self::links::Links;
use self::uplink::{Uplink, Waiting};
use crate::chance::hash;
use crate::event::{Event, Load, What};
use crate::population::{Manner, Stay};
use crate::post::{Ask, Asked, Post};
use crate::setting::Setting;
use crate::tally::{Record, Steps, micros};

/// The engine is not woken again sooner than this, as in `link`.
const NAP: u64 = 500;
/// Rendezvous is asked by one node at most this often, as in `link`.
const FIND_EVERY: u64 = 1_000_000;
/// And asked again if it did not answer.
const FIND_AGAIN: u64 = 2_000_000;
/// Reports to rendezvous: the first, and from then on.
const REPORT_SOON: u64 = 500_000;
const REPORT_EVERY: u64 = 2_000_000;
/// Added to how far a playout is from the common moment, so that it is positive; the histogram keeps it to 1 ms.
const PLAYOUT: u64 = 150_000;
/// What is stalled sooner after joining belongs to the start.
const START: u64 = 10_000_000;

/// See the module.
pub(crate) struct Node {
    me: u32,
    engine: Engine,
    clock: Clock,
    pulse: Pulse,
    /// Questions that are left of a burst.
    pulses: u32,
    /// The platform's clock less its own.
    offset: i64,
    /// Its rendezvous.
    server: u8,
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
    /// When its line has sent, and has taken in, what was under way.
    line: [u64; 2],
    /// The headend's next segment.
    next: u64,
    /// A connection to a repeater is open from the channel before.
    warm: bool,
    /// Rendezvous has answered.
    told: bool,
    /// When rendezvous is or was asked last.
    found: u64,
    held: Held,
    steps: Steps,
    startup: Option<u64>,
    /// Segments that were played whole since then.
    full: u64,
    /// Microseconds that were stalled in its start.
    early: Option<u64>,
    /// Sub-streams that had moved, when it was looked at last.
    moved: u64,
    /// Who sent a shard that failed its proof, and when first.
    bad: Vec<(u32, u64)>,
}

impl Node {
    /// A node that begins its stay now.
    pub(crate) fn join(post: &mut Post<'_>, me: u32, stay: u16, seq: u32) -> Self {
        let setting = post.setting;
        let profile = setting.profile(me);
        let drawn = hash(setting.seed, u64::from(me), u64::from(stay), 3);
        // Every node's own clock has another origin, an hour back at least.
        let origin = 3_600_000_000 + (drawn >> 32);
        let clock = Clock::new(origin, profile.clock);
        let config = setting.config(me);
        let mut node = Self {
            me,
            engine: Engine::new(config, drawn, clock.local(post.now)),
            clock,
            pulse: Pulse::default(),
            pulses: 0,
            offset: 0,
            server: (drawn >> 8) as u8 % setting.scenario.rendezvous.servers,
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
            line: [0; 2],
            next: 0,
            warm: profile.role == Role::Viewer && setting.scenario.viewers.warm,
            told: false,
            found: 0,
            held: Held::new(setting.scenario.channel.n, setting.in_view()),
            steps: Steps::default(),
            startup: None,
            full: 0,
            early: None,
            moved: 0,
            bad: Vec::new(),
        };
        post.tally.lately.joins += u64::from(node.role == Role::Viewer);
        node.know_time(post);
        if node.role == Role::Viewer {
            node.input(post, Input::Reach(profile.nat.told()));
        }
        node.find(post);
        let report = REPORT_SOON + drawn % REPORT_EVERY;
        node.remind(post, post.now + report, What::Report);
        if node.role == Role::Headend {
            node.next = setting.first();
            node.remind(post, setting.captured(node.next + 1), What::Publish);
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
    pub(crate) fn handle(&mut self, post: &mut Post<'_>, event: Event) -> bool {
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
                    Steps::note(&mut self.steps.told, post.now - self.joined);
                    self.input(post, Input::Candidates { peers });
                }
            }
            What::Neighbours(place) => {
                if let Some(peers) = post.candidates(place) {
                    self.input(post, Input::Remembered { peers });
                }
            }
            What::Wake => {
                if self.wake == Some(post.now) {
                    self.wake = None;
                    self.input(post, Input::Timeout);
                }
            }
            What::Uplink => {
                self.uplink.awaited = None;
                self.settle(post);
            }
            What::AskTime => self.ask_time(post),
            What::Time { there, trip } => self.time_came(post, there.into(), trip.into()),
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
            What::Settled => self.early = Some(self.stalled(post.setting, post.now)[0]),
            What::Leave => return true,
            What::Join(_) => {}
        }
        false
    }

    fn event(&mut self, at: u64, to: u32, what: What) -> Event {
        self.seq = self.seq.wrapping_add(1);
        Event { at, to, from: self.me, seq: self.seq, what }
    }

    fn remind(&mut self, post: &mut Post<'_>, at: u64, what: What) {
        let event = self.event(at, self.me, what);
        post.remind(event);
    }

    fn input(&mut self, post: &mut Post<'_>, input: Input) {
        let now = self.local(post.now);
        post.watch.time(|| self.engine.handle_input(now, input));
        self.settle(post);
    }

    /// Carries out what the engine wants until it wants nothing, and sees when it wants to be woken.
    fn settle(&mut self, post: &mut Post<'_>) {
        loop {
            while let Some(output) = post.watch.time(|| self.engine.poll_output()) {
                self.carry_out(post, output);
            }
            if !self.pump(post) {
                break;
            }
        }
        let next = post.watch.time(|| self.engine.next_timeout());
        let Some((at, _)) = next else { return };
        let at = self.clock.moment(at).max(post.now + NAP);
        if self.wake.is_none_or(|set| at < set) {
            self.wake = Some(at);
            self.remind(post, at, What::Wake);
        }
    }

    fn carry_out(&mut self, post: &mut Post<'_>, output: Output) {
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
    fn played(&mut self, post: &mut Post<'_>, number: u64, due: Time, full: bool) {
        let due = self.clock.moment(due);
        let setting = post.setting;
        if self.startup.is_none() {
            if due + setting.segment > post.now {
                let startup = post.now - self.joined;
                self.startup = Some(startup);
                post.tally.lately.starts.add(startup);
            }
            return;
        }
        self.full += u64::from(full);
        // Woken for it: what came late says nothing of clocks.
        if post.now.saturating_sub(due) <= NAP {
            let common = setting.captured(number) + setting.delay;
            post.tally.playout.add((post.now + PLAYOUT).saturating_sub(common));
        }
    }

    fn find(&mut self, post: &mut Post<'_>) {
        self.found = post.now;
        self.ask(post, Asked::Find);
        if !self.told {
            self.remind(post, post.now + FIND_AGAIN, What::Find);
        }
    }

    fn ask(&mut self, post: &mut Post<'_>, what: Asked) {
        if !self.reaches_rendezvous(post) {
            return;
        }
        self.seq = self.seq.wrapping_add(1);
        let [there, _] = post.setting.to_rendezvous(self.me, self.server);
        let at = post.now + there;
        let (from, seq, stay, server) = (self.me, self.seq, self.stay, self.server);
        post.asks.push(Ask { at, from, seq, stay, server, what });
    }

    fn publish(&mut self, post: &mut Post<'_>) {
        let number = self.next;
        self.next += 1;
        let header = post.setting.header(number);
        let shard_bytes = post.setting.shard_bytes(number);
        let next = post.setting.captured(self.next + 1);
        self.remind(post, next.max(post.now + 1), What::Publish);
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
    pub(crate) fn leave(mut self, post: &mut Post<'_>) -> u32 {
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
            let (from, seq, stay, server) = (self.me, self.seq, self.stay, self.server);
            post.asks.push(Ask { at, from, seq, stay, server, what: Asked::Gone });
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
            steps: self.steps,
            stats: self.stats(now),
            lends: profile.lends.unwrap_or(0),
        }
    }

    /// Notes what became of the stay.
    pub(crate) fn record(&self, post: &mut Post<'_>) {
        let mut record = self.record_at(post.setting, post.now);
        // Many are kept to the end.
        record.stats.substreams = Vec::new();
        if self.is_viewer() && self.startup.is_some() {
            post.tally.behind_edge.add(micros(record.stats.behind_edge));
        }
        let records =
            if self.is_viewer() { &mut post.tally.viewers } else { &mut post.tally.servers };
        records.push(record);
    }
}
