//! Helping to carry the channel: when, how much, and what was sent.
//!
//! Nothing is sent before the viewer was asked, on a connection that is paid by volume (unless wanted), or beyond what may
//! be sent in a calendar month of the viewer's time zone. A change holds at once in channels that are received.

mod meter;

use service::config::Rate;

use crate::choices::Sharing;
use crate::settings::Share;

pub(crate) use meter::Meter;

/// What is sent to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Upload {
    /// Media sent now, bits per second: the mean of the last 3 s.
    pub now_bits: u64,
    /// Media sent in this calendar month, bytes.
    pub month_bytes: u64,
    /// Why it is sent, or not.
    pub state: UploadState,
    /// The most that is sent, bits per second.
    pub limit_bits: u64,
}

/// Why something is sent to others, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UploadState {
    /// The viewer was not asked yet: nothing is sent.
    #[default]
    NotAsked,
    /// The viewer does not want to.
    Off,
    /// It is.
    On,
    /// The connection is paid by volume: nothing is sent.
    Metered,
    /// What may be sent in a month was: nothing more is.
    MonthlyLimit,
}

/// What may be sent, by the viewer's choice, whether the connection is `metered`, and what was sent this month.
pub(crate) fn decide(sharing: &Sharing, metered: bool, month_bytes: u64) -> (UploadState, Share) {
    let state = match sharing.choice {
        None => UploadState::NotAsked,
        Some(false) => UploadState::Off,
        Some(true) if sharing.private => UploadState::Off,
        Some(true) if sharing.kbits == 0 => UploadState::Off,
        Some(true) if metered && !sharing.on_metered => UploadState::Metered,
        Some(true)
            if sharing
                .monthly_gb
                .is_some_and(|gb| month_bytes >= u64::from(gb) * 1_000_000_000) =>
        {
            UploadState::MonthlyLimit
        }
        Some(true) => UploadState::On,
    };
    let share = match state {
        UploadState::On => Share::UpTo(Rate::from_kbits_per_second(sharing.kbits.into())),
        _ => Share::Off,
    };
    (state, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_but_by_choice_and_within_limits() {
        let yes =
            Sharing { choice: Some(true), kbits: 500, monthly_gb: Some(2), ..Sharing::default() };
        let state = |sharing: &Sharing, metered, bytes| decide(sharing, metered, bytes).0;
        assert_eq!(decide(&yes, false, 1_999_999_999).1.uplink(), 500_000);
        assert_eq!(state(&yes, false, 0), UploadState::On);
        assert_eq!(state(&yes, false, 2_000_000_000), UploadState::MonthlyLimit);
        assert_eq!(state(&yes, true, 0), UploadState::Metered);
        assert_eq!(state(&Sharing { private: true, ..yes.clone() }, false, 0), UploadState::Off);
        assert_eq!(state(&Sharing { on_metered: true, ..yes.clone() }, true, 0), UploadState::On);
        assert_eq!(
            state(&Sharing { monthly_gb: None, ..yes.clone() }, false, u64::MAX),
            UploadState::On
        );
        assert_eq!(
            state(&Sharing { choice: Some(false), ..yes.clone() }, false, 0),
            UploadState::Off
        );
        assert_eq!(state(&Sharing { kbits: 0, ..yes.clone() }, false, 0), UploadState::Off);
        for (sharing, metered, bytes) in [
            (Sharing::default(), false, 0),
            (Sharing { choice: Some(false), ..yes.clone() }, false, 0),
            (yes.clone(), true, 0),
            (yes, false, 2_000_000_000),
        ] {
            assert_eq!(decide(&sharing, metered, bytes).1, Share::Off);
        }
    }
}
