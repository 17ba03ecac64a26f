//! Segment numbers over a restart: one that none was above lies in a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clock;

/// A number that is kept and lies further ahead of the clock than this was never given out, years.
const AHEAD: u64 = 10;
/// So many numbers are kept at once: two seconds of segments of 250 ms. A run that ended without a word is followed by one
/// that leaves out what it had not used of them.
const AT_ONCE: u64 = 8;

/// Remembers the last number of a channel.
#[derive(Clone, Debug)]
pub struct Numbers {
    path: Option<PathBuf>,
    /// None above this has been used.
    last: Option<u64>,
}

impl Numbers {
    /// Numbers kept in `folder`, if there is one, under the channel's id. A file that cannot be read
    /// is as good as none: the wall clock is the first guard, the file the second.
    pub fn open(folder: Option<&Path>, channel: &str) -> Self {
        let path = folder.map(|folder| folder.join(format!("{channel}.number")));
        let read = path.as_deref().and_then(|path| fs::read_to_string(path).ok());
        let last = read.and_then(|text| text.trim().parse().ok());
        Self { path, last }
    }

    /// The number to begin with: where the wall clock is, but after the last; a multiple of
    /// `multiple`, so that random access points of all runs lie on one grid.
    pub fn first(&self, segment: i64, multiple: u64) -> u64 {
        let now = (clock::from_micros(clock::wall_micros()) / segment).unsigned_abs();
        let year = clock::from_micros(365 * 86_400 * 1_000_000).unsigned_abs();
        let most = now + AHEAD * year / segment.unsigned_abs();
        let last = self.last.filter(|last| {
            let sane = *last <= most;
            if !sane {
                tracing::warn!(last, "the segment number that was kept cannot be; it is ignored");
            }
            sane
        });
        let least = (now + 1).max(last.map_or(0, |last| last + 1));
        least.div_ceil(multiple.max(1)) * multiple.max(1)
    }

    /// Sees to it that a number is kept before its segment leaves.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(&mut self, number: u64) -> std::io::Result<()> {
        if self.last.is_some_and(|last| last.saturating_sub(AT_ONCE) < number && number <= last) {
            return Ok(());
        }
        let last = number.saturating_add(AT_ONCE - 1);
        let kept = self.keep(last);
        // What could not be kept is used all the same, and the next one tries again.
        self.last = Some(if kept.is_ok() { last } else { number });
        kept
    }

    fn keep(&self, last: u64) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let beside = path.with_extension("number.new");
        fs::write(&beside, format!("{last}\n"))?;
        fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::open(Some(folder.path()), "one");
        let first = numbers.first(22_500, 4);
        assert_eq!(first % 4, 0);
        for number in first + 1_000_000..first + 1_000_020 {
            numbers.record(number).unwrap();
            let again = Numbers::open(Some(folder.path()), "one");
            assert!((number + 1..=number + AT_ONCE).contains(&again.first(22_500, 1)));
            assert_eq!(again.first(22_500, 4) % 4, 0);
            assert!(again.first(22_500, 4) > number);
        }
        for absurd in [u64::MAX, u64::MAX - 1, first * 1000] {
            numbers.record(absurd).unwrap();
            let again = Numbers::open(Some(folder.path()), "one");
            assert!(again.first(22_500, 4) <= first + 1000, "ignored");
        }
        let other = Numbers::open(Some(folder.path()), "two");
        assert!(other.first(22_500, 1) <= first + 8, "channels do not mix");
    }
    #[test]
    fn what_cannot_be_kept_is_not_given_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let away = folder.path().join("away");
        let mut numbers = Numbers::open(Some(&away), "one");
        let number = numbers.first(22_500, 1) + 1_000_000;
        for number in [number, number + 1] {
            assert!(numbers.record(number).is_err());
            assert_eq!(numbers.first(22_500, 1), number + 1);
        }
        fs::create_dir(&away).unwrap();
        numbers.record(number + 2).unwrap();
        assert!(Numbers::open(Some(&away), "one").first(22_500, 1) > number + 2);
    }
}
