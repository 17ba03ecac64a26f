//! What was sent: now, and in this calendar month, over runs of the program.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::persisted::Persisted;

/// The rate is the mean over so long.
const WINDOW: Duration = Duration::from_secs(3);

/// A larger file is not ours, bytes.
const LARGEST: u64 = 1 << 10;

/// Counts what is sent.
pub(crate) struct Meter {
    file: Arc<Persisted<Month>>,
    kept: Month,
    /// What the channels had sent when it was looked at last.
    counter: u64,
    recent: VecDeque<(Instant, u64)>,
}

/// What was sent in a calendar month.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Month {
    /// Such as `2026-11`.
    month: String,
    bytes: u64,
}

/// The calendar month in the viewer's time zone.
fn this_month() -> String {
    jiff::Zoned::now().strftime("%Y-%m").to_string()
}

impl Meter {
    /// The meter whose count is kept in a state folder. A count that cannot be read begins anew.
    pub(crate) fn open(folder: &Path) -> Self {
        let file = Persisted::open(folder.join("upload.json"), LARGEST);
        let kept = Month::clone(&file.get());
        Self { file, kept, counter: 0, recent: VecDeque::new() }
    }

    /// A new source of counts, that begins at 0.
    pub(crate) fn restart(&mut self) {
        self.counter = 0;
    }

    /// The channels have sent `counter` bytes so far.
    pub(crate) fn count(&mut self, now: Instant, counter: u64) {
        self.count_in(now, counter, this_month());
    }

    fn count_in(&mut self, now: Instant, counter: u64, month: String) {
        let more = counter.saturating_sub(self.counter);
        self.counter = counter;
        if self.kept.month != month {
            self.kept = Month { month, bytes: 0 };
        }
        self.kept.bytes = self.kept.bytes.saturating_add(more);
        self.recent.push_back((now, more));
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.recent.pop_front();
        }
    }

    /// Bits per second now.
    pub(crate) fn rate(&self) -> u64 {
        let bytes: u64 = self.recent.iter().map(|(_, bytes)| bytes).sum();
        bytes * 8 / WINDOW.as_secs()
    }

    /// Bytes in this month.
    pub(crate) fn month(&self) -> u64 {
        self.kept.bytes
    }

    /// Lets the count be written soon, if it changed.
    pub(crate) fn save(&self) {
        self.file.change(|written| {
            let news = *written != self.kept;
            written.clone_from(&self.kept);
            news
        });
    }

    /// Waits until what was saved before is on disk.
    pub(crate) async fn written(&self) {
        self.file.written().await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_month_is_counted_over_runs_and_the_next_begins_at_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut meter = Meter::open(folder.path());
        meter.count_in(now, 1000, "2026-11".into());
        meter.count_in(now, 1500, "2026-11".into());
        assert_eq!(meter.month(), 1500);
        meter.save();
        let mut meter = Meter::open(folder.path());
        meter.count_in(now, 200, "2026-11".into());
        assert_eq!(meter.month(), 1700);
        meter.restart();
        meter.count_in(now, 100, "2026-11".into());
        assert_eq!(meter.month(), 1800, "another sign-in counts from 0");
        meter.count_in(now, 150, "2026-12".into());
        assert_eq!(meter.month(), 50);
        assert!(this_month().len() == 7);
    }

    #[test]
    fn the_rate_is_the_mean_of_three_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let mut meter = Meter::open(folder.path());
        let start = Instant::now();
        for quarter in 0..40 {
            let now = start + Duration::from_millis(250 * quarter);
            meter.count_in(now, (quarter + 1) * 25_000, "2026-11".into());
        }
        let rate = meter.rate();
        assert!((750_000..=900_000).contains(&rate), "100 kB/s are {rate} bit/s");
        meter.count_in(start + Duration::from_secs(60), 1_000_000, "2026-11".into());
        assert_eq!(meter.rate(), 0);
    }

    #[test]
    fn a_broken_count_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("upload.json"), "{").unwrap();
        assert_eq!(Meter::open(folder.path()).month(), 0);
    }
}
