//! One channel: how its viewers fare, where they are, who carries it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use link::protocol::{Condition, SourceState};
use ticket::Role;

use super::Shared;
use super::html::{Esc, date, ms, percent, rate, shares, size, span, state, table, tile};
use crate::map::{ByRole, Member, Summary};

/// Members in the list of those who give most.
const MOST: usize = 25;

pub(super) async fn page(
    State(console): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    let (info, swarms) = console.hub.look(|map, now| {
        let info = map.line_up().into_iter().find(|channel| channel.id == id);
        let mut swarms = Vec::new();
        for summary in map.summaries(now).into_iter().filter(|swarm| swarm.channel == id) {
            let swarm = crate::http::parse(&summary.id);
            let members = swarm.and_then(|swarm| map.details(now, swarm, 0, usize::MAX));
            swarms.push((summary, members.unwrap_or_default()));
        }
        (info, swarms)
    });
    let Some(info) = info else {
        return (StatusCode::NOT_FOUND, "there is no such channel").into_response();
    };
    console.page(&headers, &info.name, |out, _| {
        let _ = write!(
            out,
            "<p id=about data-live>Channel {}, number {}, {}</p>",
            Esc(&info.id),
            info.number,
            state(info.live)
        );
        source(out, &console, &id);
        for (swarm, members) in &swarms {
            rendition(out, swarm, members);
        }
        if swarms.is_empty() {
            out.push_str("<p>Nobody publishes it now.</p>");
        }
    })
}

/// What it shows now, for who is signed in.
pub(super) async fn preview(
    State(console): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    if console.signed(&headers).is_none() {
        return (StatusCode::FORBIDDEN, "sign in first").into_response();
    }
    match console.hub.preview(&id) {
        Some(shown) => {
            let heads = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private")];
            (heads, shown.jpeg).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no picture of it yet").into_response(),
    }
}

/// What comes in and how it fares, beside a picture of what leaves.
fn source(out: &mut String, console: &super::Console, id: &str) {
    out.push_str("<section id=source class=source data-live><div>");
    match console.hub.preview(id) {
        // The address is another for each picture, so that none is shown twice.
        Some(shown) => {
            let _ = write!(
                out,
                "<img class=preview src=\"/channels/{}/preview.jpg?at={}\" alt=\"What the channel shows now\">",
                Esc(id),
                shown.at.0
            );
        }
        None => out.push_str("<p class=preview>No picture yet</p>"),
    }
    out.push_str("</div><div>");
    let conditions = console.hub.conditions(id);
    for condition in &conditions {
        let made = if condition.encoded { "encoded here" } else { "passed through" };
        let _ = write!(
            out,
            "<p>{}, {made}, {} behind its clock; the slate stood in {} times, another source took over {} times.</p>",
            on_screen(condition),
            ms(Some(condition.behind_ms)),
            condition.losses,
            condition.switches
        );
        if let Some(trouble) = &condition.trouble {
            let _ = write!(out, "<p class=bad>{}</p>", Esc(trouble));
        }
        let rows = condition.sources.iter().enumerate().map(|(place, source)| {
            let state = match source.state {
                SourceState::Fit => "<b class=good>fit</b>".to_owned(),
                bad => format!("<b class=bad>{}</b>", bad.name()),
            };
            let plays = if source.playing && condition.up { "plays" } else { "" };
            vec![(place + 1).to_string(), Esc(&source.kind).to_string(), state, plays.to_owned()]
        });
        table(out, &["No.", "Source", "State", "Now"], rows, "It has no source.");
    }
    if conditions.is_empty() {
        out.push_str("<p>No headend tells how its source fares.</p>");
    }
    let programmes = console.hub.programmes(id);
    if !programmes.is_empty() {
        out.push_str("<h3>What the source says is on (UTC)</h3>");
        let rows = programmes.iter().map(|programme| {
            let time = |seconds: u64| date(i64::try_from(seconds).ok());
            vec![
                time(programme.start),
                time(programme.end),
                Esc(&programme.title).to_string(),
                Esc(&programme.about).to_string(),
            ]
        });
        table(out, &["From", "To", "Title", "About"], rows, "Nothing.");
    }
    out.push_str("</div></section>");
}

/// What viewers see, in a few words.
pub(super) fn on_screen(condition: &Condition) -> String {
    match condition.sources.iter().position(|source| source.playing) {
        _ if !condition.up => "<b class=bad>slate</b>".to_owned(),
        Some(0) | None => "<b class=good>source</b>".to_owned(),
        Some(place) => format!("<b class=late>source {}</b>", place + 1),
    }
}

fn rendition(out: &mut String, swarm: &Summary, members: &[Member]) {
    let name = Esc(&swarm.rendition);
    let _ = write!(
        out,
        "<section id=\"rendition-{name}\" data-live><h2>Rendition {name}</h2>\
         <p>{}, K = {} of N = {}, segments of {} ms, played {} ms after capture, content keys to epoch {}. \
         <a href=\"/map?swarm={}\">Swarm map</a></p><dl class=tiles>",
        rate(swarm.bitrate),
        swarm.k,
        swarm.n,
        swarm.segment_ms,
        swarm.delay_ms,
        swarm.epoch.map_or_else(|| "–".into(), |epoch| epoch.to_string()),
        swarm.id,
    );
    tile(out, "Viewers", &swarm.nodes.viewer.to_string(), None);
    tile(out, "Repeaters", &swarm.nodes.repeater.to_string(), None);
    tile(out, "Headends", &swarm.nodes.headend.to_string(), None);
    tile(out, "Offload", &percent(swarm.offload), None);
    tile(out, "Start time", &ms(swarm.startup_ms), None);
    tile(out, "Capture to arrival", &ms(swarm.lag_ms), None);
    tile(out, "Stalls", &swarm.stalls.to_string(), None);
    let free = swarm.free.headend + swarm.free.repeater + swarm.free.viewer;
    tile(out, "Free sub-streams", &free.to_string(), None);
    out.push_str("</dl><h3>Who carries the bytes</h3>");
    out.push_str(&shares(&swarm.received));

    out.push_str("<h3>Sub-streams</h3>");
    substreams(out, swarm, members);
    out.push_str("<div class=halves><div><h3>Viewers by network</h3>");
    places(out, "AS", members, |member| {
        member.location.asn.map_or_else(|| "unknown".into(), |asn| format!("AS {asn}"))
    });
    out.push_str("</div><div><h3>Viewers by country</h3>");
    places(out, "Country", members, |member| {
        member.location.country.map_or_else(|| "unknown".into(), |country| country.to_string())
    });
    out.push_str("</div></div><h3>Who gives most</h3>");
    let mut givers: Vec<&Member> = members.iter().collect();
    givers.sort_by_key(|member| (std::cmp::Reverse(sum(&member.bytes_out)), member.peer));
    let rows = givers.into_iter().take(MOST).map(|member| {
        vec![
            format!("<code>{}</code>", &member.peer.to_string()[..8]),
            format!("{}{}", role(member.role), if member.publishes { ", publishes" } else { "" }),
            place(member),
            size(sum(&member.bytes_out)),
            size(sum(&member.bytes_in)),
            format!("{} ({} free)", member.pushed, member.free),
            ms(member.reported.then_some(member.lag_ms)),
            member.stalls.to_string(),
            span(member.joined_s),
        ]
    });
    let heads = ["Node", "Role", "Where", "Given", "Taken", "Pushes", "Lag", "Stalls", "Since"];
    table(out, &heads, rows, "Nobody.");
    out.push_str("</section>");
}

/// For each sub-stream the share of viewers who have it.
fn substreams(out: &mut String, swarm: &Summary, members: &[Member]) {
    let mut have = vec![0_u64; swarm.n.into()];
    let viewers = members.iter().filter(|member| member.role == Role::Viewer && member.reported);
    let mut count = 0_u64;
    for member in viewers {
        count += 1;
        for index in &member.have {
            if let Some(have) = have.get_mut(usize::from(*index)) {
                *have += 1;
            }
        }
    }
    if count == 0 {
        out.push_str("<p>No viewer has reported yet.</p>");
        return;
    }
    out.push_str("<ol class=substreams start=0>");
    for (index, have) in have.iter().enumerate() {
        let share = *have as f64 / count as f64;
        let height = share * 40.0;
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 10 40\" preserveAspectRatio=none role=img \
             aria-label=\"sub-stream {index}: {have} of {count} viewers\"><rect x=0 y={:.1} width=10 \
             height={height:.1} /></svg><span>{index}</span><small>{:.0} %</small></li>",
            40.0 - height,
            share * 100.0,
        );
    }
    let _ = write!(
        out,
        "</ol><p class=legend>share of viewers who have each; any {} play</p>",
        swarm.k
    );
}

