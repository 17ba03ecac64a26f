//! Whether an address has fallen silent.

use std::time::{Duration, Instant};

/// Two packets so far apart say that the first was not answered, and that its sender noticed.
const APART: Duration = Duration::from_millis(150);
/// So long after the first packet that was not answered, another way is looked for.
pub(super) const SUSPECT: Duration = Duration::from_millis(600);

/// Since something came last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// When the first packet went out that was not answered, and the last one.
    unanswered: Option<(Instant, Instant)>,
}

impl Silence {
    pub(super) fn sent(&mut self, now: Instant) {
        let (first, _) = self.unanswered.unwrap_or((now, now));
        self.unanswered = Some((first, now));
    }

    pub(super) fn came(&mut self) {
        self.unanswered = None;
    }

    /// Whether packets go out and nothing comes back. One packet needs no answer: it may be one itself.
    pub(super) fn is_suspicious(&self, now: Instant, after: Duration) -> bool {
        self.unanswered.is_some_and(|(first, last)| {
            last.saturating_duration_since(first) >= APART
                && now.saturating_duration_since(first) >= after
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_who_does_not_answer_is_suspicious() {
        let start = Instant::now();
        let mut silence = Silence::default();
        assert!(!silence.is_suspicious(start + 5000 * MS, SUSPECT));
        silence.sent(start);
        assert!(!silence.is_suspicious(start + 5000 * MS, SUSPECT), "an acknowledgement");
        silence.sent(start + 200 * MS);
        assert!(!silence.is_suspicious(start + 500 * MS, SUSPECT));
        assert!(silence.is_suspicious(start + 600 * MS, SUSPECT));
        silence.came();
        silence.sent(start + 700 * MS);
        silence.sent(start + 710 * MS);
        assert!(!silence.is_suspicious(start + 2000 * MS, SUSPECT), "one burst");
    }
}
