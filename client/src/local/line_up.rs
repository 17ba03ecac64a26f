//! The line-up for players: a playlist (M3U with the attributes that Kodi, VLC and others read) and a guide (XMLTV).

use std::fmt::Write as _;

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use link::protocol::ChannelInfo;
use serde::Serialize;

use super::{Local, NOT_KEPT, host};
use crate::guide::{Guide, Programme};

/// A channel as the page gets it.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    id: String,
    name: String,
    number: u32,
    live: bool,
    /// Whether this viewer receives it now.
    received: bool,
}

pub(super) async fn playlist(
    State(local): State<Local>,
    headers: HeaderMap,
) -> impl IntoResponse + use<> {
    let line_up = local.player.channels().platform().line_up();
    (
        [(header::CONTENT_TYPE, "audio/x-mpegurl; charset=utf-8"), NOT_KEPT],
        m3u(&line_up, host(&headers)),
    )
}

pub(super) async fn guide(State(local): State<Local>) -> impl IntoResponse {
    let platform = local.player.channels().platform();
    let guide = xmltv(&platform.line_up(), &platform.guide());
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8"), NOT_KEPT], guide)
}

pub(super) async fn json(State(local): State<Local>) -> impl IntoResponse {
    let received = local.player.channels().received();
    let entry = |info: ChannelInfo| Entry {
        received: received.contains(&info.id),
        id: info.id,
        name: info.name,
        number: info.number,
        live: info.live,
    };
    let line_up = local.player.channels().platform().line_up();
    ([NOT_KEPT], Json(line_up.into_iter().map(entry).collect::<Vec<_>>()))
}

/// The playlist of a line-up, for players that reach the local address as `host`.
fn m3u(line_up: &[ChannelInfo], host: &str) -> String {
    let mut out = format!(
        "#EXTM3U url-tvg=\"http://{host}/guide.xml\" x-tvg-url=\"http://{host}/guide.xml\"\n"
    );
    for channel in line_up {
        let (id, name) = (plain(&channel.id), plain(&channel.name));
        let _ = write!(
            out,
            "#EXTINF:-1 tvg-id=\"{id}\" tvg-name=\"{name}\" tvg-chno=\"{}\"",
            channel.number
        );
        if let Some(logo) = &channel.logo {
            let _ = write!(out, " tvg-logo=\"{}\"", plain(logo));
        }
        let _ = writeln!(out, ",{name}\nhttp://{host}/channels/{}/stream.ts", segment(&channel.id));
    }
    out
}

/// The channels of a line-up and what is on, as XMLTV.
fn xmltv(line_up: &[ChannelInfo], guide: &Guide) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE tv SYSTEM \"xmltv.dtd\">\n\
         <tv generator-info-name=\"Braidcast\">\n",
    );
    for channel in line_up {
        let (id, name) = (escape(&channel.id), escape(&channel.name));
        let number = channel.number;
        let _ = write!(
            out,
            "  <channel id=\"{id}\">\n    <display-name>{name}</display-name>\n    \
             <display-name>{number}</display-name>\n"
        );
        if let Some(logo) = &channel.logo {
            let _ = writeln!(out, "    <icon src=\"{}\"/>", escape(logo));
        }
        out.push_str("  </channel>\n");
    }
    for channel in line_up {
        for programme in guide.programmes(&channel.id) {
            element(&mut out, &escape(&channel.id), programme);
        }
    }
    out.push_str("</tv>\n");
    out
}

