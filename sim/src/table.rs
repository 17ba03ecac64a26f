//! Reports as a table for a terminal, and for `docs/results/` (it is Markdown too).

use std::fmt::Write as _;

use crate::histogram::Distribution;
use crate::moves::Reason;
use crate::report::Report;

/// The results as a table: a column for each run. Rows are those of the first, and what the others have beside them.
pub fn table(reports: &[Report]) -> String {
    let columns: Vec<Vec<Row>> = reports.iter().map(rows).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let cell = |column: &[Row], name: &str| {
        let row = column.iter().find(|(other, _)| *other == name);
        row.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut lines =
        vec![[vec!["figure".to_owned()], vec!["value".to_owned(); columns.len()]].concat()];
    for name in names {
        let values = columns.iter().map(|column| cell(column, name));
        lines.push([name.to_owned()].into_iter().chain(values).collect());
    }
    let width = |place: usize| {
        lines.iter().filter_map(|line| line.get(place)).map(|text| text.chars().count()).max()
    };
    let widths: Vec<usize> = (0..=columns.len()).map(|place| width(place).unwrap_or(0)).collect();
    let rule = widths.iter().map(|&width| "-".repeat(width)).collect();
    lines.insert(1, rule);
    let mut text = String::new();
    for line in lines {
        for (value, &width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {value:<width$} ");
        }
        text.push_str("|\n");
    }
    text
}

type Row = (&'static str, String);

/// The results, line by line.
pub(crate) fn rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut line = |name: &'static str, value: String| rows.push((name, value));
    line(
        "viewers (joins), seed",
        format!("{} ({}), {}", report.viewers, report.joins, report.seed),
    );
    let stopped = if report.stopped { " (stopped)" } else { "" };
    line("virtual seconds", format!("{}{stopped}", report.virtual_seconds));
    let repeaters = report.repeaters;
    line("repeaters", format!("{} of {} sub-streams", repeaters.count, repeaters.substreams_each));
    line("start", times(&report.startup_ms));
    line("never started", report.not_started.to_string());
    line("stalled share of viewing time", percent(report.stalled_share));
    line("of that in the first ten seconds", percent(report.stalled_at_start));
    if (report.stalled_share_outside - report.stalled_share).abs() > 1e-9 {
        line("the same outside the cut systems", percent(report.stalled_share_outside));
    }
    line("viewers without a stall", percent(report.without_stall));
    let causes: Vec<String> =
        report.stall_causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
    line("stalls by cause", if causes.is_empty() { "none".into() } else { causes.join(", ") });
    line("arrival lag", times(&report.arrival_lag_ms));
    line("behind the edge", times(&report.behind_edge_ms));
    let Distribution { p50, p95, p99, max, .. } = report.depth;
    line("hops from the headend", format!("50 % {p50}, 95 % {p95}, 99 % {p99}, most {max}"));
    line("failover", times(&report.failover_ms));
    for reason in report.failover_reasons.iter().filter(|reason| reason.gap_ms.count > 0) {
        line(failover_by(reason.why), slow(reason));
    }
    line("longest failover per viewer", times(&report.failover_longest_ms));
    let moves = report.moves.iter().map(|(reason, count)| format!("{reason} {count:.2}"));
    line("sub-streams moved, per viewer and minute", moves.collect::<Vec<_>>().join(", "));
    let spread = report.playout_spread_ms;
    line("spread of playout", format!("99 % {} ms, all {} ms", spread.p99, spread.max));
    let bound = percent(report.offload_bound);
    line("offload", format!("{} (uplinks allow {bound})", percent(report.offload)));
    line("same-AS share of peer bytes", percent(report.same_as_share));
    line("media from the same home", percent(report.home_share));
    line("control messages / media", percent(report.control_ratio));
    line("shards that came twice / media", percent(report.duplicate_ratio));
    line("spare sub-streams", percent(report.spare_share));
    line("three standby partners ready", percent(report.standby_ready));
    line("a leave costs one sub-stream", percent(report.leave_costs_one));
    let exposure = report.exposure;
    line(
        "most sub-streams through one viewer",
        format!("50 % {}, 95 % {}, most {}", exposure.p50, exposure.p95, exposure.max),
    );
    if report.stalled_share_free_riders > 0.0 {
        let riders = percent(report.stalled_share_free_riders);
        let others = percent(report.stalled_share_lenders);
        line("stalled: free riders, others", format!("{riders}, {others}"));
    }
    line("heaviest viewer's share", percent(report.heaviest_share));
    if report.bad_shards > 0 {
        line("bad shards", report.bad_shards.to_string());
        line("after a victim's first", times(&report.bad_after_ms));
    }
    let work = &report.work;
    line("deliveries, messages", format!("{}, {}", work.deliveries, work.messages));
    if report.wall_seconds > 0.0 {
        line("wall time", format!("{:.1} s", report.wall_seconds));
    }
    if let Some(spent) = report.cpu_seconds.filter(|spent| *spent > 0.0) {
        let rate = work.events as f64 / spent;
        let each = spent * 1e6 / work.deliveries.max(1) as f64;
        line(
            "processor time",
            format!("{spent:.1} s: {rate:.0} events/s, {each:.2} us a delivery"),
        );
    }
    if let Some(memory) = report.memory_mib {
        line("most memory", format!("{memory} MiB"));
    }
    if let Some(engines) = report.engine_seconds {
        let rest = (report.wall_seconds - engines).max(0.0) * 1e6;
        let own = rest / work.events.max(1) as f64;
        line("engines took", format!("{engines:.1} s; all else {own:.2} us an event (one thread)"));
    }
    rows
}

fn times(times: &Distribution) -> String {
    if times.count == 0 {
        return "none".into();
    }
    let Distribution { p50, p95, p99, max, .. } = times;
    format!("50 % {p50:.0}, 95 % {p95:.0}, 99 % {p99:.0}, most {max:.0} ms")
}

fn failover_by(why: &str) -> &'static str {
    match why {
        "left" => "failover, parent left",
        "silent" => "failover, parent silent",
        "shed" => "failover, parent had no room",
        _ => "failover, parent lost it",
    }
}

/// How long failovers of one reason took, and where the time of those went that took more than half a second.
fn slow(reason: &Reason) -> String {
    let Distribution { count, p50, p95, .. } = reason.gap_ms;
    let mut text = format!("{count}: 50 % {p50:.0}, 95 % {p95:.0} ms");
    if reason.slow > 0 {
        let Reason { slow, noticed_ms, chosen_ms, answered_ms, flowed_ms, .. } = reason;
        let _ = write!(
            text,
            "; over 500: {slow} (noticed {noticed_ms:.0} + chosen {chosen_ms:.0} + answered {answered_ms:.0} + \
             flowed {flowed_ms:.0}; refused {:.0} %, unanswered {:.0} %)",
            reason.refused * 100.0,
            reason.unanswered * 100.0
        );
    }
    text
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 1.0 { format!("{percent:.3} %") } else { format!("{percent:.1} %") }
}
