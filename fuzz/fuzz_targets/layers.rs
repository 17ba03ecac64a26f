//! The contents of two layers: only a channel can write them, but what it writes must not harm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segment::fuzzing::{alone, join};

fuzz_target!(|contents: (&[u8], &[u8])| {
    let (essential, full) = contents;
    if let Some(ts) = join(essential, full) {
        assert!(ts.len() <= essential.len() + full.len());
    }
    if let Some(ts) = alone(essential) {
        assert!(ts.len() <= essential.len());
        assert_eq!(ts.len() % 188, 0);
    }
});
