//! How many instructions the hot paths take: times are not stable on shared machines, counts are.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What a count may differ from the one on record.
const TOLERANCE: f64 = 0.05;
/// Work, and how often it is done in the two runs whose difference counts: what comes before and after the
/// work is in both.
const WORK: [(&str, [u32; 2]); 5] = [
    ("seal", [2, 12]),
    ("prove", [2, 12]),
    ("rebuild", [2, 22]),
    ("ticket", [2, 22]),
    ("message", [10, 210]),
];

/// Instructions of a whole run.
fn count(work: &str, times: u32) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let status = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "-q"])
        .arg(format!("--cachegrind-out-file={}", out.display()))
        .arg(env!("CARGO_BIN_EXE_braidcast-bench"))
        .args(["work", work, "--times", &times.to_string()])
        .status()
        .expect("valgrind runs");
    assert!(status.success(), "{work}: {status}");
    let text = std::fs::read_to_string(&out).expect("valgrind has written its counts");
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    total.and_then(|total| total.trim().parse().ok()).expect("a sum of instructions")
}

#[test]
fn the_hot_paths_take_no_more_instructions_than_on_record() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed (make test installs it)");
        return;
    }
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    let text = std::fs::read_to_string(&record).expect("the record is there");
    let known: BTreeMap<String, u64> = toml::from_str(&text).expect("the record is a table");
    let counted: Vec<(&str, u64)> = WORK
        .iter()
        .map(|(work, [few, many])| {
            let more = count(work, *many) - count(work, *few);
            (*work, more / u64::from(many - few))
        })
        .collect();
    if std::env::var_os("BLESS").is_some() {
        let head: String =
            text.lines().filter(|l| l.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
        let lines: String = counted.iter().map(|(work, n)| format!("{work} = {n}\n")).collect();
        std::fs::write(&record, head + &lines).expect("the record can be written");
        return;
    }
    let mut wrong = Vec::new();
    for (work, now) in counted {
        let then = *known.get(work).unwrap_or(&0);
        let change = now as f64 / then as f64 - 1.0;
        println!("{work}: {now} instructions, {:+.1} % of {then}", 100.0 * change);
        if change.is_nan() || change.abs() > TOLERANCE {
            wrong.push(work);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} changed by more than 5 %: if that is meant, BLESS=1");
}
