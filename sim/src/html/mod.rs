//! The report as one page that needs nothing else: no script, no picture, no font from elsewhere.

mod plot;

use std::fmt::Write as _;

use self::plot::{Bars, Line, Plot};
use crate::report::Report;
use crate::world::Sample;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #c9ced6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16191d; --faint: #3b4149; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.05rem; margin: 0 0 .3rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td { border-bottom: 1px solid var(--faint); padding: .15rem .8rem .15rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1.6rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 11px; } svg .grid { stroke: var(--faint); stroke-width: 1; }
figcaption { font-size: .85rem; } .key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; }
";

/// The page, HTML 5.
pub fn page(report: &Report) -> String {
    let mut page = String::new();
    let title = escape(&report.about);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>"
    );
    page.push_str(&figures(report));
    page.push_str("<div class=\"plots\">");
    for plot in distributions(report).into_iter().chain(over_time(&report.samples)) {
        page.push_str(&plot.svg());
    }
    page.push_str(&causes(report).svg());
    page.push_str(&hops(report).svg());
    page.push_str(&entering(report).svg());
    page.push_str("</div></body></html>\n");
    page
}

/// The table of the terminal.
fn figures(report: &Report) -> String {
    let mut html = String::from("<table>");
    for (name, value) in crate::table::rows(report) {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(&value));
    }
    html + "</table>"
}

fn distributions(report: &Report) -> Vec<Plot> {
    let curves = &report.curves;
    let plot = |title: &str, points: &[[f64; 2]], name: &str| Plot {
        title: title.into(),
        x: "ms".into(),
        y: "share of values at most this".into(),
        lines: vec![Line::new(name, points.to_vec())],
        stacked: false,
    };
    vec![
        plot(
            "Start: choosing the channel to data up to the playout point",
            &curves.startup_ms,
            "starts",
        ),
        plot("Arrival lag: capture to the K-th shard", &curves.arrival_lag_ms, "segments"),
    ]
}

fn over_time(samples: &[Sample]) -> Vec<Plot> {
    let line = |name: &str, value: &dyn Fn(&Sample) -> f64| {
        Line::new(name, samples.iter().map(|sample| [sample.at, value(sample)]).collect())
    };
    let plot = |title: &str, y: &str, lines: Vec<Line>| Plot {
        title: title.into(),
        x: "seconds".into(),
        y: y.into(),
        lines,
        stacked: false,
    };
    let part = |sample: &Sample, sender: usize| {
        sample.bytes[sender] as f64 / sample.bytes.iter().sum::<u64>().max(1) as f64
    };
    let carried = vec![
        line("headend", &|sample| part(sample, 0)),
        line("repeaters", &|sample| part(sample, 1)),
        line("viewers", &|sample| part(sample, 2)),
    ];
    let start = |name: &str, place: usize| {
        // Where nobody came there is nothing to show.
        let came = samples.iter().filter(|sample| sample.startup_ms[1] > 0.0);
        Line::new(name, came.map(|sample| [sample.at, sample.startup_ms[place]]).collect())
    };
    vec![
        plot("Viewers", "present", vec![line("viewers", &|sample| f64::from(sample.viewers))]),
        plot("Start over time", "ms", vec![start("median", 0), start("95 %", 1)]),
        plot(
            "Arrival lag over time",
            "ms",
            vec![
                line("median", &|sample| sample.arrival_lag_ms[0]),
                line("99 %", &|sample| sample.arrival_lag_ms[1]),
            ],
        ),
        Plot { stacked: true, ..plot("Who carried the bytes to viewers", "share", carried) },
        plot(
            "Bytes between viewers that stayed in their AS",
            "share",
            vec![line("same AS", &|sample| sample.same_as_share)],
        ),
        plot(
            "Viewing time that was stalled",
            "share",
            vec![line("stalled", &|sample| sample.stalled_share)],
        ),
    ]
}

fn causes(report: &Report) -> Bars {
    let bar = |(cause, count): (&&str, &u64)| (cause.replace('_', " "), *count as f64);
    Bars { title: "Stalls by cause".into(), bars: report.stall_causes.iter().map(bar).collect() }
}

/// How much of what arrived had come over how many hops.
fn hops(report: &Report) -> Bars {
    let mut bars: Vec<(String, f64)> = Vec::new();
    let mut before = 0.0;
    for [hops, share] in &report.curves.depth {
        let name = format!("{hops} hops");
        let more = (share - before).max(0.0) * 100.0;
        before = *share;
        match bars.last_mut().filter(|(last, _)| *last == name) {
            Some((_, sum)) => *sum += more,
            None => bars.push((name, more)),
        }
    }
    for (_, percent) in &mut bars {
        *percent = percent.round();
    }
    Bars { title: "Depth: hops from the headend, % of segments".into(), bars }
}

fn entering(report: &Report) -> Bars {
    let bar = |entering: &crate::report::Entering| {
        let name = format!("AS {} ({:.0} viewers)", entering.system, entering.viewers);
        (name, entering.streams)
    };
    let bars = report.entering.iter().take(16).map(bar).collect();
    Bars { title: "Streams that entered each network".into(), bars }
}

/// Text that may stand in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_is_text() {
        assert_eq!(escape("<b> & \"x\""), "&lt;b&gt; &amp; &quot;x&quot;");
    }

    #[test]
    fn the_page_stands_alone() {
        let mut scenario = crate::Scenario { about: "a <test>".into(), ..Default::default() };
        scenario.duration = service::config::Duration::from_secs(15);
        scenario.viewers.count = 4;
        let report = crate::run(&scenario, 1, &mut |_| {});
        let page = page(&report);
        assert!(page.contains("<title>a &lt;test&gt;</title>"));
        assert!(page.matches("<svg").count() >= 10);
        for outside in ["http://", "https://", "<script", "src=", "NaN", "inf"] {
            let page = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
