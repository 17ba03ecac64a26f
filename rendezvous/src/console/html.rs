//! The frame of every page, and its small parts. All text from elsewhere goes through [`Esc`].

use std::fmt::Write as _;

use link::protocol::ChannelInfo;
pub(super) use service::html::Esc;

use crate::map::ByRole;

/// What the last act led to; shown once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flash {
    /// It is done.
    Done(String),
    /// It is not.
    Failed(String),
}

/// A page for who is signed in.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) flash: Option<&'a Flash>,
}

/// The pages, in the order of the menu.
const MENU: [(&str, &str); 11] = [
    ("/", "Overview"),
    ("/channels", "Channels"),
    ("/map", "Swarm map"),
    ("/viewers", "Viewers"),
    ("/repeaters", "Repeaters"),
    ("/accounts", "Accounts"),
    ("/packages", "Packages"),
    ("/prefixes", "Prefixes"),
    ("/nodes", "Nodes"),
    ("/keys", "Keys"),
    ("/audit", "Audit log"),
];

impl Page<'_> {
    pub(super) fn make(&self, body: &str) -> String {
        let mut out = head(self.title);
        out.push_str("<header><a class=brand href=/>Braidcast</a><nav aria-label=Pages>");
        for (path, name) in MENU {
            let current = if name == self.title { " aria-current=page" } else { "" };
            let _ = write!(out, "<a href={path}{current}>{name}</a>");
        }
        out.push_str(
            "</nav><form method=post action=/sign-out><button class=quiet>Sign out</button></form>\
             </header><main>",
        );
        let _ = write!(out, "<h1>{}</h1>", Esc(self.title));
        match self.flash {
            Some(Flash::Done(text)) => {
                let _ = write!(out, "<p class=done role=status>{}</p>", Esc(text));
            }
            Some(Flash::Failed(text)) => {
                let _ = write!(out, "<p class=failed role=alert>{}</p>", Esc(text));
            }
            None => {}
        }
        out.push_str(body);
        out.push_str("</main><p id=away role=status hidden>rendezvous does not answer; the figures are old</p></body></html>");
        out
    }
}

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>{} - Braidcast</title><link rel=icon href=/icon.svg><link rel=stylesheet href=/console.css>\
         <script src=/console.js defer></script></head><body>",
        Esc(title)
    )
}

/// The page for who is not signed in.
pub(super) fn outside(line_up: &[ChannelInfo], sessions: usize, problem: Option<&str>) -> String {
    let mut out = head("Sign in");
    let _ = write!(
        out,
        "<header><a class=brand href=/>Braidcast</a><p>{sessions} nodes connected</p></header><main>\
         <section class=sign-in><h1>Operator's console</h1><form method=post action=/sign-in>\
         <label>Administrator's token <input name=token type=password required \
         autocomplete=current-password></label><button>Sign in</button></form>"
    );
    if let Some(problem) = problem {
        let _ = write!(out, "<p class=failed role=alert>{}</p>", Esc(problem));
    }
    out.push_str("</section><section id=line-up data-live><h2>Channels</h2>");
    channels(&mut out, line_up);
    out.push_str("</section></main></body></html>");
    out
}

fn channels(out: &mut String, line_up: &[ChannelInfo]) {
    let rows = line_up.iter().map(|channel| {
        let renditions: Vec<String> = channel
            .renditions
            .iter()
            .map(|(name, bitrate)| format!("{} {}", Esc(name), rate(*bitrate)))
            .collect();
        vec![
            channel.number.to_string(),
            Esc(&channel.id).to_string(),
            Esc(&channel.name).to_string(),
            state(channel.live).to_owned(),
            renditions.join(", "),
        ]
    });
    let heads = ["No.", "Channel", "Name", "State", "Renditions"];
    table(out, &heads, rows, "No channel has been published yet.");
}

/// On air or not, as a word with a colour.
pub(super) fn state(live: bool) -> &'static str {
    if live { "<b class=good>on air</b>" } else { "<b class=bad>off air</b>" }
}

