//! User tickets and channel tickets: JWTs (RFC 7519) signed with Ed25519 (RFC 8037).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Identity, KeyPurpose, KeySet, Location, PeerId, Role};

/// The device a ticket is bound to (RFC 7800): an Ed25519 JWK.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confirmation {
    jwk: DeviceJwk,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct DeviceJwk {
    kty: String,
    crv: String,
    x: PeerId,
}

impl Confirmation {
    /// Binds to this device.
    pub fn new(device: PeerId) -> Self {
        Self { jwk: DeviceJwk { kty: "OKP".into(), crv: "Ed25519".into(), x: device } }
    }

    /// The device.
    pub fn device(&self) -> PeerId {
        self.jwk.x
    }
}

/// What auth grants: an account (or a node) on one device, its channels and its location.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserTicket {
    /// Who issued it: auth's public URL.
    pub iss: String,
    /// The platform it is for.
    pub aud: String,
    /// The account's or node's id.
    pub sub: String,
    /// The session's id; revocation names it.
    pub jti: String,
    /// Issued, seconds since 1970 UTC.
    pub iat: u64,
    /// Expires, seconds since 1970 UTC; at most 10 minutes after `iat`.
    pub exp: u64,
    /// The device.
    pub cnf: Confirmation,
    /// What the bearer does.
    pub role: Role,
    /// The channels it may watch (a viewer), carry (a repeater) or publish (a headend).
    /// `["*"]` stands for every channel.
    pub channels: Vec<String>,
    /// Where it is.
    pub loc: Location,
}

/// What rendezvous grants for the whole line-up, shown to peers on connecting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelTicket {
    /// The rendezvous that issued it: its peer id.
    pub iss: PeerId,
    /// The platform it is for.
    pub aud: String,
    /// The session's id of the user ticket it follows from; revocation names it.
    pub jti: String,
    /// Issued, seconds since 1970 UTC.
    pub iat: u64,
    /// Expires, seconds since 1970 UTC; 30 minutes after `iat`.
    pub exp: u64,
    /// The device.
    pub cnf: Confirmation,
    /// What the bearer does.
    pub role: Role,
    /// As in the user ticket.
    pub channels: Vec<String>,
    /// Where it is.
    pub loc: Location,
}

/// A token longer than this is refused unread, bytes.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;

/// Clocks may differ by this much, seconds.
const LEEWAY: u64 = 30;

trait Ticket: DeserializeOwned + Serialize {
    const PURPOSE: KeyPurpose;
    /// The header's `typ`, so that one kind is never taken for the other.
    const TYPE: &'static str;
    fn times(&self) -> (u64, u64);
    fn audience(&self) -> &str;
    fn device(&self) -> PeerId;
}

macro_rules! ticket {
    ($name:ident, $purpose:ident, $kind:literal) => {
        impl Ticket for $name {
            const PURPOSE: KeyPurpose = KeyPurpose::$purpose;
            const TYPE: &'static str = $kind;
            fn times(&self) -> (u64, u64) {
                (self.iat, self.exp)
            }
            fn audience(&self) -> &str {
                &self.aud
            }
            fn device(&self) -> PeerId {
                self.cnf.device()
            }
        }

        impl $name {
            /// Checks a token offline: form, key, signature, times (on the platform's clock, `now`
            /// in seconds since 1970), platform, and that it is bound to `device`.
            ///
            /// # Errors
            /// The first thing that is wrong.
            pub fn check(
                token: &str,
                keys: &KeySet,
                audience: &str,
                device: PeerId,
                now: u64,
            ) -> Result<Self, Error> {
                let ticket: Self = read(token, keys)?;
                judge(&ticket, audience, device, now)?;
                Ok(ticket)
            }

            /// Whether it grants `channel`.
            pub fn grants(&self, channel: &str) -> bool {
                self.channels.iter().any(|granted| granted == "*" || granted == channel)
            }
        }
    };
}

ticket!(UserTicket, UserTicket, "braidcast-user+jwt");
ticket!(ChannelTicket, ChannelTicket, "braidcast-channel+jwt");

