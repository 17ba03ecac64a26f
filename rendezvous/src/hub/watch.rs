//! Who watches what: for the operator's list of sessions, for webhooks, and for the limit of streams
//! of one account.

use std::collections::BTreeSet;
use std::time::Duration;

use link::protocol::{Quality, Refusal, SwarmReport};
use segment::SwarmId;
use serde::Serialize;
use serde_json::{Value, json};
use swarm::Time;
use ticket::{Location, PeerId, Role};
use tokio::sync::mpsc;

use super::{Caller, Hub, State};

/// News that wait to be handed to webhooks; what comes beyond them is lost and counted.
const NEWS: usize = 10_000;
/// How often accounts with too many streams are looked for.
const COUNT: Duration = Duration::from_secs(1);

/// Something for webhooks.
#[derive(Clone, PartialEq, Debug)]
pub struct News {
    /// `viewer.started`, `viewer.stopped`, `channel.on_air`, `channel.off_air`.
    pub kind: &'static str,
    /// When, microseconds since 1970.
    pub at: u64,
    /// What is to be known of it.
    pub data: Value,
}

/// What one viewer watches.
pub(super) struct Watched {
    channel: String,
    rendition: String,
    /// Microseconds since 1970.
    since: u64,
    report: SwarmReport,
    quality: Quality,
    /// Whether its start time was counted.
    started: bool,
}

/// A viewer's session as the operator sees it. No address.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct Seen {
    /// The session at auth: end it there.
    pub session: String,
    /// The account's id.
    pub account: String,
    /// The device.
    #[schema(value_type = String)]
    pub peer: PeerId,
    /// What it does.
    #[schema(value_type = String, example = "viewer")]
    pub role: Role,
    /// Where it is: subset, AS number, country.
    #[schema(value_type = Object)]
    pub location: Location,
    /// Program and version.
    pub software: String,
    /// When it connected, seconds since 1970.
    pub since: u64,
    /// What it watches.
    pub watching: Vec<Watching>,
}

/// A channel that a viewer watches.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct Watching {
    /// The channel.
    pub channel: String,
    /// The rendition.
    pub rendition: String,
    /// Since when, seconds since 1970.
    pub since: u64,
    /// Stalls since then.
    pub stalls: u32,
    /// Capture to arrival, milliseconds.
    pub lag_ms: u32,
}

impl Hub {
    /// From now on news come out here.
    pub fn news(&self) -> mpsc::Receiver<News> {
        let (sender, receiver) = mpsc::channel(NEWS);
        self.lock().news = Some(sender);
        receiver
    }

    /// Whether this server speaks for all that share the map, of what all of them see.
    pub fn set_speaker(&self, speaker: bool) {
        self.lock().speaker = speaker;
    }

    /// Sessions here, ordered by account and device; at most `most` after the first `skip`.
    pub fn seen(&self, skip: usize, most: usize) -> Vec<Seen> {
        let state = self.lock();
        let mut order: Vec<(&str, PeerId)> =
            state.seats.iter().map(|(peer, seat)| (seat.ticket.sub.as_str(), *peer)).collect();
        order.sort();
        let order = order.into_iter().skip(skip).take(most);
        order
            .filter_map(|(_, peer)| {
                let seat = state.seats.get(&peer)?;
                let watching = seat.watching.values().map(|watched| Watching {
                    channel: watched.channel.clone(),
                    rendition: watched.rendition.clone(),
                    since: watched.since / 1_000_000,
                    stalls: watched.report.stalls,
                    lag_ms: watched.report.lag_ms,
                });
                Some(Seen {
                    session: seat.ticket.jti.clone(),
                    account: seat.ticket.sub.clone(),
                    peer,
                    role: seat.ticket.role,
                    location: seat.location,
                    software: seat.software.clone(),
                    since: seat.since,
                    watching: watching.collect(),
                })
            })
            .collect()
    }

    /// Compares what a viewer watches with what is known of it, and tells the difference.
    pub(super) fn notice(&self, state: &mut State, peer: PeerId) {
        let State { map, seats, news, .. } = state;
        let Some(seat) = seats.get_mut(&peer).filter(|seat| seat.ticket.role == Role::Viewer)
        else {
            return;
        };
        let now: BTreeSet<SwarmId> = map.swarms_of(peer).into_iter().collect();
        let mut told = Vec::new();
        let over: Vec<SwarmId> =
            seat.watching.keys().filter(|swarm| !now.contains(swarm)).copied().collect();
        for swarm in over {
            if let Some(watched) = seat.watching.remove(&swarm) {
                told.push(self.stopped(seat, peer, &watched));
            }
        }
        for swarm in now {
            let report = map.report_of(peer, swarm);
            if let Some(watched) = seat.watching.get_mut(&swarm) {
                watched.report = report.unwrap_or_default();
                if !watched.started && watched.report.startup_ms > 0 {
                    watched.started = true;
                    self.metrics.started(watched.report.startup_ms);
                }
                continue;
            }
            let Some((parameters, _)) = map.publication(swarm) else { continue };
            let watched = Watched {
                channel: parameters.channel,
                rendition: parameters.rendition,
                since: self.wall(),
                report: report.unwrap_or_default(),
                quality: Quality::default(),
                started: false,
            };
            let data = about(seat, peer, &watched);
            told.push(News { kind: "viewer.started", at: watched.since, data });
            seat.watching.insert(swarm, watched);
        }
        told.into_iter().for_each(|one| self.publish_news(news, one));
    }

