//! Any bytes: a frame or a typed error, never a panic; what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use link::protocol::{Event, Frame, Request};

fn again<F: Frame + PartialEq + std::fmt::Debug>(kind: u8, body: &[u8]) {
    if let Ok(Some(frame)) = F::decode(kind, body) {
        let bytes = frame.encode();
        assert_eq!(F::decode(bytes[0], &bytes[1..]), Ok(Some(frame)));
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, body) = input;
    again::<Request>(kind, body);
    again::<Event>(kind, body);
    link::fuzzing::peer_frame(kind, body);
    let _ = link::fuzzing::certificate(body);
});