fn read<T: Ticket>(token: &str, keys: &KeySet) -> Result<T, Error> {
    if token.len() > MAX_TOKEN {
        return Err(Error::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Malformed)?;
    if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(T::TYPE) {
        return Err(Error::Malformed);
    }
    let kid = header.kid.ok_or(Error::Malformed)?;
    let key = keys.find(&kid, T::PURPOSE).ok_or(Error::UnknownKey)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times, audience and device are judged below, on the platform's clock and with a reason.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let data = jsonwebtoken::decode(token, &DecodingKey::from_ed_der(&key.key.0), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => Error::Forged,
            _ => Error::Malformed,
        })?;
    Ok(data.claims)
}

fn judge<T: Ticket>(ticket: &T, audience: &str, device: PeerId, now: u64) -> Result<(), Error> {
    let (issued, expires) = ticket.times();
    if ticket.audience() != audience {
        Err(Error::Audience)
    } else if ticket.device() != device {
        Err(Error::OtherDevice)
    } else if issued > now + LEEWAY {
        Err(Error::NotYet)
    } else if expires <= now {
        Err(Error::Expired)
    } else {
        Ok(())
    }
}

/// Signs tickets with one key.
pub struct Issuer {
    kid: String,
    key: EncodingKey,
}

impl Issuer {
    /// An issuer whose tokens name the key `kid`.
    pub fn new(kid: impl Into<String>, identity: &Identity) -> Self {
        Self { kid: kid.into(), key: EncodingKey::from_ed_der(&identity.to_pkcs8()) }
    }

    /// Signs a user ticket.
    pub fn user(&self, ticket: &UserTicket) -> String {
        self.sign(ticket)
    }

    /// Signs a channel ticket.
    pub fn channel(&self, ticket: &ChannelTicket) -> String {
        self.sign(ticket)
    }

    fn sign<T: Ticket>(&self, ticket: &T) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        header.typ = Some(T::TYPE.into());
        jsonwebtoken::encode(&header, ticket, &self.key).expect("an Ed25519 key signs any claims")
    }
}

#[cfg(test)]
mod tests {
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
        let (auth, device, other) =
            (Identity::generate(), Identity::generate(), Identity::generate());
        let token = Issuer::new("k1", &auth).user(&ticket(device.id()));
        let set = keys("k1", &auth, KeyPurpose::UserTicket);
        let set = KeySet::from_json(&set.to_json()).unwrap();
        let check =
            |token: &str, set: &KeySet, aud, dev, now| UserTicket::check(token, set, aud, dev, now);

        assert_eq!(check(&token, &set, "tv", device.id(), NOW), Ok(ticket(device.id())));
        assert_eq!(check(&token, &set, "tv", device.id(), NOW + 600), Err(Error::Expired));
        assert_eq!(check(&token, &set, "tv", device.id(), NOW - 31), Err(Error::NotYet));
        assert_eq!(check(&token, &set, "tv", other.id(), NOW), Err(Error::OtherDevice));
        assert_eq!(check(&token, &set, "radio", device.id(), NOW), Err(Error::Audience));
        assert_eq!(
            check(&token, &KeySet::default(), "tv", device.id(), NOW),
            Err(Error::UnknownKey)
        );
        let wrong_purpose = keys("k1", &auth, KeyPurpose::ChannelTicket);
        assert_eq!(check(&token, &wrong_purpose, "tv", device.id(), NOW), Err(Error::UnknownKey));
        let forged = Issuer::new("k1", &other).user(&ticket(device.id()));
        assert_eq!(check(&forged, &set, "tv", device.id(), NOW), Err(Error::Forged));
        assert_eq!(check("a.b.c", &set, "tv", device.id(), NOW), Err(Error::Malformed));
        assert_eq!(
            ChannelTicket::check(&token, &wrong_purpose, "tv", device.id(), NOW),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn channels_are_granted_by_name_or_all() {
        let mut ticket = ticket(Identity::generate().id());
        assert!(ticket.grants("one"));
        assert!(!ticket.grants("two"));
        ticket.channels = vec!["*".into()];
        assert!(ticket.grants("two"));
    }
}
