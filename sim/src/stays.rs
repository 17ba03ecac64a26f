//! A line for every stay of a viewer: for a spreadsheet, when the table raises the question of whom a figure comes from.

use std::fmt::Write as _;

use crate::population::Profile;
use crate::setting::Setting;
use crate::tally::{CAUSES, Record};

const HEAD: &str = "node,system,line,nat,manner,lends_kbit,joined_s,stayed_s,told_ms,server_ms,viewer_ms,shard_ms,whole_ms,\
startup_ms,stalled_ms,stalled_early_ms,\
stalls,causes,lost,duplicates,failovers,exposure";

/// All stays as comma-separated values, with a line of names.
pub(crate) fn csv(setting: &Setting, records: &[Record]) -> String {
    let mut text = format!("{HEAD}\n");
    for record in records {
        line(&mut text, setting, record, setting.profile(record.node));
    }
    text
}

fn line(text: &mut String, setting: &Setting, record: &Record, profile: &Profile) {
    let access = profile.line.and_then(|line| setting.scenario.access.get(usize::from(line)));
    let name = access.map_or("", |access| &access.name);
    let stats = &record.stats;
    let startup = record.startup.map_or(String::new(), |at| (at / 1000).to_string());
    let mut causes = String::new();
    for (cause, name) in CAUSES {
        if let Some(count) = stats.stall_causes.get(&cause) {
            let _ = write!(causes, "{}{name} {count}", if causes.is_empty() { "" } else { " " });
        }
    }
    let media = stats.bytes_in.headend + stats.bytes_in.repeater + stats.bytes_in.viewer;
    let twice = stats.duplicate_bytes as f64 / media.max(1) as f64;
    let _ = writeln!(
        text,
        "{},{},{name},{:?},{:?},{},{:.1},{:.1},{},{},{},{},{},{startup},{},{},{},{causes},{},{twice:.4},{},{}",
        record.node,
        record.system,
        profile.nat,
        record.manner,
        record.lends / 1000,
        record.joined as f64 / 1e6,
        record.stayed as f64 / 1e6,
        record.steps.told / 1000,
        record.steps.server / 1000,
        record.steps.viewer / 1000,
        record.steps.shard / 1000,
        stats.startup.map_or(0, |at| at.as_millis()),
        record.stalled() / 1000,
        record.early.unwrap_or_else(|| record.stalled()).min(record.stalled()) / 1000,
        stats.stalls,
        stats.lost,
        stats.failovers,
        stats.exposure,
    );
}
