//! The state machine.
//!
//! Its parts, each in a file of its own: whom it knows and meets (`known`, `meet`, `partner`, `standby`, `trust`), what
//! flows in (`demand`, `feed`, `intake`, `choice`, `household`, `improve`, `silence`, `hedge`, `path`), what it holds (`window`, `arrival`), what flows
//! out (`push`, `interior`, `give`, `uplink`, `burst`), holes (`repair`, `waiting`), the first picture (`start`), and playing (`playout`, `cause`).

mod announce;
mod arrival;
mod burst;
mod cause;
mod choice;
mod clock;
mod counters;
mod demand;
mod feed;
mod gentle;
mod give;
#[cfg(test)]
mod hand;
mod hedge;
mod household;
mod ids;
mod improve;
mod intake;
mod interior;
mod known;
mod meet;
mod owed;
mod partner;
mod path;
mod playout;
mod push;
mod reach;
mod repair;
mod reserve;
mod silence;
mod standby;
mod start;
mod timers;
mod trust;
mod uplink;
mod waiting;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use ticket::{Role, ShortId};

use self::counters::Counters;
use self::feed::{Debt, Feed};
use self::gentle::Gentle;
use self::give::Promise;
use self::interior::Churn;
use self::known::Known;
use self::owed::Owed;
use self::partner::{Partners, Pid, Recent};
use self::path::Path;
use self::playout::Playout;
use self::push::Pushes;
use self::repair::{Flow, Pull};
use self::start::{Pending, Start};
use self::timers::Timers;
use self::uplink::Uplink;
use self::waiting::Waiting;
use self::window::Window;
use crate::output::Parting;
use crate::{
    Config, Failover, Input, Message, Output, PeerHint, Reach, Stats, Substreams, Time,
    TimeoutReason,
};

/// One node's part in one swarm.
pub struct Engine {
    config: Config,
    me: ShortId,
    rng: Pcg32,
    began: Time,
    now: Time,
    /// Platform's microseconds since 1970 minus the node's.
    clock: Option<i64>,
    out: VecDeque<Output>,
    timers: Timers,
    partners: Partners,
    known: Known,
    window: Window,
    feeds: Vec<Feed>,
    debts: Vec<Debt>,
    /// When sub-streams were last lost, newest last.
    losses: VecDeque<Time>,
    /// How each sub-stream came here; `None`: it cannot be had here.
    paths: Vec<Option<Path>>,
    pushes: Pushes,
    /// The sub-streams that a viewer passes on.
    open: Substreams,
    churn: Churn,
    reach: Reach,
    /// Capture to arrival, newest segments, microseconds: a moving mean.
    lag: Option<u64>,
    uplink: Uplink,
    pulls: Vec<Pull>,
    flow: Flow,
    gentle: Gentle,
    /// Pulls of others that wait for data, at a repeater.
    waiting: Vec<Waiting>,
    /// Segments of which a pull had no answer in time.
    let_down: Recent,
    start: Start,
    /// Starts that wait for data.
    pending: Vec<Pending>,
    /// Repeaters hold enough to answer a start until then.
    warm_until: Option<Time>,
    playout: Playout,
    counters: Counters,
    /// When the set of parents was first looked for: a moment after the first hello.
    gathering: Option<Time>,
    asked_for_peers: Option<Time>,
    last_exchange: Time,
    /// The last child that was served badly, and when it said so.
    complaint: Option<(Pid, Time)>,
    /// Servers: children for whom pushes were dropped lately, and when.
    dropped_to: Vec<(Pid, Time)>,
    /// Places that an overload took.
    owed: Owed,
    /// When a child last lost its place to another that gives more.
    displaced: Option<Time>,
    /// The place of a child that was promised to another.
    promised: Option<Promise>,
    /// When so much was late at once that this node's own line was to blame.
    line_full: Option<Time>,
    /// When a better parent is looked for again.
    next_move: Option<Time>,
    /// When it is looked again whether others of this home have what comes from outside.
    next_home: Option<Time>,
    /// Since when a viewer's set of parents is not full, as it is looked at each second.
    lacks_since: Option<Time>,
    /// When the headend was last dialled.
    reserve_dialled: Option<Time>,
    /// Whether it only plays what is in.
    rests: bool,
    left: bool,
}

