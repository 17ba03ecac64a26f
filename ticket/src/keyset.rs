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

#[derive(Serialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// Keys of kinds that this version does not know are passed over (RFC 7517 section 5), so that an
/// older node goes on when a new kind appears.
#[derive(Deserialize)]
struct JwksRead {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// At most this many keys are read from a document.
    pub const MAX_KEYS: usize = 64;

    /// A longer document is refused unread, bytes.
    pub const MAX_DOCUMENT: usize = 64 * 1024;

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
    /// [`Error::KeySet`] if it is not one, is longer than [`Self::MAX_DOCUMENT`] or holds more
    /// than [`Self::MAX_KEYS`] keys. A key of an unknown kind is passed over.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        if json.len() > Self::MAX_DOCUMENT {
            return Err(Error::KeySet);
        }
        let jwks: JwksRead = serde_json::from_str(json).map_err(|_| Error::KeySet)?;
        if jwks.keys.len() > Self::MAX_KEYS {
            return Err(Error::KeySet);
        }
        let keys = jwks
            .keys
            .into_iter()
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter(|jwk| jwk.kty == "OKP" && jwk.crv == "Ed25519" && jwk.kid.len() <= 128)
            .map(|jwk| PublishedKey { kid: jwk.kid, key: jwk.x, purpose: jwk.purpose })
            .collect();
        Ok(Self { keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    #[test]
    fn a_set_survives_publication() {
        let key = |kid: &str, purpose| PublishedKey {
            kid: kid.into(),
            key: Identity::generate().id(),
            purpose,
        };
        let set = KeySet::new(vec![
            key("a", KeyPurpose::UserTicket),
            key("b", KeyPurpose::ChannelTicket),
        ]);
        assert_eq!(KeySet::from_json(&set.to_json()), Ok(set.clone()));
        assert!(set.find("a", KeyPurpose::UserTicket).is_some());
        assert!(set.find("a", KeyPurpose::ChannelTicket).is_none());
    }

    #[test]
    fn unknown_kinds_of_keys_are_passed_over() {
        let id = Identity::generate().id();
        let json = format!(
            r#"{{"keys":[
                {{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}},
                {{"kty":"OKP","crv":"X25519","x":"{id}","kid":"x","braidcast_purpose":"user-ticket"}},
                {{"kty":"OKP","crv":"Ed25519","x":"{id}","kid":"n","braidcast_purpose":"something-new"}},
                {{"kty":"OKP","crv":"Ed25519","x":"{id}","kid":"k","braidcast_purpose":"user-ticket"}}
            ],"more":1}}"#
        );
        let set = KeySet::from_json(&json).unwrap();
        assert_eq!(set.keys().len(), 1);
        assert_eq!(set.keys()[0].kid, "k");
    }

    #[test]
    fn what_is_no_key_set_or_too_large_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys":1}"#] {
            assert_eq!(KeySet::from_json(bad), Err(Error::KeySet), "{bad}");
        }
        let many = PublishedKey {
            kid: "k".into(),
            key: Identity::generate().id(),
            purpose: KeyPurpose::UserTicket,
        };
        let set = KeySet::new(vec![many; KeySet::MAX_KEYS + 1]);
        assert_eq!(KeySet::from_json(&set.to_json()), Err(Error::KeySet));
        let long = format!(r#"{{"keys":[],"more":"{}"}}"#, "x".repeat(KeySet::MAX_DOCUMENT));
        assert_eq!(KeySet::from_json(&long), Err(Error::KeySet));
    }
}
