//! A source's transport stream as the headend takes it apart: nothing panics, nothing grows without bound, and what comes
//! out does not depend on how the bytes were cut.

#![no_main]

use headend::ts::demux::{Demuxer, Event};
use headend::ts::pes;
use libfuzzer_sys::fuzz_target;

/// What comes out, with the bytes cut after every `step`.
fn demux(bytes: &[u8], step: usize) -> Vec<Event> {
    let (mut demuxer, mut events) = (Demuxer::new(None), Vec::new());
    bytes.chunks(step).for_each(|chunk| demuxer.push(chunk, &mut events));
    demuxer.flush(&mut events);
    events
}

fuzz_target!(|bytes: &[u8]| {
    let whole = demux(bytes, bytes.len().max(1));
    let parts = demux(bytes, 188);
    assert_eq!(whole.len(), parts.len());
    for event in whole {
        match event {
            Event::Map(map) => assert!(map.tracks.len() <= 64),
            Event::Pes { pes, .. } => {
                let header = pes::parse(&pes).expect("only whole packets come out");
                assert!(header.payload <= pes.len() && pes.len() <= bytes.len());
                pes::begins_decoding(headend::unit::H264, &pes[header.payload..]);
                pes::begins_decoding(headend::unit::H265, &pes[header.payload..]);
            }
        }
    }
});
