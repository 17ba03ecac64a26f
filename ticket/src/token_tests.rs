//! What is refused, and why.

use proptest::prelude::*;

use super::*;
use crate::PublishedKey;

const NOW: u64 = 1_800_000_000;

fn ticket(device: PeerId) -> UserTicket {
    UserTicket {
        iss: "https://tv.example".into(),
        aud: "tv".into(),
        sub: "account-1".into(),
        jti: "session-1".into(),
        iat: NOW,
        exp: NOW + 600,
        cnf: Confirmation::new(device),
        role: Role::Viewer,
        channels: vec!["one".into()],
        loc: Location { subset: Some(1), asn: Some(64512), country: "ch".parse().ok() },
    }
}

fn keys(kid: &str, key: &Identity, purpose: KeyPurpose) -> KeySet {
    KeySet::new(vec![PublishedKey { kid: kid.into(), key: key.id(), purpose }])
}

#[test]
fn each_fault_has_its_own_reason() {
    let (auth, device, other) = (Identity::generate(), Identity::generate(), Identity::generate());
    let token = Issuer::new("k1", &auth).user(&ticket(device.id()));
    let set = keys("k1", &auth, KeyPurpose::UserTicket);
    let set = KeySet::from_json(&set.to_json()).unwrap();
    let check =
        |token: &str, set: &KeySet, aud, dev, now| UserTicket::check(token, set, aud, dev, now);

    assert_eq!(check(&token, &set, "tv", device.id(), NOW), Ok(ticket(device.id())));
    assert_eq!(check(&token, &set, "tv", device.id(), NOW + 600), Err(Error::Expired));
    assert_eq!(check(&token, &set, "tv", device.id(), NOW - 31), Err(Error::NotYet));
    assert_eq!(check(&token, &set, "tv", device.id(), u64::MAX), Err(Error::Expired));
    assert_eq!(check(&token, &set, "tv", other.id(), NOW), Err(Error::OtherDevice));
    assert_eq!(check(&token, &set, "radio", device.id(), NOW), Err(Error::Audience));
    assert_eq!(check(&token, &KeySet::default(), "tv", device.id(), NOW), Err(Error::UnknownKey));
    let wrong_purpose = keys("k1", &auth, KeyPurpose::ChannelTicket);
    assert_eq!(check(&token, &wrong_purpose, "tv", device.id(), NOW), Err(Error::UnknownKey));
    let forged = Issuer::new("k1", &other).user(&ticket(device.id()));
    assert_eq!(check(&forged, &set, "tv", device.id(), NOW), Err(Error::Forged));
    assert_eq!(check("a.b.c", &set, "tv", device.id(), NOW), Err(Error::Malformed));
    let long = "a".repeat(MAX_TOKEN + 1);
    assert_eq!(check(&long, &set, "tv", device.id(), NOW), Err(Error::Malformed));
    assert_eq!(
        ChannelTicket::check(&token, &wrong_purpose, "tv", device.id(), NOW),
        Err(Error::Malformed)
    );
}

#[test]
fn a_ticket_that_lives_too_long_is_refused_though_well_signed() {
    let (auth, device) = (Identity::generate(), Identity::generate());
    let set = keys("k1", &auth, KeyPurpose::UserTicket);
    let mut long = ticket(device.id());
    long.exp = NOW + UserTicket::LIFETIME + 1;
    let token = Issuer::new("k1", &auth).user(&long);
    assert_eq!(UserTicket::check(&token, &set, "tv", device.id(), NOW), Err(Error::Lifetime));
    long.iat = u64::MAX;
    long.exp = u64::MAX;
    let token = Issuer::new("k1", &auth).user(&long);
    assert_eq!(UserTicket::check(&token, &set, "tv", device.id(), NOW), Err(Error::NotYet));
}

#[test]
fn a_bearer_needs_no_device_key_but_all_else() {
    let (auth, device) = (Identity::generate(), Identity::generate());
    let set = keys("k1", &auth, KeyPurpose::UserTicket);
    let token = Issuer::new("k1", &auth).user(&ticket(device.id()));
    let read = UserTicket::check_bearer(&token, &set, "tv", NOW).unwrap();
    assert_eq!(read.cnf.device(), device.id());
    assert_eq!(UserTicket::check_bearer(&token, &set, "tv", NOW + 600), Err(Error::Expired));
    assert_eq!(UserTicket::check_bearer(&token, &set, "radio", NOW), Err(Error::Audience));
}

#[test]
fn only_ed25519_devices_are_understood() {
    let device = Identity::generate().id();
    let good = serde_json::to_string(&Confirmation::new(device)).unwrap();
    assert_eq!(good, format!(r#"{{"jwk":{{"kty":"OKP","crv":"Ed25519","x":"{device}"}}}}"#));
    assert_eq!(serde_json::from_str::<Confirmation>(&good).unwrap().device(), device);
    for bad in [good.replace("OKP", "EC"), good.replace("Ed25519", "X25519")] {
        assert!(serde_json::from_str::<Confirmation>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn no_other_algorithm_is_taken() {
    let (auth, device) = (Identity::generate(), Identity::generate());
    let set = keys("k1", &auth, KeyPurpose::UserTicket);
    // The classic confusion: the public key used as an HMAC secret.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".into());
    header.typ = Some("braidcast-user+jwt".into());
    let secret = EncodingKey::from_secret(&auth.id().0);
    let token = jsonwebtoken::encode(&header, &ticket(device.id()), &secret).unwrap();
    assert_eq!(UserTicket::check(&token, &set, "tv", device.id(), NOW), Err(Error::Malformed));
}

#[test]
fn channels_are_granted_by_name_or_all() {
    let mut ticket = ticket(Identity::generate().id());
    assert!(ticket.grants("one"));
    assert!(!ticket.grants("two"));
    ticket.channels = vec!["*".into()];
    assert!(ticket.grants("two"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever one character is changed to, the token is refused: nothing in it is unsigned.
    #[test]
    fn no_changed_token_passes(at in 0usize..10_000, to in "[A-Za-z0-9_.-]") {
        let (auth, device) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let set = keys("k1", &auth, KeyPurpose::UserTicket);
        let token = Issuer::new("k1", &auth).user(&ticket(device.id()));
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        prop_assert!(UserTicket::check(&changed, &set, "tv", device.id(), NOW).is_err());
    }

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let _ = UserTicket::check(&text, &KeySet::default(), "tv", PeerId([0; 32]), NOW);
        let _ = KeySet::from_json(&text);
    }
}
