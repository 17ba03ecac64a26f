//! Channels, and the form that sets them at a headend.

use std::fmt::Write as _;
use std::time::Duration;

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use link::protocol::MAX_SECTION;
use serde::Deserialize;
use ticket::PeerId;
use tokio::time::{Instant, sleep};

use super::Shared;
use super::channel::words;
use super::html::{Esc, state, table};

/// A headend that has not answered by then is told of as one that does not.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(100);

/// Kinds of sources, the key that says where each is, and an example.
const KINDS: [(&str, &str, &str); 8] = [
    ("test", "", "a test picture with a clock"),
    ("file", "path", "/media/film.mp4"),
    ("udp", "address", "239.1.1.1:5000"),
    ("srt-listener", "address", "0.0.0.0:9000"),
    ("srt-caller", "address", "encoder.example:9000"),
    ("rtmp", "url", "rtmp://server.example/live/stream"),
    ("rtsp", "url", "rtsp://camera.example/stream"),
    ("hls", "url", "https://server.example/live.m3u8"),
];

pub(super) async fn page(State(console): Shared, headers: HeaderMap) -> Response {
    let (line_up, headends) = console.hub.look(|map, _| {
        let of = |channel: &str| map.publishers(channel);
        let line_up: Vec<_> = map.line_up().into_iter().map(|info| (of(&info.id), info)).collect();
        (line_up, map.headends())
    });
    console.page(&headers, "Channels", |out, _| {
        let short = |peer: &PeerId| peer.to_string()[..8].to_owned();
        let rows = line_up.iter().map(|(publishers, info)| {
            let id = Esc(&info.id);
            let from: Vec<String> =
                publishers.iter().map(|peer| format!("<code>{}</code>", short(peer))).collect();
            let remove = publishers.first().map_or_else(String::new, |headend| {
                format!(
                    "<form method=post class=line><input type=hidden name=id value=\"{id}\">\
                     <input type=hidden name=headend value=\"{headend}\">\
                     <button name=act value=remove data-confirm=\"Take channel {id} off the air and out of the \
                     configuration?\">Remove</button></form>"
                )
            });
            vec![
                info.number.to_string(),
                format!("<a href=\"/channels/{id}\">{}</a>", Esc(&info.name)),
                id.to_string(),
                state(info.live).to_owned(),
                info.renditions.len().to_string(),
                from.join(" "),
                remove,
            ]
        });
        let heads = ["No.", "Channel", "Id", "State", "Renditions", "Headend", ""];
        table(out, &heads, rows, "No channel has been published yet.");
        out.push_str("<h2>Set a channel</h2>");
        if headends.is_empty() {
            out.push_str("<p>No headend is connected.</p>");
            return;
        }
        out.push_str(
            "<p>A new channel, or another configuration of one that was set here. A headend takes them if its \
             configuration says <code>console = true</code>, and writes them into its <code>channels_file</code>.</p>\
             <form method=post class=add><label>Headend <select name=headend>",
        );
        for node in &headends {
            let (peer, place) = (node.peer, words(&node.location));
            let _ = write!(out, "<option value={peer}>{}, {}", short(&peer), Esc(&place));
        }
        out.push_str(
            "</select></label><label>Id <input name=id required maxlength=64 pattern=\"[a-z0-9_\\-]+\" \
             title=\"lower-case letters, digits, - and _\" autocomplete=off></label>\
             <label>Name <input name=name required maxlength=128 autocomplete=off></label>\
             <label>Source <select name=kind>",
        );
        for (kind, _, example) in KINDS {
            let _ = write!(out, "<option value={kind}>{kind}: {}", Esc(example));
        }
        out.push_str(
            "</select></label><label>Where <input name=place autocomplete=off></label>\
             <label>Mode <select name=mode><option>encode<option>pass-through</select></label>\
             <label>Width <input name=width inputmode=numeric value=1280></label>\
             <label>Height <input name=height inputmode=numeric value=720></label>\
             <label>kbit/s <input name=bitrate inputmode=numeric value=3000></label>\
             <label class=long>More keys (TOML, as in the headend's reference) <textarea name=more rows=4 \
             spellcheck=false></textarea></label><button name=act value=set>Set</button></form>",
        );
    })
}

#[derive(Deserialize)]
pub(super) struct Change {
    act: String,
    headend: String,
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    width: String,
    #[serde(default)]
    height: String,
    #[serde(default)]
    bitrate: String,
    #[serde(default)]
    more: String,
}