/// A table; cells are HTML. On a narrow screen each row becomes a card whose cells bear the heads.
pub(super) fn table<const N: usize>(
    out: &mut String,
    heads: &[&str; N],
    rows: impl Iterator<Item = Vec<String>>,
    otherwise: &str,
) {
    out.push_str("<div class=scroll><table><thead><tr>");
    for head in heads {
        let _ = write!(out, "<th scope=col>{head}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    let mut any = false;
    for row in rows {
        any = true;
        out.push_str("<tr>");
        for (head, cell) in heads.iter().zip(row) {
            let cell = if cell.is_empty() { "–".into() } else { cell };
            let _ = write!(out, "<td data-head=\"{head}\">{cell}</td>");
        }
        out.push_str("</tr>");
    }
    if !any {
        let _ = write!(out, "<tr><td class=none colspan={N}>{otherwise}</td></tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// A figure with its name and, if there is one, its course over time.
pub(super) fn tile(out: &mut String, name: &str, value: &str, course: Option<String>) {
    let course = course.unwrap_or_default();
    let _ = write!(out, "<div class=tile><dt>{name}</dt><dd>{value}</dd>{course}</div>");
}

/// Values over time as a line, from 0 to the greatest.
pub(super) fn course(values: &[f64]) -> Option<String> {
    if values.len() < 2 {
        return None;
    }
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = 120.0 / (values.len() - 1) as f64;
    let mut points = String::new();
    for (i, value) in values.iter().enumerate() {
        let _ = write!(points, "{:.1},{:.1} ", i as f64 * step, 29.0 - value / most * 27.0);
    }
    Some(format!(
        "<svg class=course viewBox=\"0 0 120 30\" preserveAspectRatio=none aria-hidden=true>\
         <polyline points=\"{points}\"/></svg>"
    ))
}

/// Who carries the bytes, as one bar.
pub(super) fn shares(by: &ByRole) -> String {
    let all = (by.headend + by.repeater + by.viewer) as f64;
    if all == 0.0 {
        return "nothing has been received yet".into();
    }
    let mut out = String::from(
        "<svg class=shares viewBox=\"0 0 100 6\" preserveAspectRatio=none aria-hidden=true>",
    );
    let mut at = 0.0;
    let parts = [("viewer", by.viewer), ("repeater", by.repeater), ("headend", by.headend)];
    for (name, bytes) in parts {
        let width = bytes as f64 / all * 100.0;
        let _ = write!(out, "<rect class={name} x={at:.2} y=0 width={width:.2} height=6 />");
        at += width;
    }
    out.push_str("</svg><p class=legend>");
    for (name, bytes) in parts {
        let share = bytes as f64 / all * 100.0;
        let _ = write!(out, "<span class={name}>{name}s {share:.0} %, {}</span> ", size(bytes));
    }
    out.push_str("</p>");
    out
}

pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit < units.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

pub(super) fn rate(bits: u64) -> String {
    format!("{:.1} Mbit/s", bits as f64 / 1e6)
}

pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.0} %", share * 100.0))
}

pub(super) fn ms(value: Option<u32>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value < 10_000 => format!("{value} ms"),
        Some(value) => format!("{:.1} s", f64::from(value) / 1e3),
    }
}

/// Seconds since 1970 as a date.
pub(super) fn date(seconds: Option<i64>) -> String {
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or_else(String::new, |seconds| {
        crate::webhooks::time(seconds).replace('T', " ").trim_end_matches('Z').to_owned()
    })
}

/// A duration in its greatest two units.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headends_call_their_channels_is_text_and_nothing_else() {
        let channel = ChannelInfo {
            id: "one".into(),
            name: "<script>alert('x')</script>".into(),
            number: 1,
            logo: None,
            live: true,
            renditions: vec![("main".into(), 4_200_000)],
        };
        let page = outside(&[channel], 7, Some("<b>"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
        assert!(!page.contains("<script>") && page.contains("&lt;b&gt;"), "{page}");
        assert!(page.contains("main 4.2 Mbit/s") && page.contains("on air"), "{page}");
        assert!(page.contains("7 nodes"), "{page}");
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(
            (size(999), size(1500), size(2_340_000_000)),
            ("999 B".into(), "1.5 kB".into(), "2.3 GB".into())
        );
        assert_eq!(
            (span(59), span(3700), span(90_000)),
            ("59 s".into(), "1 h 1 min".into(), "1 d 1 h".into())
        );
        assert_eq!(
            (ms(Some(120)), ms(Some(12_345)), ms(None)),
            ("120 ms".into(), "12.3 s".into(), "–".into())
        );
    }
}
