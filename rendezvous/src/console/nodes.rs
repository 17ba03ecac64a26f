//! Nodes: repeaters at work, who watches, and the nodes that auth knows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Form;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use ticket::{PeerId, Role};

use super::Shared;
use super::channel::{sum, words};
use super::html::{Esc, date, ms, size, span, table};
use crate::map::{Member, Summary};

/// Nodes say something every few seconds.
const SILENT_S: u64 = 15;
/// Sessions on one page.
const PAGE: usize = 100;

pub(super) async fn repeaters(State(console): Shared, headers: HeaderMap) -> Response {
    let mut known: BTreeMap<PeerId, Vec<(Summary, Member)>> = BTreeMap::new();
    console.hub.look(|map, now| {
        for swarm in map.summaries(now) {
            let Some(id) = crate::http::parse(&swarm.id) else { continue };
            for peer in map.members(id, Role::Repeater) {
                if let Some(member) = map.member(now, id, peer) {
                    known.entry(peer).or_default().push((swarm.clone(), member));
                }
            }
        }
    });
    console.page(&headers, "Repeaters", |out, _| {
        out.push_str("<section id=repeaters data-live>");
        let rows = known.iter().map(|(peer, parts)| {
            let Some((_, first)) = parts.first() else { return Vec::new() };
            let of =
                |what: fn(&Member) -> u64| parts.iter().map(|(_, part)| what(part)).sum::<u64>();
            let (pushed, free) = (of(|part| part.pushed.into()), of(|part| part.free.into()));
            let given = of(|part| sum(&part.bytes_out));
            let taken = of(|part| sum(&part.bytes_in));
            let mut channels: Vec<String> =
                parts.iter().map(|(swarm, _)| Esc(&swarm.channel).to_string()).collect();
            channels.dedup();
            let lag =
                parts.iter().filter(|(_, part)| part.reported).map(|(_, part)| part.lag_ms).max();
            vec![
                format!("<code>{}</code>", &peer.to_string()[..8]),
                health(parts),
                words(&first.location),
                Esc(&first.software).to_string(),
                channels.join(", "),
                format!("{pushed} ({free} free)"),
                size(given),
                size(given.saturating_sub(taken)),
                ms(lag),
                format!("{} ago", span(first.age_s)),
            ]
        });
        let heads = [
            "Node", "Health", "Where", "Version", "Channels", "Pushes", "Given", "Saves", "Lag",
            "Heard",
        ];
        table(out, &heads, rows, "No repeater is connected.");
        out.push_str("</section><p>What a repeater saves is what it gave beyond what it took.</p>");
    })
}

/// How a repeater is, in a few words: what it lacks, if anything.
fn health(parts: &[(Summary, Member)]) -> String {
    let mut lacks = Vec::new();
    let age = parts.iter().map(|(_, part)| part.age_s).min().unwrap_or_default();
    if age > SILENT_S {
        lacks.push(format!("silent for {}", span(age)));
    }
    let of = |(swarm, part): &(Summary, Member)| {
        let late = part.reported && !part.have.is_empty() && part.lag_ms > swarm.delay_ms;
        let full = part.reported && part.free == 0 && part.pushed > 0;
        let starved = part.pushed > 0 && part.have.len() < usize::from(swarm.k);
        let name = Esc(&swarm.channel);
        [
            late.then(|| format!("{name} comes {} late", ms(Some(part.lag_ms - swarm.delay_ms)))),
            full.then(|| format!("full on {name}")),
            starved.then(|| format!("{name} does not come whole")),
        ]
    };
    lacks.extend(parts.iter().flat_map(of).flatten());
    if lacks.is_empty() {
        "<b class=good>healthy</b>".into()
    } else {
        format!("<b class=bad>{}</b>", lacks.join(", "))
    }
}

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    skip: usize,
}

pub(super) async fn viewers(
    State(console): Shared,
    headers: HeaderMap,
    Query(From { skip }): Query<From>,
) -> Response {
    let seen = console.hub.seen(skip, PAGE + 1);
    let now = console.hub.wall() / 1_000_000;
    console.page(&headers, "Viewers", |out, _| {
        out.push_str("<p>Sessions at this rendezvous. Stopping one ends its sign-in, too.</p><section id=viewers data-live>");
        let rows = seen.iter().take(PAGE).filter(|one| one.role == Role::Viewer).map(|one| {
            let watching: Vec<String> = one
                .watching
                .iter()
                .map(|watched| format!("{} for {}", Esc(&watched.channel), span(now.saturating_sub(watched.since))))
                .collect();
            let stalls: u32 = one.watching.iter().map(|watched| watched.stalls).sum();
            vec![
                format!("<code>{}</code>", Esc(&one.account)),
                words(&one.location),
                watching.join(", "),
                stalls.to_string(),
                Esc(&one.software).to_string(),
                span(now.saturating_sub(one.since)),
                format!(
                    "<form method=post action=/viewers/stop><button name=session value=\"{}\" \
                     data-confirm=\"Stop this session?\">Stop</button></form>",
                    Esc(&one.session)
                ),
            ]
        });
        let heads = ["Account", "Where", "Watches", "Stalls", "Version", "Connected", ""];
        table(out, &heads, rows, "Nobody is connected here.");
        out.push_str("</section>");
        if seen.len() > PAGE {
            let _ = write!(out, "<p><a href=\"/viewers?skip={}\">More</a></p>", skip + PAGE);
        }
    })
}

