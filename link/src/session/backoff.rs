//! Ever longer pauses, no two alike.

use std::time::Duration;

/// Pauses between attempts, doubled each time up to a bound, between half and all of it by chance.
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    /// For rendezvous: all are back within a few seconds of its restart.
    pub(crate) fn quick() -> Self {
        Self { next: Duration::from_millis(200), most: Duration::from_secs(2) }
    }

    /// For auth.
    pub(crate) fn patient() -> Self {
        Self { next: Duration::from_millis(500), most: Duration::from_secs(4) }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.most);
        pause / 2 + (pause / 2).mul_f64(chance())
    }
}

/// Between 0 and 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
