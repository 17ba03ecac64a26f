//! Key sets: whatever comes, nothing panics, what is read is bounded and survives publication.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ticket::KeySet;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(keys) = KeySet::from_json(text) {
        assert!(keys.keys().len() <= KeySet::MAX_KEYS);
        assert_eq!(KeySet::from_json(&keys.to_json()), Ok(keys));
    }
});