    /// A viewer tells more of how it fares: what is new of it is counted.
    pub(super) fn quality(&self, state: &mut State, peer: PeerId, told: Vec<Quality>) {
        let Some(seat) = state.seats.get_mut(&peer).filter(|seat| seat.ticket.role == Role::Viewer)
        else {
            return;
        };
        for quality in told {
            if let Some(watched) = seat.watching.get_mut(&SwarmId(quality.swarm)) {
                self.metrics.fared(&watched.quality, &quality);
                watched.quality = quality;
            }
        }
    }

    /// What waits here, by queue.
    pub(super) fn queues(&self, state: &State) -> [(&'static str, usize); 3] {
        let waits = |used: Option<(usize, usize)>| used.map_or(0, |(most, left)| most - left);
        let news = state.news.as_ref().map(|queue| (queue.max_capacity(), queue.capacity()));
        let parcels = state.parcels.as_ref().map(|queue| (queue.max_capacity(), queue.capacity()));
        [
            ("joins", state.waiting.len()),
            ("webhooks", waits(news)),
            ("other_servers", waits(parcels)),
        ]
    }

    /// A session ends, and with it what was watched.
    pub(super) fn leaves(&self, state: &mut State, caller: &Caller) {
        self.notice(state, caller.peer);
        let State { seats, news, .. } = state;
        let Some(seat) = seats.get_mut(&caller.peer) else { return };
        if seat.connection != caller.connection {
            return;
        }
        for watched in std::mem::take(&mut seat.watching).into_values() {
            let one = self.stopped(seat, caller.peer, &watched);
            self.publish_news(news, one);
        }
    }

    fn stopped(&self, seat: &super::Seat, peer: PeerId, watched: &Watched) -> News {
        let at = self.wall();
        let mut data = about(seat, peer, watched);
        let report = &watched.report;
        let [headend, repeater, viewer] = report.bytes_in;
        data["seconds"] = (at.saturating_sub(watched.since) / 1_000_000).into();
        data["startup_ms"] = report.startup_ms.into();
        data["stalls"] = report.stalls.into();
        data["stall_ms"] = report.stall_ms.into();
        data["bytes_in"] = json!({"headend": headend, "repeater": repeater, "viewer": viewer});
        News { kind: "viewer.stopped", at, data }
    }

    /// Channels that went on or off air are news.
    pub(super) fn air(&self, state: &mut State) {
        let line_up = state.map.line_up();
        let live: BTreeSet<String> =
            line_up.into_iter().filter(|channel| channel.live).map(|channel| channel.id).collect();
        if live == state.live {
            return;
        }
        let before = std::mem::replace(&mut state.live, live);
        if !state.speaker {
            return;
        }
        let (at, live) = (self.wall(), &state.live);
        let one = |kind, channel: &String| News { kind, at, data: json!({"channel": channel}) };
        let on = live.difference(&before).map(|channel| one("channel.on_air", channel));
        let off = before.difference(live).map(|channel| one("channel.off_air", channel));
        on.chain(off).for_each(|one| self.publish_news(&state.news, one));
    }

    fn publish_news(&self, news: &Option<mpsc::Sender<News>>, one: News) {
        if let Some(sender) = news
            && sender.try_send(one).is_err()
        {
            self.metrics.webhooks_lost.inc();
        }
    }

    /// Whether one more device of this node's account would be one too many.
    pub(super) fn too_many(&self, state: &State, now: Time, peer: PeerId) -> bool {
        let most = self.limits.streams;
        let Some(seat) = state.seats.get(&peer).filter(|_| most > 0) else { return false };
        let playing = state.map.playing(now, &seat.ticket.sub);
        !playing.contains(&peer) && playing.len() >= most
    }

    pub(super) fn streams_reason(&self) -> String {
        format!("your account plays on {} devices already", self.limits.streams)
    }

    /// Devices that came in at several servers in one moment, beyond the limit: the last go.
    pub(super) fn spare(&self, state: &mut State, now: Time) {
        let most = self.limits.streams;
        if most == 0 || now.since(state.counted) < COUNT {
            return;
        }
        state.counted = now;
        let accounts: BTreeSet<String> = state
            .seats
            .values()
            .filter(|seat| !seat.watching.is_empty())
            .map(|seat| seat.ticket.sub.clone())
            .collect();
        for account in accounts {
            for peer in state.map.playing(now, &account).into_iter().skip(most) {
                let Some(seat) = state.seats.get(&peer) else { continue };
                for swarm in state.map.swarms_of(peer) {
                    let channel = state.map.channel_of(swarm).unwrap_or_default().to_owned();
                    state.map.leave(now, peer, swarm);
                    self.deny(seat, channel, Refusal::Limit, Some(self.streams_reason()));
                }
                self.notice(state, peer);
            }
        }
    }
}

fn about(seat: &super::Seat, peer: PeerId, watched: &Watched) -> Value {
    json!({
        "account": seat.ticket.sub,
        "session": seat.ticket.jti,
        "device": peer,
        "channel": watched.channel,
        "rendition": watched.rendition,
        "location": seat.location,
        "software": seat.software,
    })
}
