//! The published keys that sign tickets (a JWK set, RFC 7517 and RFC 8037).

use serde::{Deserialize, Serialize};

use crate::{Error, PeerId};

/// What a published key may sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeyPurpose {
    /// User tickets: a key of auth.
    #[serde(rename = "user-ticket")]
    UserTicket,
    /// Channel tickets: the identity of a rendezvous server.
    #[serde(rename = "channel-ticket")]
    ChannelTicket,
}

/// One key of the set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedKey {
    /// The key's name in token headers.
    pub kid: String,
    /// The Ed25519 public key.
    pub key: PeerId,
    /// What it may sign.
    pub purpose: KeyPurpose,
}

/// The keys that are in force. Old keys stay until the tickets they signed have expired.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeySet {
    keys: Vec<PublishedKey>,
}

#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: PeerId,
    kid: String,
    #[serde(default)]
    alg: String,
    #[serde(rename = "use", default)]
    usage: String,
    #[serde(rename = "braidcast_purpose")]
    purpose: KeyPurpose,
}

#[derive(Serialize, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

impl KeySet {
    /// At most this many keys are read from a document.
    pub const MAX_KEYS: usize = 64;

    /// A set of these keys.
    pub fn new(keys: Vec<PublishedKey>) -> Self {
        Self { keys }
    }

    /// The keys, in the order given.
    pub fn keys(&self) -> &[PublishedKey] {
        &self.keys
    }

    /// The key named `kid` if it may sign for `purpose`.
    pub fn find(&self, kid: &str, purpose: KeyPurpose) -> Option<&PublishedKey> {
        self.keys.iter().find(|key| key.kid == kid && key.purpose == purpose)
    }

    /// The document that auth publishes.
    pub fn to_json(&self) -> String {
        let keys = self
            .keys
            .iter()
            .map(|key| Jwk {
                kty: "OKP".into(),
                crv: "Ed25519".into(),
                x: key.key,
                kid: key.kid.clone(),
                alg: "EdDSA".into(),
                usage: "sig".into(),
                purpose: key.purpose,
            })
            .collect();
        serde_json::to_string(&Jwks { keys }).expect("a key set always serialises")
    }

    /// Reads the document that auth publishes.
    ///
    /// # Errors
    /// [`Error::KeySet`] if it is not one, or holds more than [`Self::MAX_KEYS`] keys.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let jwks: Jwks = serde_json::from_str(json).map_err(|_| Error::KeySet)?;
        if jwks.keys.len() > Self::MAX_KEYS {
            return Err(Error::KeySet);
        }
        jwks.keys
            .into_iter()
            .map(|jwk| match (jwk.kty.as_str(), jwk.crv.as_str()) {
                ("OKP", "Ed25519") => {
                    Ok(PublishedKey { kid: jwk.kid, key: jwk.x, purpose: jwk.purpose })
                }
                _ => Err(Error::KeySet),
            })
            .collect::<Result<_, _>>()
            .map(|keys| Self { keys })
    }
}
