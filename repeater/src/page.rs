//! The page on `/`: what the repeater carries, and what it saves its network. Without a script; it asks for itself
//! again every few seconds.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service::Status;
use service::config::Rate;
use service::html::Esc;
use ticket::PeerId;

use crate::metrics::{Metrics, sum};
use crate::{Config, Limits, Serve};

const STYLE: &str = include_str!("page.css");
/// Nothing but this page's own style.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A rate is over so long.
const LATELY: Duration = Duration::from_secs(10);
/// The course shows so many points, one for each of these.
const POINTS: usize = 120;
const POINT: Duration = Duration::from_secs(30);

/// What went in and out over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// When, bytes in, bytes out; of the last seconds.
    lately: VecDeque<(Instant, u64, u64)>,
    /// The same, of the last hour.
    points: VecDeque<(Instant, u64, u64)>,
}

impl Course {
    /// So much had gone in and out by then.
    pub(crate) fn note(&mut self, now: Instant, bytes_in: u64, bytes_out: u64) {
        self.lately.push_back((now, bytes_in, bytes_out));
        while self.lately.len() > 2
            && self.lately.get(1).is_some_and(|second| now - second.0 >= LATELY)
        {
            self.lately.pop_front();
        }
        if self.points.back().is_none_or(|last| now - last.0 >= POINT) {
            self.points.push_back((now, bytes_in, bytes_out));
            if self.points.len() > POINTS + 1 {
                self.points.pop_front();
            }
        }
    }

    /// Bits per second in and out, over the last seconds.
    fn rates(&self) -> (u64, u64) {
        let ends = self.lately.front().zip(self.lately.back());
        ends.map_or((0, 0), |(first, last)| between(first, last))
    }

    /// The same for each point of the last hour.
    fn rates_over_time(&self) -> Vec<(u64, u64)> {
        let pairs = self.points.iter().zip(self.points.iter().skip(1));
        pairs.map(|(first, last)| between(first, last)).collect()
    }
}

fn between(first: &(Instant, u64, u64), last: &(Instant, u64, u64)) -> (u64, u64) {
    let micros = (last.0 - first.0).as_micros().max(1);
    let rate =
        |bytes: u64| u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX);
    (rate(last.1.saturating_sub(first.1)), rate(last.2.saturating_sub(first.2)))
}

/// What the page is made of.
#[derive(Clone)]
struct Page {
    peer: PeerId,
    limits: Limits,
    serve: Serve,
    status: Status,
    metrics: Metrics,
    began: Instant,
}

/// What is carried of one rendition.
#[derive(Serialize)]
struct Row {
    channel: String,
    rendition: String,
    substreams_in: usize,
    substreams_out: u32,
    partners: u32,
    bytes_in: u64,
    bytes_out: u64,
}

/// The figures of the page, for programs.
#[derive(Serialize)]
struct Now {
    peer_id: PeerId,
    ready: bool,
    /// What is missing, and why.
    missing: std::collections::BTreeMap<String, String>,
    draining: bool,
    uptime_s: u64,
    connections: u32,
    /// Bits per second, over the last ten seconds.
    rate_in: u64,
    rate_out: u64,
    /// The limit of `rate_out` at this hour.
    limit: Option<u64>,
    /// Media, bytes since the start.
    bytes_in: u64,
    bytes_out: u64,
    /// What did not have to come from outside, bytes.
    saved: u64,
    carried: Vec<Row>,
}

/// `/`, `/page.css` and `/status.json`.
pub(crate) fn router(config: &Config, peer: PeerId, status: Status, metrics: Metrics) -> Router {
    let (limits, serve) = (config.limits.clone(), config.serve.clone());
    let page = Page { peer, limits, serve, status, metrics, began: Instant::now() };
    Router::new()
        .route("/", get(show))
        .route("/status.json", get(json))
        .route(
            "/page.css",
            get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }),
        )
        .with_state(page)
}

async fn show(State(page): State<Page>) -> impl IntoResponse {
    let heads = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (heads, Html(page.html()))
}

async fn json(State(page): State<Page>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(page.now()))
}

