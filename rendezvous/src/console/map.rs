//! The swarm map: a picture of who is where and how they fare, drawn by a script from the figures here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use ticket::Role;

use super::Shared;
use super::html::Esc;
use crate::map::Member;

/// Nodes that are drawn; of more, an even choice.
const DRAWN: usize = 6000;

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    swarm: String,
}

pub(super) async fn page(
    State(console): Shared,
    headers: HeaderMap,
    Query(Which { swarm }): Query<Which>,
) -> Response {
    let swarms = console.hub.look(|map, now| map.summaries(now));
    let chosen = swarms.iter().find(|one| one.id == swarm);
    let most = || swarms.iter().max_by_key(|one| (one.live, one.nodes.viewer));
    let Some(chosen) = chosen.or_else(most) else {
        return console.page(&headers, "Swarm map", |out, _| {
            out.push_str("<p>No channel has been published yet.</p>");
        });
    };
    console.page(&headers, "Swarm map", |out, _| {
        out.push_str("<form method=get action=/map class=choose><label>Swarm <select name=swarm>");
        for one in &swarms {
            let _ = write!(
                out,
                "<option value={}{}>{}, {}</option>",
                one.id,
                if one.id == chosen.id { " selected" } else { "" },
                Esc(&one.channel),
                Esc(&one.rendition),
            );
        }
        let _ = write!(
            out,
            "</select></label><button>Show</button></form>\
             <div class=map><canvas id=map data-swarm={} tabindex=0 role=img \
             aria-label=\"the nodes of the swarm, grouped by network\"></canvas>\
             <p id=map-tip hidden></p></div>\
             <ul class=legend><li><span class=headend>headend</span><li><span class=repeater>repeater</span>\
             <li><span class=viewer>viewer, well</span><li><span class=late>late</span>\
             <li><span class=stalled>has stalled</span><li>a ring says who feeds a network: \
             <span class=viewer>viewers</span>, <span class=repeater>repeaters</span>, <span class=headend>the headend</span></ul>\
             <p id=map-count></p><script src=/map.js type=module></script>",
            chosen.id,
        );
    })
}

/// A network of nodes.
#[derive(Serialize)]
struct Group {
    name: String,
    viewers: u64,
    stalls: u64,
    /// Media received: from headends, repeaters, viewers.
    received: [u64; 3],
}

#[derive(Serialize)]
struct Data {
    channel: String,
    rendition: String,
    delay_ms: u32,
    /// All of the swarm, drawn or not.
    nodes: usize,
    groups: Vec<Group>,
    /// Group, role (0 headend, 1 repeater, 2 viewer), sub-streams pushed, lag in ms, stalls.
    drawn: Vec<(usize, u8, u16, u32, u32)>,
}

pub(super) async fn data(
    State(console): Shared,
    headers: HeaderMap,
    Query(Which { swarm }): Query<Which>,
) -> Response {
    if console.signed(&headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(id) = crate::http::parse(&swarm) else { return StatusCode::NOT_FOUND.into_response() };
    let found = console.hub.look(|map, now| {
        let (parameters, _) = map.publication(id)?;
        Some((parameters, map.details(now, id, 0, usize::MAX)?))
    });
    let Some((parameters, members)) = found else { return StatusCode::NOT_FOUND.into_response() };
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for member in &members {
        let name = network(member);
        let group = groups.entry(name.clone()).or_insert_with(|| Group {
            name,
            viewers: 0,
            stalls: 0,
            received: [0; 3],
        });
        if member.role == Role::Viewer {
            group.viewers += 1;
            group.stalls += u64::from(member.stalls);
            let by = member.bytes_in;
            for (sum, bytes) in group.received.iter_mut().zip([by.headend, by.repeater, by.viewer])
            {
                *sum = sum.saturating_add(bytes);
            }
        }
    }
    let index: BTreeMap<&str, usize> =
        groups.keys().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let every = members.len().div_ceil(DRAWN).max(1);
    let drawn = members
        .iter()
        .enumerate()
        .filter(|(i, member)| member.role != Role::Viewer || i % every == 0)
        .map(|(_, member)| {
            let role = match member.role {
                Role::Headend => 0,
                Role::Repeater => 1,
                Role::Viewer | Role::Rendezvous => 2,
            };
            let group = index.get(network(member).as_str()).copied().unwrap_or_default();
            (group, role, member.pushed, member.lag_ms, member.stalls)
        })
        .collect();
    let (channel, rendition) = (parameters.channel, parameters.rendition);
    let groups = groups.into_values().collect();
    let (nodes, delay_ms) = (members.len(), parameters.delay_ms);
    Json(Data { channel, rendition, delay_ms, nodes, groups, drawn }).into_response()
}

fn network(member: &Member) -> String {
    let country = member.location.country.map(|country| country.to_string());
    match (member.location.asn, country) {
        (Some(asn), Some(country)) => format!("AS {asn}, {country}"),
        (Some(asn), None) => format!("AS {asn}"),
        (None, Some(country)) => country,
        (None, None) => "unknown".into(),
    }
}
