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
    kty: Kty,
    crv: Curve,
    x: PeerId,
}

/// The one key type there is (RFC 8037): any other makes the ticket malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Kty {
    #[serde(rename = "OKP")]
    Okp,
}

/// The one curve there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Curve {
    Ed25519,
}

impl Confirmation {
    /// Binds to this device.
    pub fn new(device: PeerId) -> Self {
        Self { jwk: DeviceJwk { kty: Kty::Okp, crv: Curve::Ed25519, x: device } }
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
pub const MAX_TOKEN: usize = 8 * 1024;

/// Clocks may differ by this much, seconds.
const LEEWAY: u64 = 30;

trait Ticket: DeserializeOwned + Serialize {
    const PURPOSE: KeyPurpose;
    /// The header's `typ`, so that one kind is never taken for the other.
    const TYPE: &'static str;
    /// The longest life, seconds: one that lives longer is refused whoever signed it.
    const LIFETIME: u64;
    fn times(&self) -> (u64, u64);
    fn audience(&self) -> &str;
    fn device(&self) -> PeerId;
}

macro_rules! ticket {
    ($name:ident, $purpose:ident, $kind:literal, $minutes:literal) => {
        impl Ticket for $name {
            const PURPOSE: KeyPurpose = KeyPurpose::$purpose;
            const TYPE: &'static str = $kind;
            const LIFETIME: u64 = $minutes * 60;
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
            /// The longest life of such a ticket, seconds.
            pub const LIFETIME: u64 = <Self as Ticket>::LIFETIME;

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
                judge(&ticket, audience, now)?;
                if ticket.device() != device {
                    return Err(Error::OtherDevice);
                }
                Ok(ticket)
            }

            /// As [`Self::check`], but for whoever bears it: for calls over HTTPS, where no device
            /// key is shown. Never for peers.
            ///
            /// # Errors
            /// The first thing that is wrong.
            pub fn check_bearer(
                token: &str,
                keys: &KeySet,
                audience: &str,
                now: u64,
            ) -> Result<Self, Error> {
                let ticket: Self = read(token, keys)?;
                judge(&ticket, audience, now)?;
                Ok(ticket)
            }

            /// Whether it grants `channel`.
            pub fn grants(&self, channel: &str) -> bool {
                self.channels.iter().any(|granted| granted == "*" || granted == channel)
            }
        }
    };
}

ticket!(UserTicket, UserTicket, "braidcast-user+jwt", 10);
ticket!(ChannelTicket, ChannelTicket, "braidcast-channel+jwt", 30);

impl UserTicket {
    /// As [`Self::check`], but a ticket that expired at most `grace` seconds ago passes too: for
    /// the time when auth, which would give another, is away.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_lapsed(
        token: &str,
        keys: &KeySet,
        audience: &str,
        device: PeerId,
        now: u64,
        grace: u64,
    ) -> Result<Self, Error> {
        let ticket: Self = read(token, keys)?;
        let last = ticket.exp.saturating_sub(1);
        let at = if now.saturating_sub(last) <= grace { now.min(last) } else { now };
        judge(&ticket, audience, at)?;
        if ticket.device() != device {
            return Err(Error::OtherDevice);
        }
        Ok(ticket)
    }
}

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

fn judge<T: Ticket>(ticket: &T, audience: &str, now: u64) -> Result<(), Error> {
    let (issued, expires) = ticket.times();
    if ticket.audience() != audience {
        Err(Error::Audience)
    } else if issued > now.saturating_add(LEEWAY) {
        Err(Error::NotYet)
    } else if expires <= now {
        Err(Error::Expired)
    } else if expires.saturating_sub(issued) > T::LIFETIME {
        Err(Error::Lifetime)
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
#[path = "token_tests.rs"]
mod tests;