#[derive(Deserialize)]
pub(super) struct Stop {
    session: String,
}

pub(super) async fn stop(
    State(console): Shared,
    headers: HeaderMap,
    Form(Stop { session }): Form<Stop>,
) -> Response {
    let path = format!("sessions/{}", super::admin::part(&session));
    let calls = vec![(Method::DELETE, path, None)];
    console.act(&headers, "/viewers", calls, |_| "The session was stopped.".into()).await
}

pub(super) async fn nodes(State(console): Shared, headers: HeaderMap) -> Response {
    let asked = console.ask_auth(&headers, "nodes").await;
    console.page(&headers, "Nodes", |out, _| {
        let listed = match &asked {
            Ok(listed) => listed["nodes"].as_array().map(Vec::as_slice).unwrap_or_default(),
            Err(error) => {
                let _ = write!(out, "<p class=failed>{}</p>", Esc(error));
                &[]
            }
        };
        let text = |value: &Value| Esc(value.as_str().unwrap_or_default()).to_string();
        let rows = listed.iter().map(|node| {
            let revoked = node["revoked"] == true;
            let channels = node["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
            let channels: Vec<String> = channels.iter().map(text).collect();
            let revoke = format!(
                "<form method=post><button name=revoke value=\"{}\" \
                 data-confirm=\"Revoke this node? Its credential is void then.\">Revoke</button></form>",
                text(&node["name"])
            );
            vec![
                text(&node["name"]),
                text(&node["role"]),
                if revoked { "<b class=bad>revoked</b>".into() } else { "active".into() },
                channels.join(" "),
                date(node["seen_at"].as_i64()),
                if revoked { String::new() } else { revoke },
            ]
        });
        let heads = ["Name", "Role", "State", "Channels", "Signed in (UTC)", ""];
        table(out, &heads, rows, "There are no nodes.");
        out.push_str(
            "<h2>Add a node</h2><form method=post class=add><label>Name <input name=name required maxlength=64></label>\
             <label>Role <select name=role><option>repeater<option>headend<option>rendezvous</select></label>\
             <label>Channels <input name=channels placeholder=\"all\"></label><button>Add</button></form>",
        );
    })
}

#[derive(Deserialize)]
pub(super) struct Change {
    revoke: Option<String>,
    name: Option<String>,
    role: Option<String>,
    channels: Option<String>,
}

pub(super) async fn change(
    State(console): Shared,
    headers: HeaderMap,
    Form(change): Form<Change>,
) -> Response {
    if let Some(name) = change.revoke {
        let calls = vec![(Method::DELETE, format!("nodes/{}", super::admin::part(&name)), None)];
        return console.act(&headers, "/nodes", calls, |_| format!("{name} was revoked.")).await;
    }
    let name = change.name.unwrap_or_default();
    let channels = super::admin::list(&change.channels.unwrap_or_default());
    let channels = if channels.is_empty() { vec!["*".into()] } else { channels };
    let body = json!({"name": name, "role": change.role, "channels": channels});
    let calls = vec![(Method::POST, "nodes".into(), Some(body))];
    let done = |answers: Vec<Value>| {
        let credential = answers.first().and_then(|answer| answer["credential"].as_str());
        let credential = credential.unwrap_or_default();
        format!("{name} was added. Its credential, shown this once: {credential}")
    };
    console.act(&headers, "/nodes", calls, done).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::ByRole;

    fn member() -> Member {
        Member {
            peer: ticket::Identity::from_seed([1; 32]).id(),
            role: Role::Repeater,
            location: ticket::Location::default(),
            software: "braidcast-repeater/1".into(),
            joined_s: 100,
            age_s: 1,
            publishes: false,
            reported: true,
            have: (0..12).collect(),
            free: 5,
            pushed: 20,
            lag_ms: 300,
            startup_ms: 0,
            stalls: 0,
            stall_ms: 0,
            bytes_in: ByRole::default(),
            bytes_out: ByRole::default(),
        }
    }

    #[test]
    fn a_repeaters_health_says_what_it_lacks() {
        let of = |member: Member| {
            let swarm =
                Summary { channel: "one".into(), delay_ms: 2000, k: 8, ..Summary::default() };
            health(&[(swarm, member)])
        };
        assert!(of(member()).contains("healthy"));
        assert!(of(Member { have: Vec::new(), pushed: 0, ..member() }).contains("healthy"), "idle");
        for (member, says) in [
            (Member { age_s: 70, ..member() }, "silent for 1 min"),
            (Member { lag_ms: 2500, ..member() }, "one comes 500 ms late"),
            (Member { free: 0, ..member() }, "full on one"),
            (Member { have: vec![1, 2], ..member() }, "one does not come whole"),
        ] {
            assert!(of(member).contains(says), "{says}");
        }
    }
}
