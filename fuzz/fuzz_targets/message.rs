//! Any bytes: a message or a typed error, never a panic; what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swarm::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, taken))) = Message::decode(bytes) {
        assert!(taken <= bytes.len());
        if let Some(message) = message {
            let again = message.encode();
            assert_eq!(Message::decode(&again), Ok(Some((Some(message), again.len()))));
        }
    }
});
