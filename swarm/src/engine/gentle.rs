//! Coming gently: whether a line carries a better rendition beside the one that plays is found out with one sub-stream, then
//! two, then four. All at once would fill a thin line for a second or more, with what is of no use in the end.

use std::time::Duration;

use crate::Time;

/// Twice as many sub-streams are asked for after each of these: longer than a segment, so that each step is felt.
const STEP: Duration = Duration::from_millis(300);

/// How a viewer comes into a swarm.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Gentle {
    /// All that is wanted is asked for.
    #[default]
    Not,
    /// Nothing was asked for yet.
    Waits,
    /// The first sub-stream was asked for.
    Since(Time),
}

impl Gentle {
    /// How many sub-streams may be asked for.
    pub(super) fn most(self, now: Time) -> u8 {
        match self {
            Self::Not => u8::MAX,
            Self::Waits => 1,
            Self::Since(began) => {
                let steps = now.since(began).as_micros() / STEP.as_micros();
                1_u8.checked_shl(steps as u32).unwrap_or(u8::MAX)
            }
        }
    }

    /// Something was asked for.
    pub(super) fn begin(&mut self, now: Time) {
        if let Self::Waits = self {
            *self = Self::Since(now);
        }
    }

    /// When more may be asked for.
    pub(super) fn next(self, now: Time) -> Option<Time> {
        let Self::Since(began) = self else { return None };
        let steps = now.since(began).as_micros() / STEP.as_micros() + 1;
        (steps < 8).then(|| began + STEP * steps as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_many_each_time() {
        let at = |ms: u64| Time(1_000_000 + ms * 1000);
        let mut gentle = Gentle::Waits;
        assert_eq!((gentle.most(at(5000)), gentle.next(at(5000))), (1, None));
        gentle.begin(at(0));
        let most = [0, 299, 300, 600, 900, 2100, 100_000].map(|ms| gentle.most(at(ms)));
        assert_eq!(most, [1, 1, 2, 4, 8, 128, 255]);
        assert_eq!(gentle.next(at(299)), Some(at(300)));
        assert_eq!(gentle.next(at(300)), Some(at(600)));
        assert_eq!(gentle.next(at(3000)), None);
        assert_eq!(Gentle::Not.most(at(0)), u8::MAX);
    }
}