impl Engine {
    /// An engine that begins at `now`. The same seed and inputs give the same outputs.
    pub fn new(config: Config, seed: u64, now: Time) -> Self {
        let mut timers = Timers::default();
        timers.set(TimeoutReason::Peers, now + Duration::from_secs(1));
        timers.set(TimeoutReason::Probe, now + Duration::from_secs(2));
        let n = usize::from(config.n.clamp(1, 64));
        let mut engine = Self {
            me: config.me.short(),
            rng: Pcg32::seed_from_u64(seed),
            began: now,
            now,
            clock: None,
            out: VecDeque::new(),
            timers,
            partners: Partners::default(),
            known: Known::new(config.location),
            window: Window::new(config.segment, config.playout_delay, config.keep),
            feeds: Vec::new(),
            debts: Vec::new(),
            losses: VecDeque::new(),
            paths: vec![None; n],
            pushes: Pushes::new(n),
            open: Substreams::NONE,
            churn: Churn::default(),
            reach: Reach::Unknown,
            lag: None,
            uplink: match config.role {
                Role::Viewer => Uplink::new(config.uplink, config.max_pushed, config.k, now),
                _ => Uplink::server(config.uplink, config.max_pushed, config.k, now),
            },
            pulls: Vec::new(),
            flow: Flow::new(now),
            gentle: Gentle::default(),
            waiting: Vec::new(),
            let_down: Recent::default(),
            start: Start::default(),
            pending: Vec::new(),
            warm_until: None,
            playout: Playout::default(),
            counters: Counters::default(),
            gathering: None,
            asked_for_peers: None,
            last_exchange: now,
            complaint: None,
            dropped_to: Vec::new(),
            owed: Owed::default(),
            displaced: None,
            promised: None,
            line_full: None,
            next_move: None,
            next_home: None,
            lacks_since: None,
            reserve_dialled: None,
            rests: false,
            left: false,
            config,
        };
        engine.refresh_paths(Substreams::first(64));
        engine
    }