#[derive(Default)]
struct Place {
    viewers: u64,
    stalls: u64,
    lags: Vec<u32>,
    received: [u64; 3],
}

fn places(
    out: &mut String,
    head: &'static str,
    members: &[Member],
    of: impl Fn(&Member) -> String,
) {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for member in members.iter().filter(|member| member.role == Role::Viewer) {
        let place = places.entry(of(member)).or_default();
        place.viewers += 1;
        place.stalls += u64::from(member.stalls);
        if member.reported {
            place.lags.push(member.lag_ms);
        }
        let ByRole { headend, repeater, viewer } = member.bytes_in;
        for (sum, bytes) in place.received.iter_mut().zip([headend, repeater, viewer]) {
            *sum += bytes;
        }
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(_, place)| std::cmp::Reverse(place.viewers));
    let rows = places.into_iter().take(20).map(|(name, mut place)| {
        place.lags.sort_unstable();
        vec![
            Esc(&name).to_string(),
            place.viewers.to_string(),
            percent(ByRole::from(place.received).offload()),
            ms(place.lags.get(place.lags.len() / 2).copied()),
            place.stalls.to_string(),
        ]
    });
    table(out, &[head, "Viewers", "Offload", "Lag", "Stalls"], rows, "No viewers.");
}

pub(super) fn sum(by: &ByRole) -> u64 {
    by.headend.saturating_add(by.repeater).saturating_add(by.viewer)
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Headend => "headend",
        Role::Repeater => "repeater",
        Role::Viewer => "viewer",
        Role::Rendezvous => "rendezvous",
    }
}

/// Where a node is, in a few words.
pub(super) fn place(member: &Member) -> String {
    words(&member.location)
}

pub(super) fn words(location: &ticket::Location) -> String {
    let country = location.country.map(|country| country.to_string());
    let asn = location.asn.map(|asn| format!("AS {asn}"));
    let subset = location.subset.map(|subset| format!("subset {subset}"));
    let known: Vec<String> = [country, asn, subset].into_iter().flatten().collect();
    if known.is_empty() { "unknown".into() } else { known.join(", ") }
}
