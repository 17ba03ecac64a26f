//! A run beside what the real programs have shown in the same set-up.

use std::fmt::Write as _;

use crate::Report;

/// What real viewers said of themselves, as `tests/examples/loopback.rs` writes it.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Real {
    /// The channel's media bit rate.
    pub kbit_per_second: u32,
    /// Their statistics files.
    pub viewers: Vec<Viewer>,
}

/// One viewer's statistics file: the fields that are compared (milliseconds and bytes), with its network.
#[derive(Clone, Debug, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Viewer {
    pub asn: u32,
    pub ran_ms: f64,
    pub startup_ms: f64,
    pub stalls: u64,
    pub stall_ms: f64,
    pub behind_edge_ms: f64,
    pub bytes_in: Roles,
    pub bytes_out: u64,
    pub control_bytes: u64,
    pub duplicate_bytes: u64,
    pub segments: Segments,
    pub failovers: u64,
    pub failover_ms_max: f64,
    pub substreams: Vec<Substream>,
    pub standby: u32,
}

/// See [`Viewer::bytes_in`].
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Roles {
    pub headend: u64,
    pub repeater: u64,
    pub viewer: u64,
}

/// See [`Viewer::segments`].
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Segments {
    pub played: u64,
    pub lost: u64,
    pub rebuilt: u64,
}

/// See [`Viewer::substreams`].
#[derive(Clone, Debug, serde::Deserialize)]
#[allow(missing_docs)]
pub struct Substream {
    pub role: String,
    pub asn: Option<u32>,
}

/// A table of both, as Markdown.
pub fn compare(real: &Real, report: &Report) -> String {
    let viewers = &real.viewers;
    let sum = |of: &dyn Fn(&Viewer) -> u64| viewers.iter().map(of).sum::<u64>();
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let at = |of: &dyn Fn(&Viewer) -> f64, part: f64| quantile(viewers.iter().map(of), part);
    let by = [
        sum(&|viewer| viewer.bytes_in.headend),
        sum(&|viewer| viewer.bytes_in.repeater),
        sum(&|viewer| viewer.bytes_in.viewer),
    ];
    let all: u64 = by.iter().sum();
    let near = |viewer: &Viewer| {
        let peers = viewer.substreams.iter().filter(|from| from.role == "viewer");
        peers.filter(|from| from.asn == Some(viewer.asn)).count() as u64
    };
    let peers = |viewer: &Viewer| {
        viewer.substreams.iter().filter(|from| from.role == "viewer").count() as u64
    };
    let watched = sum(&|viewer| (viewer.ran_ms - viewer.startup_ms).max(0.0) as u64);
    let stalled = sum(&|viewer| viewer.stall_ms as u64);
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let ms = |low: f64, high: f64| format!("50 % {low:.0}, 95 % {high:.0} ms");
    let (simulated, start) = (report.bytes, &report.startup_ms);
    let simulated_all = simulated.headend + simulated.repeater + simulated.viewer;
    let carried = |[headend, repeater, viewer]: [u64; 3], all: u64| {
        let [headend, repeater, viewer] =
            [headend, repeater, viewer].map(|part| share(part, all) * 100.0);
        format!("headend {headend:.1} %, repeaters {repeater:.1} %, viewers {viewer:.1} %")
    };
    let edge = report.behind_edge_ms;
    // Both ends count each message; servers' figures are not among those of viewers.
    let control = sum(&|viewer| viewer.control_bytes) as f64 / 2.0 / all.max(1) as f64;
    let rows = [
        ["viewers".into(), viewers.len().to_string(), report.viewers.to_string()],
        [
            "start".into(),
            ms(at(&|viewer| viewer.startup_ms, 0.5), at(&|viewer| viewer.startup_ms, 0.95)),
            ms(start.p50, start.p95),
        ],
        [
            "stalled share of viewing time".into(),
            percent(share(stalled, watched)),
            percent(report.stalled_share),
        ],
        [
            "stalls".into(),
            sum(&|viewer| viewer.stalls).to_string(),
            report.stall_causes.values().sum::<u64>().to_string(),
        ],
        [
            "newest segment before the one playing".into(),
            ms(at(&|viewer| viewer.behind_edge_ms, 0.5), at(&|viewer| viewer.behind_edge_ms, 0.95)),
            ms(edge.p50, edge.p95),
        ],
        [
            "who carried the bytes to viewers".into(),
            carried(by, all),
            carried([simulated.headend, simulated.repeater, simulated.viewer], simulated_all),
        ],
        [
            "from viewers of the same AS".into(),
            format!("{} (of the sub-streams, at the end)", percent(share(sum(&near), sum(&peers)))),
            format!("{} (of the bytes)", percent(report.same_as_share)),
        ],
        ["control messages / media".into(), percent(control), percent(report.control_ratio)],
        [
            "shards that came twice / media".into(),
            percent(share(sum(&|viewer| viewer.duplicate_bytes), all)),
            percent(report.duplicate_ratio),
        ],
        [
            "sub-streams moved".into(),
            sum(&|viewer| viewer.failovers).to_string(),
            report.failover_ms.count.to_string(),
        ],
        [
            "longest gap by that, most".into(),
            format!("{:.0} ms", at(&|viewer| viewer.failover_ms_max, 1.0)),
            format!("{:.0} ms", report.failover_ms.max),
        ],
        [
            "three standby partners ready".into(),
            percent(share(sum(&|viewer| u64::from(viewer.standby >= 3)), viewers.len() as u64)),
            percent(report.standby_ready),
        ],
    ];
    let mut text = String::from("| figure | real programs | simulator |\n| --- | --- | --- |\n");
    for [name, real, simulated] in rows {
        let _ = writeln!(text, "| {name} | {real} | {simulated} |");
    }
    text
}