/// A programme as XMLTV.
fn element(out: &mut String, channel: &str, programme: &Programme) {
    let time = |time: SystemTime| {
        let time = Timestamp::try_from(time).unwrap_or_default();
        time.strftime("%Y%m%d%H%M%S +0000").to_string()
    };
    let (start, stop) = (time(programme.start), time(programme.end));
    let _ = writeln!(out, "  <programme start=\"{start}\" stop=\"{stop}\" channel=\"{channel}\">");
    let mut text = |name: &str, attributes: &str, text: Option<&str>| {
        if let Some(text) = text {
            let _ = writeln!(out, "    <{name}{attributes}>{}</{name}>", escape(text));
        }
    };
    text("title", "", Some(&programme.title));
    text("sub-title", "", programme.subtitle.as_deref());
    text("desc", "", programme.description.as_deref());
    text("date", "", programme.year.map(|year| year.to_string()).as_deref());
    for category in &programme.categories {
        text("category", "", Some(category));
    }
    text("episode-num", " system=\"onscreen\"", programme.episode.as_deref());
    if let Some(icon) = &programme.icon {
        let _ = writeln!(out, "    <icon src=\"{}\"/>", escape(icon));
    }
    if let Some(rating) = &programme.rating {
        let _ = writeln!(out, "    <rating><value>{}</value></rating>", escape(rating));
    }
    out.push_str("  </programme>\n");
}

/// On one line and without the quotation mark, which M3U cannot escape.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '"' {
                '\''
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// As one segment of a path (RFC 3986, 3.3).
fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// As text or attribute of XML 1.0, without the characters that it does not allow.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_up() -> Vec<ChannelInfo> {
        let channel = |id: &str, name: &str, number, logo: Option<&str>| ChannelInfo {
            id: id.into(),
            name: name.into(),
            number,
            logo: logo.map(str::to_owned),
            live: true,
            renditions: Vec::new(),
        };
        vec![
            channel("one", "One", 1, Some("http://logo/1.png")),
            channel("a b/c", "Q \"&\" <A>\n#EXTINF:0,x", 2, None),
        ]
    }

    #[test]
    fn every_channel_is_two_lines_of_the_playlist_whatever_its_name() {
        let text = m3u(&line_up(), "localhost:7878");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "#EXTM3U url-tvg=\"http://localhost:7878/guide.xml\" x-tvg-url=\"http://localhost:7878/guide.xml\"",
                "#EXTINF:-1 tvg-id=\"one\" tvg-name=\"One\" tvg-chno=\"1\" tvg-logo=\"http://logo/1.png\",One",
                "http://localhost:7878/channels/one/stream.ts",
                "#EXTINF:-1 tvg-id=\"a b/c\" tvg-name=\"Q '&' <A> #EXTINF:0,x\" tvg-chno=\"2\",Q '&' <A> #EXTINF:0,x",
                "http://localhost:7878/channels/a%20b%2Fc/stream.ts",
            ]
        );
    }

    #[test]
    fn names_do_not_break_the_guide() {
        let guide = r#"{"channels":{"one":[{"start":1767265200,"end":1767268800,"title":"A & B <c>",
            "description":"What \u0001 it is","categories":["News"],"episode":"S1 E2","year":2025}],
            "elsewhere":[{"start":1,"end":2,"title":"X"}]}}"#;
        let text = xmltv(&line_up(), &Guide::from_json(guide.as_bytes()).unwrap());
        let programme = "<programme start=\"20260101110000 +0000\" stop=\"20260101120000 +0000\" \
            channel=\"one\">\n    <title>A &amp; B &lt;c&gt;</title>\n    <desc>What   it is</desc>\n    \
            <date>2025</date>\n    <category>News</category>\n    \
            <episode-num system=\"onscreen\">S1 E2</episode-num>\n  </programme>";
        assert!(text.contains(programme), "{text}");
        assert!(!text.contains("elsewhere"), "only channels of the line-up");
        assert!(
            text.contains("<channel id=\"one\">\n    <display-name>One</display-name>"),
            "{text}"
        );
        assert!(text.contains("Q &quot;&amp;&quot; &lt;A&gt; #EXTINF:0,x"), "{text}");
        assert!(text.contains("<icon src=\"http://logo/1.png\"/>"), "{text}");
        assert_eq!(text.matches("<channel ").count(), text.matches("</channel>").count());
    }
}
