//! Tickets: whatever comes, nothing panics, and only what auth signed for this device passes.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use ticket::{ChannelTicket, Identity, KeyPurpose, KeySet, PublishedKey, UserTicket};

const NOW: u64 = 1_800_000_000;

fuzz_target!(|data: &[u8]| {
    let (auth, device) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]).id());
    let keys = KeySet::new(
        [KeyPurpose::UserTicket, KeyPurpose::ChannelTicket]
            .map(|purpose| PublishedKey { kid: "k".into(), key: auth.id(), purpose })
            .into(),
    );
    if let Ok(token) = std::str::from_utf8(data) {
        let _ = UserTicket::check(token, &keys, "tv", device, NOW);
        let _ = ChannelTicket::check(token, &keys, "tv", device, NOW);
    }
    // A signature opens the way to the claims.
    for kind in ["braidcast-user+jwt", "braidcast-channel+jwt"] {
        let header = format!(r#"{{"typ":"{kind}","alg":"EdDSA","kid":"k"}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(data));
        let signature = URL_SAFE_NO_PAD.encode(auth.sign(signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        if let Ok(ticket) = UserTicket::check(&token, &keys, "tv", device, NOW) {
            assert!(ticket.cnf.device() == device && ticket.aud == "tv" && ticket.exp > NOW);
        }
        if let Ok(ticket) = ChannelTicket::check(&token, &keys, "tv", device, NOW) {
            assert!(ticket.cnf.device() == device && ticket.aud == "tv" && ticket.exp > NOW);
        }
    }
});
