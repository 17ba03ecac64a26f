//! Takes part in the swarms of the line-up. Membership costs a few messages; what flows is decided by
//! the engines, on demand. Before the end, children are moved to others.

use std::collections::BTreeMap;
use std::time::Duration;

use link::{Joined, Node, Part, Session, SessionError, SessionState};
use service::status::Need;
use service::{Stop, config::Rate};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::drain::Drain;
use crate::metrics::{Carrying, Figures, Metrics, Totals};
use crate::share::share;
use crate::{Config, Time};

/// How often figures are read and limits are shared out anew.
const LOOK: Duration = Duration::from_secs(1);
/// How often children are let go while the repeater takes leave of them.
const STEP: Duration = Duration::from_millis(250);
/// A channel that is off the air for so long is left; a headend that restarts is back before.
const OFF_AIR: Duration = Duration::from_secs(60);
/// A swarm in which nothing flows for so long is joined anew: its headend may have come back under
/// another key, which makes it another swarm.
const IDLE: Duration = Duration::from_secs(120);
/// After a refusal, the same rendition is tried again no sooner.
const RETRY: Duration = Duration::from_secs(5);
/// The most renditions carried. More in a line-up are passed over.
const MOST: usize = 4096;

/// A rendition of a channel.
type Name = (String, String);

/// A rendition that is carried.
struct Carried {
    joined: Joined,
    /// When it was last seen on the air.
    on_air: Instant,
    /// When something last flowed.
    flowed: Instant,
    /// What one sub-stream takes, bits per second.
    substream_rate: u64,
    /// Its parts of the limits, as the engine knows them.
    uplink: Option<u64>,
    max_pushed: Option<u32>,
}

