//! Looks at pictures and sound: does the picture move, is it black, is the sound silent?

use super::health::Health;
use crate::config::Video;

/// Points that are compared, across and down.
const ACROSS: usize = 64;
const DOWN: usize = 36;
/// Brightness of a point of a black picture, at most: black is 16, and noise is added to it.
const BLACK: u8 = 40;
/// One point in so many may be brighter: a logo in the corner makes no picture.
const SPECKS: usize = 100;
/// A point that changed by more has moved; what a still picture changes by in an encoder is less.
const MOVED: u8 = 16;
/// So many points that moved make a picture that moves.
const MOVING: usize = 2;
/// Sound whose peak is below is silent: -60 dB of full scale.
const SILENCE: u16 = 33;

/// What was seen last of one source.
#[derive(Debug)]
pub(super) struct Look {
    width: usize,
    height: usize,
    stride: usize,
    last: Vec<u8>,
}

impl Look {
    /// For pictures of this size, in I420 as GStreamer lays them out (rows of whole fours).
    pub(super) fn new(video: &Video) -> Self {
        let width = video.width as usize;
        let stride = width.div_ceil(4) * 4;
        Self { width, height: video.height as usize, stride, last: Vec::new() }
    }

    /// A picture came: tells the health what it is.
    pub(super) fn picture(&mut self, pixels: &[u8], health: &Health) {
        let (moved, bright) = self.see(pixels);
        health.picture(moved, bright);
    }

    /// Whether a picture differs from the last that did, and whether it is not black.
    fn see(&mut self, pixels: &[u8]) -> (bool, bool) {
        let mut seen = Vec::with_capacity(ACROSS * DOWN);
        for row in 0..DOWN {
            let line = (row * 2 + 1) * self.height / (DOWN * 2) * self.stride;
            let point = |column| line + (column * 2 + 1) * self.width / (ACROSS * 2);
            seen.extend((0..ACROSS).filter_map(|column| pixels.get(point(column))));
        }
        let bright = seen.iter().filter(|point| **point > BLACK).count() > seen.len() / SPECKS;
        let changes = |(a, b): &(&u8, &u8)| a.abs_diff(**b) > MOVED;
        let moved = seen.len() != self.last.len()
            || seen.iter().zip(&self.last).filter(changes).count() >= MOVING;
        if moved {
            self.last = seen;
        }
        (moved, bright)
    }
}

/// Sound came, 16 bits little endian: tells the health what it is.
pub(super) fn sound(samples: &[u8], health: &Health) {
    health.sound(is_loud(samples));
}

fn is_loud(samples: &[u8]) -> bool {
    let (samples, _) = samples.as_chunks::<2>();
    samples.iter().any(|s| i16::from_le_bytes(*s).unsigned_abs() > SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn still_black_and_moving_are_told_apart() {
        let video = Video { width: 322, height: 180, ..Video::default() };
        let noisy = |level: u8, seed: usize| -> Vec<u8> {
            (0..324 * 270).map(|i| level + ((i * 7919 + seed * 31) % 5) as u8).collect()
        };
        let mut look = Look::new(&video);
        assert_eq!(look.see(&noisy(120, 0)), (true, true), "the first");
        assert_eq!(look.see(&noisy(120, 1)), (false, true), "noise");
        assert_eq!(look.see(&noisy(128, 2)), (false, true));
        assert_eq!(look.see(&noisy(137, 3)), (true, true), "a slow change adds up");
        assert_eq!(look.see(&noisy(16, 4)), (true, false));
        let mut clock = noisy(16, 5);
        for row in 80..100 {
            clock[row * 324 + 100..row * 324 + 140].fill(235);
        }
        assert_eq!(look.see(&clock), (true, true), "a small thing that moves");
        assert_eq!(look.see(&[]), (true, false), "no pixels");
    }

    #[test]
    fn silence_is_below_sixty_decibels() {
        assert!(!is_loud(&[0; 400]));
        assert!(!is_loud(&[32, 0, 0xe0, 0xff]));
        assert!(is_loud(&[0, 0, 0xd0, 0xff]));
        assert!(!is_loud(&[]));
    }
}
