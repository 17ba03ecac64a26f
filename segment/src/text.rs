//! Ids and keys as text and as serde values: text where people may read it, bytes elsewhere.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ChannelKey, SwarmId, TextError};

/// 32 hexadecimal digits.
impl fmt::Display for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// 32 lower-case hexadecimal digits, nothing else: one id has one text.
impl FromStr for SwarmId {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(TextError::SwarmId),
        };
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| TextError::SwarmId)?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(id))
    }
}

/// 43 characters of base64url without padding, as a peer id.
impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// 43 characters of base64url without padding. Whether it is a key that can sign anything shows only
/// when it is used.
impl FromStr for ChannelKey {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let text = Some(text).filter(|text| text.len() == 43).ok_or(TextError::ChannelKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TextError::ChannelKey)?;
        bytes.try_into().map(Self).map_err(|_| TextError::ChannelKey)
    }
}

/// Serde for a type of fixed bytes with a text: text in formats that people read, else an array.
macro_rules! serde_as_text {
    ($type:ident, $len:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    <[u8; $len]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

serde_as_text!(SwarmId, 16);
serde_as_text!(ChannelKey, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_nothing_else_is_taken() {
        let id = SwarmId(std::array::from_fn(|i| (i * 17) as u8));
        assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00112233445566778899AABBCCDDEEFF", &id.to_string()[1..], "é"] {
            assert_eq!(bad.parse::<SwarmId>(), Err(TextError::SwarmId));
        }
        let key = ChannelKey(std::array::from_fn(|i| 255 - i as u8));
        assert_eq!(key.to_string().len(), 43);
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", &key.to_string()[1..], &format!("{key}="), &"/".repeat(43)] {
            assert_eq!(bad.parse::<ChannelKey>(), Err(TextError::ChannelKey));
        }
    }

    #[test]
    fn text_for_people_and_bytes_for_machines() {
        let id = SwarmId([7; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<SwarmId>(&json).unwrap(), id);
        let key = ChannelKey([9; 32]);
        let bytes = postcard::to_stdvec(&key).unwrap();
        assert_eq!(bytes, [9; 32]);
        assert_eq!(postcard::from_bytes::<ChannelKey>(&bytes).unwrap(), key);
        assert!(serde_json::from_str::<ChannelKey>("\"short\"").is_err());
    }
}
