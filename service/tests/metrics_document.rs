//! `docs/metrics.md` names every metric that a program has, and no other.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::Path;

const PROGRAMS: [&str; 5] = ["service", "auth", "rendezvous", "headend", "repeater"];

fn sources(folder: &Path, out: &mut Vec<String>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // What tests register is no program's.
            let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
            if text.contains("etric") || text.contains("egistry") {
                out.push(text);
            }
        }
    }
}

/// A name is followed by its explanation: `"name", "Words ..."`.
fn names(text: &str) -> BTreeSet<String> {
    let pieces: Vec<&str> = text.split('"').collect();
    let plain = |name: &str| {
        name.len() > 3
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    pieces
        .windows(3)
        .filter(|piece| {
            let words = piece[2].chars().next().is_some_and(|c| c.is_ascii_uppercase());
            plain(piece[0]) && piece[1].trim() == "," && words
        })
        .map(|piece| piece[0].to_owned())
        .collect()
}

#[test]
fn every_metric_is_documented_and_nothing_else_is() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for program in PROGRAMS {
        sources(&top.join(program).join("src"), &mut texts);
    }
    let known: BTreeSet<String> = texts.iter().flat_map(|text| names(text)).collect();
    let document = std::fs::read_to_string(top.join("docs/metrics.md")).unwrap();
    let told: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `braidcast_")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(known.len() > 40, "metrics are not found as they are written: {known:?}");
    let missing: Vec<_> = known.difference(&told).collect();
    let stale: Vec<_> = told.difference(&known).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    assert!(stale.is_empty(), "docs/metrics.md tells of what is not there: {stale:?}");
}

#[test]
fn alerts_and_dashboards_use_metrics_that_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = std::fs::read_to_string(top.join("docs/metrics.md")).unwrap();
    for file in ["alerts.yml", "dashboards/platform.json"] {
        let text = std::fs::read_to_string(top.join("deploy/observability").join(file)).unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for used in text.split(|c| !plain(c)).filter(|word| word.starts_with("braidcast_")) {
            let name = ["_total", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| used.strip_suffix(suffix))
                .unwrap_or(used);
            assert!(document.contains(&format!("`{name}`")), "{file} uses {used}");
        }
    }
    for name in std::fs::read_to_string(top.join("deploy/observability/alerts.yml"))
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(document.contains(&format!("`{name}`")), "docs/metrics.md lacks the alert {name}");
    }
}