pub(crate) struct Carrier<'a> {
    config: &'a Config,
    node: &'a Node,
    session: &'a Session,
    metrics: Metrics,
    platform: Need,
    carried: BTreeMap<Name, Carried>,
    /// Renditions that were refused, and when.
    refused: BTreeMap<Name, Instant>,
    left: Totals,
    /// The limit of what is sent, as the engines know it.
    capped: Option<Rate>,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(
        config: &'a Config,
        node: &'a Node,
        session: &'a Session,
        metrics: Metrics,
        platform: Need,
    ) -> Self {
        Self {
            config,
            node,
            session,
            metrics,
            platform,
            carried: BTreeMap::new(),
            refused: BTreeMap::new(),
            left: Totals::default(),
            capped: config.limits.egress_at(Time::now()),
        }
    }

    /// Carries until the stop, and then until the children have moved.
    pub(crate) async fn run(mut self, stop: &Stop) {
        self.carry(stop).await;
        self.drain().await;
    }

    /// Takes leave of the children one after the other, so that each loses one sub-stream at a time and finds another
    /// parent for it while the rest flows on.
    async fn drain(&mut self) {
        let began = Instant::now();
        let most = self.config.limits.drain.get();
        let drain = Drain::new(self.pushed().iter().sum(), most);
        if drain.is_over(0, Duration::ZERO) {
            return;
        }
        tracing::info!(substreams = drain.first(), "moving children to others before the end");
        self.metrics.draining();
        self.platform.missing("about to stop: children are moved to others");
        let mut step = interval(STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            step.tick().await;
            let pushed = self.pushed();
            self.count();
            if drain.is_over(pushed.iter().sum(), began.elapsed()) {
                break;
            }
            let parts = share(drain.allowed(began.elapsed()), &pushed);
            for ((carried, part), pushed) in self.carried.values_mut().zip(parts).zip(pushed) {
                // Never more than there is: nobody new is taken.
                let most = u32::try_from(part.min(pushed)).unwrap_or(u32::MAX);
                if carried.max_pushed != Some(most) {
                    carried.max_pushed = Some(most);
                    carried.joined.swarm.set_max_pushed(Some(most));
                }
            }
        }
        let left = self.pushed().iter().sum::<u64>();
        tracing::info!(left, took = ?began.elapsed(), "children have moved");
    }

    /// Sub-streams fed to others, by swarm.
    fn pushed(&self) -> Vec<u64> {
        self.carried.values().map(|c| u64::from(c.joined.swarm.stats().pushed)).collect()
    }

    /// Carries until the stop.
    async fn carry(&mut self, stop: &Stop) {
        let mut state = self.session.state();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => break,
                changed = state.changed() => if changed.is_err() { break },
                _ = look.tick() => {}
            }
            let now = Instant::now();
            self.tell(&state);
            let (wanted, connected) = {
                let state = state.borrow();
                (self.wanted(&state), state.rendezvous)
            };
            self.leave(&wanted, connected, now);
            if !connected {
                // What is carried goes on; nothing can be joined.
                self.share_out();
                self.count();
                continue;
            }
            tokio::select! {
                () = stop.requested() => break,
                () = self.join(wanted, now) => {}
            }
            self.share_out();
            self.count();
        }
    }

    /// Whether the repeater can do its work.
    fn tell(&self, state: &watch::Receiver<SessionState>) {
        match &state.borrow().missing {
            None => self.platform.ok(),
            Some(what) => self.platform.missing(what.clone()),
        }
    }

    /// The renditions on the air that are to be carried, with their bit rates.
    fn wanted(&self, state: &SessionState) -> BTreeMap<Name, u64> {
        let live = state.line_up.iter().filter(|c| c.live && self.config.carries(&c.id));
        live.flat_map(|channel| {
            let id = &channel.id;
            channel.renditions.iter().map(move |(name, rate)| ((id.clone(), name.clone()), *rate))
        })
        .take(MOST)
        .collect()
    }

    /// Leaves what is off the air. Nobody knows what is on the air while rendezvous is away, so what is
    /// carried then goes on.
    fn leave(&mut self, wanted: &BTreeMap<Name, u64>, connected: bool, now: Instant) {
        let left = &mut self.left;
        self.carried.retain(|name, carried| {
            let stats = carried.joined.swarm.stats();
            if !connected || wanted.contains_key(name) {
                carried.on_air = now;
            }
            if !connected || !stats.substreams.is_empty() || stats.pushed > 0 {
                carried.flowed = now;
            }
            let off_air = now - carried.on_air > OFF_AIR;
            if off_air {
                tracing::info!(
                    channel = name.0,
                    rendition = name.1,
                    "off the air, no longer carried"
                );
            }
            let keep = !off_air && now - carried.flowed <= IDLE;
            if !keep {
                left.add(&stats);
            }
            keep
        });
    }

    async fn join(&mut self, wanted: BTreeMap<Name, u64>, now: Instant) {
        self.refused.retain(|name, since| wanted.contains_key(name) && now - *since < RETRY);
        for (name, rate) in wanted {
            if self.carried.contains_key(&name) || self.refused.contains_key(&name) {
                continue;
            }
            // The limits are shared out among all swarms right after.
            let part = Part {
                uplink: self.egress().map(Rate::bits_per_second),
                max_pushed: self.config.limits.substreams,
                ..Part::default()
            };
            match self.session.join(&name.0, Some(&name.1), part).await {
                Ok(joined) => {
                    tracing::info!(channel = name.0, rendition = name.1, "carrying");
                    let substream_rate = rate / u64::from(joined.spec.coding.full().max(1));
                    let Part { uplink, max_pushed, .. } = part;
                    let carried = Carried {
                        joined,
                        on_air: now,
                        flowed: now,
                        substream_rate,
                        uplink,
                        max_pushed,
                    };
                    self.carried.insert(name, carried);
                    self.share_out();
                }
                Err(error) => {
                    tracing::warn!(channel = name.0, rendition = name.1, %error, "cannot carry");
                    self.refused.insert(name, now);
                    if error == SessionError::RendezvousUnreachable {
                        // The others would wait in vain too.
                        return;
                    }
                }
            }
        }
    }

    /// The most that may be sent at this hour.
    fn egress(&self) -> Option<Rate> {
        self.config.limits.egress_at(Time::now())
    }

    /// Shares the limits over all channels out among the swarms, by use. Engines hear of it only when
    /// their part changes: a new uplink ends what they had learnt about the old one.
    fn share_out(&mut self) {
        let pushed = self.pushed();
        if let Some(total) = self.config.limits.substreams {
            let parts = share(u64::from(total), &pushed);
            // Who must give something up does so before others may take it.
            for falling in [true, false] {
                for (carried, part) in self.carried.values_mut().zip(&parts) {
                    let most = u32::try_from(*part).ok();
                    if most != carried.max_pushed && (most < carried.max_pushed) == falling {
                        carried.max_pushed = most;
                        carried.joined.swarm.set_max_pushed(most);
                    }
                }
            }
        }
        let egress = self.egress();
        if egress != self.capped {
            let limit = egress.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
            tracing::info!(limit, "another limit of what is sent");
            self.capped = egress;
            self.node.set_max_egress(egress.map(Rate::bits_per_second));
            if egress.is_none() {
                for carried in self.carried.values_mut() {
                    carried.uplink = None;
                    carried.joined.swarm.set_uplink(None);
                }
            }
        }
        if let Some(total) = egress {
            let used = self.carried.values().zip(&pushed);
            let used: Vec<u64> = used
                .map(|(carried, pushed)| carried.substream_rate.saturating_mul(*pushed))
                .collect();
            let parts = share(total.bits_per_second(), &used);
            for (carried, part) in self.carried.values_mut().zip(parts) {
                if Some(part) != carried.uplink {
                    carried.uplink = Some(part);
                    carried.joined.swarm.set_uplink(Some(part));
                }
            }
        }
    }

    fn count(&self) {
        let carried = self.carried.iter().map(|((channel, rendition), carried)| Carrying {
            channel: channel.clone(),
            rendition: rendition.clone(),
            stats: carried.joined.swarm.stats(),
        });
        let carried = carried.collect();
        let (left, limit) = (self.left, self.capped);
        self.metrics.set(Figures { node: self.node.stats(), left, carried, limit });
    }
}
