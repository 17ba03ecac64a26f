//! Refresh tokens: they carry their session and generation, authenticated by a secret of the
//! database.
//!
//! So nothing is stored per token: the session keeps the one generation that is valid. A token of
//! an older generation is recognised for ever (a sign of theft), and the successor of a token is
//! the same whenever it is asked for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Makes and reads refresh tokens.
pub(crate) struct RefreshTokens {
    key: [u8; 32],
}

/// Sixteen bytes of session, eight of generation, 32 of proof.
const LENGTH: usize = 16 + 8 + 32;

impl RefreshTokens {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self { key: blake3::derive_key("braidcast auth refresh token v1", &secret) }
    }

    /// The token of a generation of a session.
    pub(crate) fn make(&self, session: &str, generation: i64) -> Option<String> {
        let mut token = [0; LENGTH];
        let (body, proof) = token.split_at_mut(24);
        if URL_SAFE_NO_PAD.decode_slice(session, &mut body[..16]) != Ok(16) {
            return None;
        }
        body[16..].copy_from_slice(&generation.to_be_bytes());
        proof.copy_from_slice(blake3::keyed_hash(&self.key, body).as_bytes());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// Session and generation of a token, if this auth made it.
    pub(crate) fn read(&self, token: &str) -> Option<(String, i64)> {
        let mut bytes = [0; LENGTH];
        if URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(LENGTH) {
            return None;
        }
        let (body, proof) = bytes.split_at(24);
        let proof: [u8; 32] = proof.try_into().ok()?;
        // BLAKE3's hashes compare in constant time.
        if blake3::keyed_hash(&self.key, body) != blake3::Hash::from_bytes(proof) {
            return None;
        }
        let (session, generation) = body.split_at(16);
        let generation = i64::from_be_bytes(generation.try_into().ok()?);
        Some((URL_SAFE_NO_PAD.encode(session), generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_its_session_and_generation_and_cannot_be_changed() {
        let tokens = RefreshTokens::new([7; 32]);
        let session = crate::random::id();
        let token = tokens.make(&session, 3).unwrap();
        assert_eq!(tokens.read(&token), Some((session.clone(), 3)));
        assert_eq!(tokens.make(&session, 3), Some(token.clone()), "always the same");
        assert_ne!(tokens.make(&session, 4), Some(token.clone()));
        assert_eq!(RefreshTokens::new([8; 32]).read(&token), None);
        for at in 0..token.len() {
            let mut changed = token.clone();
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert_eq!(tokens.read(&changed), None, "character {at}");
        }
        for bad in ["", "x", &token[1..], &format!("{token}A")] {
            assert_eq!(tokens.read(bad), None, "{bad}");
        }
    }
}