impl Page {
    fn now(&self) -> Now {
        let figures = self.metrics.figures();
        let totals = figures.totals();
        let (bytes_in, bytes_out) = (sum(&totals.bytes_in), sum(&totals.bytes_out));
        let (rate_in, rate_out) = self.metrics.course().rates();
        let readiness = self.status.readiness();
        let row = |carried: crate::metrics::Carrying| Row {
            channel: carried.channel,
            rendition: carried.rendition,
            substreams_in: carried.stats.substreams.len(),
            substreams_out: carried.stats.pushed,
            partners: carried.stats.partners,
            bytes_in: sum(&carried.stats.bytes_in),
            bytes_out: sum(&carried.stats.bytes_out),
        };
        Now {
            peer_id: self.peer,
            ready: readiness.ready,
            missing: readiness.missing,
            draining: self.metrics.is_draining(),
            uptime_s: self.began.elapsed().as_secs(),
            connections: figures.node.connections,
            rate_in,
            rate_out,
            limit: figures.limit.map(Rate::bits_per_second),
            bytes_in,
            bytes_out,
            saved: bytes_out.saturating_sub(bytes_in),
            carried: figures.carried.into_iter().map(row).collect(),
        }
    }

    fn html(&self) -> String {
        let now = self.now();
        let mut out = String::from(
            "<!doctype html><html lang=en><head><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\
             <meta http-equiv=refresh content=5><title>Braidcast repeater</title>\
             <link rel=stylesheet href=/page.css></head><body><h1>Braidcast repeater</h1>",
        );
        out.push_str(&self.state(&now));
        out.push_str("<dl>");
        let saved = match now.bytes_out {
            0 => "–".to_owned(),
            given => format!("{} ({} %)", size(now.saved), now.saved * 100 / given),
        };
        for (name, value) in [
            ("Given now", rate(now.rate_out)),
            ("Taken now", rate(now.rate_in)),
            ("Given", size(now.bytes_out)),
            ("Taken", size(now.bytes_in)),
            ("Saved", saved),
            ("Connections", now.connections.to_string()),
        ] {
            let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        out.push_str(
            "</dl><p>What it saves is what it gave less what it took: so much did not have to come over the lines \
             of this network to the outside. All since the start.</p>",
        );
        course(&mut out, &self.metrics.course().rates_over_time());
        out.push_str(
            "<h2>What it carries</h2><div class=scroll><table><thead><tr><th scope=col>Channel<th scope=col>\
             Rendition<th scope=col>Sub-streams in<th scope=col>Fed to others<th scope=col>Partners<th scope=col>\
             Taken<th scope=col>Given</tr></thead><tbody>",
        );
        for row in &now.carried {
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                Esc(&row.channel),
                Esc(&row.rendition),
                row.substreams_in,
                row.substreams_out,
                row.partners,
                size(row.bytes_in),
                size(row.bytes_out),
            );
        }
        if now.carried.is_empty() {
            out.push_str("<tr><td colspan=7>Nothing is on air that it may carry.</tr>");
        }
        out.push_str("</tbody></table></div><h2>What it may do</h2>");
        self.allowed(&mut out, &now);
        let _ = write!(out, "<p>Peer id <code>{}</code></p></body></html>", self.peer);
        out
    }

    fn state(&self, now: &Now) -> String {
        if now.draining {
            return "<p class=bad><b>About to stop:</b> children are moved to others.</p>".into();
        }
        let up = span(now.uptime_s);
        if now.ready {
            return format!("<p class=good><b>Ready</b>, for {up}.</p>");
        }
        let missing: Vec<String> =
            now.missing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        format!("<p class=bad><b>Not ready:</b> {}</p>", Esc(&missing.join("; ")))
    }

    fn allowed(&self, out: &mut String, now: &Now) {
        let most = |limit: Option<u64>| limit.map_or_else(|| "no limit".into(), rate);
        let _ = write!(out, "<p>Sends at most: {} at this hour", most(now.limit));
        for hours in &self.limits.hours {
            let _ = write!(out, "; {} from {} to {}", hours.egress, hours.from, hours.to);
        }
        if !self.limits.hours.is_empty() {
            let else_ = self.limits.egress.map(Rate::bits_per_second);
            let _ = write!(out, "; else {}", most(else_));
        }
        out.push_str(".</p>");
        if self.serve.everybody() {
            out.push_str("<p>Serves every viewer with a ticket.</p>");
            return;
        }
        let mut places = Vec::new();
        places.extend(self.serve.asns.iter().map(|asn| format!("AS {asn}")));
        places.extend(self.serve.prefixes.iter().map(ToString::to_string));
        places.extend(self.serve.subsets.iter().map(|subset| format!("subset {subset}")));
        places.extend(self.serve.countries.iter().map(ToString::to_string));
        let _ = write!(out, "<p>Serves viewers in {}.</p>", places.join(", "));
    }
}

