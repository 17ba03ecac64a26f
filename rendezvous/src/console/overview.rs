//! How the audience fares, problems first.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use link::protocol::{ChannelInfo, Condition};

use super::Shared;
use super::channel::on_screen;
use super::history::Total;
use super::html::{Esc, course, ms, percent, shares, size, state, table, tile};
use crate::map::Summary;

pub(super) async fn page(State(console): Shared, headers: HeaderMap) -> Response {
    let (swarms, line_up) = console.hub.look(|map, now| (map.summaries(now), map.line_up()));
    console.page(&headers, "Overview", |out, _| {
        out.push_str("<section id=problems data-live>");
        let missing = console.status.readiness().missing;
        let missing =
            missing.iter().map(|(what, why)| format!("{} is missing: {}", Esc(what), Esc(why)));
        let conditions: Vec<_> =
            line_up.iter().map(|channel| console.hub.conditions(&channel.id)).collect();
        let sources = line_up.iter().zip(&conditions).filter_map(|(of, told)| source(of, told));
        let found: Vec<String> =
            missing.chain(sources).chain(problems(&swarms, &line_up)).collect();
        if found.is_empty() {
            out.push_str("<p class=well>No problems.</p>");
        } else {
            out.push_str("<ul class=problems>");
            for problem in found {
                let _ = write!(out, "<li>{problem}</li>");
            }
            out.push_str("</ul>");
        }
        let total = Total::of(&swarms);
        let history = &console.history;
        out.push_str("</section><dl class=tiles id=tiles data-live>");
        tile(out, "Viewers now", &total.viewers.to_string(), course(&history.of(|s| s.viewers)));
        tile(out, "Offload", &percent(total.offload), course(&history.of(|s| s.offload)));
        tile(out, "Start time", &ms(total.startup_ms), course(&history.of(|s| s.startup_ms)));
        tile(
            out,
            "Stalls, 5 min",
            &history.stalls().to_string(),
            course(&history.of(|s| s.stalls)),
        );
        tile(out, "Capture to arrival", &ms(total.lag_ms), course(&history.of(|s| s.lag_ms)));
        let all = total.received.headend + total.received.repeater + total.received.viewer;
        tile(out, "Media received", &size(all), None);
        out.push_str("</dl><section id=carried data-live><h2>Who carries the bytes</h2>");
        out.push_str(&shares(&total.received));
        out.push_str("</section><section id=channels data-live><h2>Channels</h2>");
        let rows = line_up.iter().zip(&conditions);
        let rows = rows.map(|(channel, told)| row(channel, &swarms, told));
        let heads = [
            "No.",
            "Channel",
            "State",
            "On screen",
            "Viewers",
            "Repeaters",
            "Offload",
            "Start",
            "Lag",
            "Stalls",
        ];
        table(out, &heads, rows, "No channel has been published yet.");
        out.push_str("</section><p><a href=/metrics>Figures for Prometheus</a></p>");
    })
}

fn row(channel: &ChannelInfo, swarms: &[Summary], told: &[Condition]) -> Vec<String> {
    let own: Vec<Summary> =
        swarms.iter().filter(|swarm| swarm.channel == channel.id).cloned().collect();
    let total = Total::of(&own);
    vec![
        channel.number.to_string(),
        format!("<a href=\"/channels/{}\">{}</a>", Esc(&channel.id), Esc(&channel.name)),
        state(channel.live).to_owned(),
        told.iter().map(on_screen).collect::<Vec<_>>().join(", "),
        total.viewers.to_string(),
        total.repeaters.to_string(),
        percent(total.offload),
        ms(total.startup_ms),
        ms(total.lag_ms),
        total.stalls.to_string(),
    ]
}

/// What is wrong with what comes in, if anything.
fn source(channel: &ChannelInfo, told: &[Condition]) -> Option<String> {
    let name = Esc(&channel.name);
    let why = |condition: &Condition| match &condition.trouble {
        Some(why) => format!(": {}", Esc(why)),
        None => ".".to_owned(),
    };
    if let Some(lost) = told.iter().find(|condition| !condition.up) {
        return Some(format!(
            "Channel {name} shows its slate: no source gives pictures{}",
            why(lost)
        ));
    }
    let stands_in =
        |condition: &Condition| condition.sources.iter().skip(1).any(|source| source.playing);
    let second = told.iter().find(|condition| stands_in(condition))?;
    let first = second.sources.first().map_or("gone", |source| source.state.name());
    Some(format!("Channel {name} plays a backup: its first source is {first}{}", why(second)))
}

/// What an operator should look at, worst first.
fn problems(swarms: &[Summary], line_up: &[ChannelInfo]) -> Vec<String> {
    let mut found = Vec::new();
    for channel in line_up.iter().filter(|channel| !channel.live) {
        found.push(format!("Channel {} is off air: no headend publishes it.", Esc(&channel.name)));
    }
    for swarm in swarms.iter().filter(|swarm| swarm.live) {
        let name = format!("Channel {} ({})", Esc(&swarm.channel), Esc(&swarm.rendition));
        let (viewers, silent) = (
            swarm.nodes.viewer,
            swarm.nodes.repeater - swarm.heard.repeater.min(swarm.nodes.repeater),
        );
        if swarm.nodes.repeater == 0 && viewers > 0 {
            found.push(format!("{name} is carried by no repeater: viewers depend on the headend."));
        }
        if silent > 0 {
            found.push(format!(
                "{name}: {silent} of {} repeaters are silent.",
                swarm.nodes.repeater
            ));
        }
        if viewers >= 5 && swarm.stalls as f64 / viewers as f64 > 1.0 {
            found.push(format!(
                "{name}: {} stalls among {viewers} viewers who watch now.",
                swarm.stalls
            ));
        }
        if swarm.lag_ms.is_some_and(|lag| lag > swarm.delay_ms) {
            found.push(format!("{name}: half of the data arrives after it should be played."));
        }
        if viewers >= 20 && swarm.offload.is_some_and(|offload| offload < 0.3) {
            found.push(format!("{name}: viewers give each other only {}.", percent(swarm.offload)));
        }
    }
    found
}