    /// Takes one input at `now`, which never goes back.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        let goes_on = matches!(input, Input::Timeout | Input::Clock { .. } | Input::Leave);
        if self.left || (self.rests && !goes_on) {
            return;
        }
        match input {
            Input::Connected { peer, info } => self.connected(peer, info),
            Input::NotConnected { peer, error } => self.not_connected(&peer, error),
            Input::Disconnected { peer } => {
                if let Some(peer) = self.partners.find(&peer) {
                    self.disconnected(peer);
                }
            }
            Input::Message { from, message } => {
                if let Some(from) = self.partners.find(&from) {
                    self.message(from, message);
                }
            }
            Input::Shard { from, arrival } => {
                if let Some(from) = self.partners.find(&from) {
                    self.shard(from, &arrival);
                }
            }
            Input::BadShard { from } => {
                if let Some(from) = self.partners.find(&from) {
                    self.bad_shard(from);
                }
            }
            Input::Published { header, shard_bytes } => self.published(&header, shard_bytes),
            Input::Delivery { to, shard, urgency, delivery } => {
                if let Some(to) = self.partners.find(&to) {
                    self.delivered(to, shard, urgency, delivery);
                }
            }
            Input::Candidates { peers } => self.candidates(peers),
            Input::Remembered { peers } => self.remembered(peers),
            Input::Clock { offset } => self.clock(offset),
            Input::Uplink { rate } => {
                self.uplink.limit(rate, self.now);
                self.shed_overload();
            }
            Input::MaxPushed(most) => {
                self.uplink.max_pushed(most);
                self.shed_overload();
            }
            Input::Serve(serve) => self.serve(serve),
            Input::Reach(reach) => self.reach(reach),
            Input::BeginAt(begin) => self.begin_at(begin),
            Input::Rest => self.rest(),
            Input::Leave => self.leave(),
            Input::Timeout => self.timeout(),
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call with [`Input::Timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Time, TimeoutReason)> {
        if self.left { None } else { self.timers.next() }
    }

    /// Peers worth trying first when the node comes again to this swarm, the best first, at most 32: for the shell to
    /// keep and to give back as [`Input::Remembered`].
    pub fn good_peers(&self) -> Vec<PeerHint> {
        self.good()
    }

    /// What was counted, as of `now`.
    pub fn stats(&self, now: Time) -> Stats {
        self.count(now)
    }

    /// How many lost sub-streams have moved to another parent so far, and how the last of them did. Cheap: it may be asked
    /// after each input.
    pub fn failovers(&self) -> (u64, Option<Failover>) {
        (self.counters.failovers, self.counters.failover_last)
    }

    fn timeout(&mut self) {
        while let Some(reason) = self.timers.take_due(self.now) {
            match reason {
                TimeoutReason::Playout => self.play(),
                TimeoutReason::Forget => self.forget(),
                _ if self.rests => continue,
                TimeoutReason::Repair => self.mend(),
                TimeoutReason::Parents => self.tend_parents(),
                TimeoutReason::Announce => self.announce_all(),
                TimeoutReason::Probe => self.probe_partners(),
                TimeoutReason::Peers => self.tend_peers(),
            }
            // Time goes on between two looks at the same thing, whatever a rule may reckon.
            self.timers.defer(reason, self.now + Duration::from_millis(1));
        }
    }

    fn message(&mut self, from: Pid, message: Message) {
        let now = self.now;
        let Some(partner) = self.partners.get_mut(from) else { return };
        partner.hear(now);
        self.counters.control_bytes += message.encoded_len() as u64;
        match message {
            Message::Hello(offer) => self.hello(from, offer),
            Message::Search { wanted } => self.searched(from, wanted),
            Message::Offer(offer) => self.offered(from, offer),
            Message::Subscribe { substreams, from: first } => {
                self.subscribed(from, substreams, first);
            }
            Message::Grant(grant) => self.granted(from, grant),
            Message::Unsubscribe { substreams } => self.unsubscribed(from, substreams),
            Message::Shed { substreams, reason } => self.shed_by(from, substreams, reason),
            Message::Have { available, free } => self.have(from, available, free),
            Message::Gone { substreams } => self.gone(from, substreams),
            Message::Request { shards, within_ms } => self.requested(from, shards, within_ms),
            Message::Unavailable { shards } => self.unavailable(from, &shards),
            Message::Start { playout, k } => self.start_asked(from, playout, k),
            Message::Starting { range } => self.starting(from, range),
            Message::Quality { index, late_ms, lost } => self.quality(from, index, late_ms, lost),
            Message::Probe { token } => self.probed(from, token),
            Message::ProbeReply { token, free, lag_ms } => {
                self.probe_replied(from, token, free, lag_ms);
            }
            Message::Peers(peers) => self.heard_of(from, peers),
            Message::Reach(reach) => self.reached(from, reach),
            Message::Bye => self.part_with(from, true),
        }
    }

    fn send(&mut self, to: Pid, message: Message) {
        let Some(to) = self.partners.get(to).map(|partner| partner.id) else { return };
        self.counters.control_bytes += message.encoded_len() as u64;
        self.out.push_back(Output::Send { to, message });
    }

    fn leave(&mut self) {
        self.take_leave();
        self.left = true;
    }

    fn rest(&mut self) {
        self.take_leave();
        self.pushes = Pushes::new(self.config.n.into());
        self.pulls.clear();
        self.rests = true;
    }

    fn take_leave(&mut self) {
        for pid in self.partners.pids() {
            self.send(pid, Message::Bye);
            if let Some(peer) = self.partners.get(pid).map(|partner| partner.id) {
                self.out.push_back(Output::Disconnect { peer, reason: Parting::Leaving });
            }
        }
        self.partners.clear();
        self.feeds.clear();
    }

    fn forget(&mut self) {
        let keep = self.config.keep.as_micros() as u64;
        let limit = match self.platform() {
            Some(platform) => Some(platform.saturating_sub(keep)),
            None => self.window.newest_capture().map(|capture| capture.saturating_sub(keep)),
        };
        if let Some(before) = limit.and_then(|limit| self.window.forget(limit)) {
            self.out.push_back(Output::Forget { before });
        }
        if self.window.oldest().is_some() {
            self.timers.set(TimeoutReason::Forget, self.now + Duration::from_secs(1));
        }
    }

    fn is_viewer(&self) -> bool {
        self.config.role == Role::Viewer
    }

    /// A number below `bound` by chance.
    fn chance(&mut self, bound: u32) -> u32 {
        ((u64::from(self.rng.next_u32()) * u64::from(bound.max(1))) >> 32) as u32
    }

    /// Between `least` and twice that, by chance: so that nodes do not act in step.
    fn spread(&mut self, least: Duration) -> Duration {
        let us = u64::from(self.chance(1024)) * least.as_micros() as u64 / 1024;
        least + Duration::from_micros(us)
    }
}