pub(super) async fn change(
    State(console): Shared,
    headers: HeaderMap,
    Form(change): Form<Change>,
) -> Response {
    let removes = change.act == "remove";
    let act = if removes { "channel removed" } else { "channel set" };
    let id = change.id.trim().to_owned();
    let hub = console.hub.clone();
    let noted = (act, id.as_str());
    let order = async || {
        let headend: PeerId =
            change.headend.parse().map_err(|_| "there is no such headend".to_owned())?;
        let section = if removes { None } else { Some(change.section()?) };
        let away = || "the headend is not connected any more".to_owned();
        let number = hub.order(headend, &id, section).ok_or_else(away)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let outcome = hub.look(|map, _| map.monitor().outcome(headend, number));
            match outcome {
                Some(Ok(())) if removes => return Ok(format!("Channel {id} is removed.")),
                Some(Ok(())) => return Ok(format!("Channel {id} is set.")),
                Some(Err(problem)) => return Err(problem),
                None if Instant::now() > until => {
                    return Err("the headend does not answer".to_owned());
                }
                None => sleep(LOOK).await,
            }
        }
    };
    console.act_here(&headers, "/channels", noted, order).await
}

impl Change {
    /// The channel's section of the headend's configuration.
    fn section(&self) -> Result<String, String> {
        let known = KINDS.iter().find(|(kind, _, _)| *kind == self.kind);
        let (kind, key, _) = known.ok_or_else(|| "there is no such kind of source".to_owned())?;
        let mode = if self.mode == "pass-through" { "pass-through" } else { "encode" };
        let number = |name: &str, text: &str| {
            text.trim().parse::<u32>().map_err(|_| format!("{name} must be a number"))
        };
        let mut source = format!("kind = \"{kind}\"");
        match (key.is_empty(), self.place.trim()) {
            (true, _) => {}
            (false, "") => return Err(format!("say where the source is ({key})")),
            (false, place) => {
                let _ = write!(source, ", {key} = {}", quoted(place));
            }
        }
        let mut text = format!(
            "name = {}\nmode = \"{mode}\"\nsource = {{ {source} }}\n",
            quoted(self.name.trim())
        );
        if mode == "encode" {
            let (width, height) = (number("width", &self.width)?, number("height", &self.height)?);
            let bitrate = number("kbit/s", &self.bitrate)?;
            let _ = writeln!(
                text,
                "video = {{ width = {width}, height = {height}, bitrate_kbit = {bitrate} }}"
            );
        }
        text += &self.more;
        if text.len() > MAX_SECTION {
            return Err("this is too long".to_owned());
        }
        Ok(text)
    }
}

/// A text as a string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, place: &str) -> Change {
        Change {
            act: "set".into(),
            headend: String::new(),
            id: "one".into(),
            name: "O\"n\\e\n".into(),
            kind: kind.into(),
            place: place.into(),
            mode: "encode".into(),
            width: "640".into(),
            height: " 360".into(),
            bitrate: "900".into(),
            more: "delay_ms = 3000".into(),
        }
    }

    #[test]
    fn a_form_becomes_a_section_and_no_text_breaks_out_of_it() {
        let section = change("udp", "239.1.1.1:5000\" }\nmode = \"x").section().unwrap();
        let table: toml::Table = section.parse().unwrap();
        assert_eq!(table["name"].as_str(), Some("O\"n\\e"));
        assert_eq!(table["source"]["address"].as_str(), Some("239.1.1.1:5000\" }\nmode = \"x"));
        assert_eq!(table["video"]["height"].as_integer(), Some(360));
        assert_eq!(table["delay_ms"].as_integer(), Some(3000));
        assert_eq!(table["mode"].as_str(), Some("encode"));
        let passed = Change { mode: "pass-through".into(), ..change("hls", "https://x/") };
        assert!(!passed.section().unwrap().contains("video"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let problem = |change: Change| change.section().unwrap_err();
        assert!(problem(change("file", " ")).contains("path"));
        assert!(problem(change("tape", "x")).contains("no such kind"));
        assert!(problem(Change { width: "wide".into(), ..change("test", "") }).contains("width"));
        let long = Change { more: "#".repeat(MAX_SECTION), ..change("test", "") };
        assert!(problem(long).contains("too long"));
    }
}
