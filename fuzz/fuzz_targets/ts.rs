//! A source's transport stream as the headend takes it apart: nothing panics, nothing grows without bound, and only whole
//! packets come out, wherever the bytes were cut.

#![no_main]

use headend::ts::demux::{Demuxer, Event};
use headend::ts::pes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for step in [bytes.len().max(1), 188, 7] {
        let (mut demuxer, mut events) = (Demuxer::new(None), Vec::new());
        bytes.chunks(step).for_each(|chunk| demuxer.push(chunk, &mut events));
        demuxer.flush(&mut events);
        for event in events {
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
    }
});