/// The value that this part of all is at most.
fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * part).ceil() as usize;
    values.get(place.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let values = || [4.0, 1.0, 3.0, 2.0].into_iter();
        assert_eq!(
            [0.0, 0.5, 0.95, 1.0].map(|part| quantile(values(), part)),
            [1.0, 2.0, 4.0, 4.0]
        );
        assert_eq!(quantile(std::iter::empty(), 0.5), 0.0);
    }

    #[test]
    fn what_viewers_say_is_read_and_set_beside_a_run() {
        let viewer = r#"{ "asn": 64501, "ran_ms": 60000, "startup_ms": 400, "stalls": 1, "stall_ms": 596,
            "behind_edge_ms": 1500, "bytes_in": { "headend": 0, "repeater": 250, "viewer": 750 }, "bytes_out": 9,
            "control_bytes": 20, "duplicate_bytes": 10, "segments": { "played": 1, "lost": 0, "rebuilt": 1 },
            "failovers": 2, "failover_ms_max": 77, "standby": 3,
            "substreams": [{ "role": "viewer", "asn": 64501 }, { "role": "viewer", "asn": 64502 }] }"#;
        let text = format!(r#"{{ "kbit_per_second": 1000, "viewers": [{viewer}] }}"#);
        let real: Real = serde_json::from_str(&text).unwrap();
        let duration = service::config::Duration::from_secs(12);
        let mut scenario = crate::Scenario { duration, ..Default::default() };
        scenario.viewers.count = 3;
        let table = compare(&real, &crate::run(&scenario, 1, &mut |_| {}));
        for row in [
            "| stalled share of viewing time | 1.00 % |",
            "| who carried the bytes to viewers | headend 0.0 %, repeaters 25.0 %, viewers 75.0 % |",
            "| from viewers of the same AS | 50.00 % (of the sub-streams, at the end) |",
            "| control messages / media | 1.00 % |",
        ] {
            assert!(table.contains(row), "{table}");
        }
    }
}