/// What went in and out over the last hour, as two lines.
fn course(out: &mut String, rates: &[(u64, u64)]) {
    if rates.len() < 2 {
        return;
    }
    let most = rates.iter().map(|(a, b)| *a.max(b)).max().unwrap_or_default().max(1);
    let line = |of: fn(&(u64, u64)) -> u64| {
        let step = 600.0 / (rates.len() - 1) as f64;
        let point = |(i, pair)| {
            let y = 98.0 - of(pair) as f64 / most as f64 * 92.0;
            format!("{:.1},{y:.1}", i as f64 * step)
        };
        rates.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    };
    let minutes = (rates.len() as u64 * POINT.as_secs()).div_ceil(60);
    let _ = write!(
        out,
        "<h2>The last {minutes} minutes</h2><svg viewBox=\"0 0 600 100\" preserveAspectRatio=none role=img \
         aria-label=\"rates over time\"><polyline class=out points=\"{}\"/><polyline class=in points=\"{}\"/></svg>\
         <p><span class=out>given</span>, <span class=in>taken</span>; the top is {}</p>",
        line(|pair| pair.1),
        line(|pair| pair.0),
        rate(most),
    );
}

fn scaled(value: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (value, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", units.get(unit).copied().unwrap_or_default())
}

fn size(bytes: u64) -> String {
    scaled(bytes as f64, &["B", "kB", "MB", "GB", "TB", "PB"])
}

fn rate(bits: u64) -> String {
    scaled(bits as f64, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// Seconds, for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Carrying, Figures};

    fn page() -> Page {
        let status = Status::new();
        let metrics = Metrics::default();
        let stats = swarm::Stats {
            bytes_in: swarm::ByRole { headend: 1_000_000, ..swarm::ByRole::default() },
            bytes_out: swarm::ByRole { viewer: 4_000_000, ..swarm::ByRole::default() },
            pushed: 17,
            ..swarm::Stats::default()
        };
        let carried = vec![Carrying { channel: "<news>".into(), rendition: "main".into(), stats }];
        let limit = Some(Rate::from_kbits_per_second(500_000));
        metrics.set(Figures { carried, limit, ..Figures::default() });
        let hours = vec![crate::Hours {
            from: "18:00".parse().unwrap(),
            to: "23:00".parse().unwrap(),
            egress: Rate::from_kbits_per_second(500_000),
        }];
        Page {
            peer: ticket::Identity::from_seed([7; 32]).id(),
            limits: Limits { hours, ..Limits::default() },
            serve: Serve { asns: vec![64_500], ..Serve::default() },
            status,
            metrics,
            began: Instant::now(),
        }
    }

    #[test]
    fn the_page_says_what_is_carried_saved_and_allowed() {
        let page = page();
        let html = page.html();
        for says in [
            "&lt;news&gt;",
            "<td>17<",
            "3.0 MB (75 %)",
            "Ready",
            "500 Mbit/s from 18:00 to 23:00; else no limit",
            "AS 64500",
        ] {
            assert!(html.contains(says), "{html}\n lacks {says}");
        }
        assert!(!html.contains("<news>") && !html.contains("http://") && !html.contains("<script"));
        let platform = page.status.need("platform");
        platform.missing("auth cannot be reached");
        assert!(page.html().contains("platform: auth cannot be reached"));
        page.metrics.draining();
        assert!(page.html().contains("About to stop"));
    }

    #[test]
    fn rates_are_of_the_last_seconds_and_the_course_is_bounded() {
        let mut course = Course::default();
        let start = Instant::now();
        for second in 0..7200 {
            // 8 Mbit/s in, 80 out.
            course.note(
                start + Duration::from_secs(second),
                second * 1_000_000,
                second * 10_000_000,
            );
        }
        assert_eq!(course.rates(), (8_000_000, 80_000_000));
        assert_eq!(course.rates_over_time().len(), POINTS);
        assert!(course.lately.len() < 15, "{}", course.lately.len());
        assert_eq!((rate(80_000_000), size(999)), ("80.0 Mbit/s".into(), "999 B".into()));
    }
}
