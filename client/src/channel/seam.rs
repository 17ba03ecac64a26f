//! Where the stream that is played begins anew.
//!
//! A headend that was started again has an encoder whose clock counts from elsewhere. What plays the stream would wait for
//! the old clock to come round: it has to begin anew, too. The segments do not tell; but no headend is back in less than
//! [`BREAK`], and after so long without a picture a new beginning costs nothing.

use std::time::Duration;

use crate::output::Piece;

/// So much media is missing where the stream may be another one.
const BREAK: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Seam {
    /// Where what was played ends, microseconds on the headend's clock.
    end: Option<u64>,
    /// A break was seen, and nothing at which a decoder can begin since.
    open: bool,
}

impl Seam {
    /// Whether what plays the stream has to begin anew with this piece.
    pub(super) fn begins(&mut self, piece: &Piece) -> bool {
        let lacking = self.end.map_or(0, |end| piece.captured.saturating_sub(end));
        self.open |= lacking > BREAK.as_micros() as u64;
        self.end = Some(piece.captured.saturating_add(piece.duration.as_micros() as u64));
        piece.random_access && std::mem::take(&mut self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::piece;

    #[test]
    fn it_begins_anew_at_the_first_random_access_point_after_a_second_without_media() {
        let mut seam = Seam::default();
        // Every fourth has a random access point; each lasts a quarter of a second.
        let begins: Vec<u64> = [0, 1, 2, 3, 4, 8, 9, 12, 17, 18, 20, 26, 27, 28, 32, 33]
            .into_iter()
            .filter(|&number| seam.begins(&piece(number)))
            .collect();
        assert_eq!(
            begins,
            [28],
            "from 12 to 17 a second is missing and no more, from 20 to 26 more"
        );
    }
}
