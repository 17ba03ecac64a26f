//! What can be wrong with a ticket or a name.

/// Why a ticket, key or name was refused. The text is fit to be shown to the one refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Not base64url of 32 bytes.
    #[error("not a peer id (43 characters of base64url)")]
    PeerId,
    /// Not two letters.
    #[error("not a country code (two letters)")]
    Country,
    /// Not a key set, or a key in it is of an unknown kind.
    #[error("not a key set")]
    KeySet,
    /// The file of an identity holds something else.
    #[error("not an identity file (32 bytes in base64url)")]
    Identity,
    /// Not a token of the expected form.
    #[error("ticket is malformed")]
    Malformed,
    /// Signed by a key that is not in the key set for this purpose.
    #[error("ticket is signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("ticket is forged")]
    Forged,
    /// Its time is over.
    #[error("ticket has expired")]
    Expired,
    /// Issued in the future by more than clocks may differ.
    #[error("ticket is not valid yet")]
    NotYet,
    /// It lives longer than its kind may.
    #[error("ticket lives longer than allowed")]
    Lifetime,
    /// It names another device's key.
    #[error("ticket belongs to another device")]
    OtherDevice,
    /// It was issued for another platform or purpose.
    #[error("ticket is for another platform")]
    Audience,
    /// Its account, node or session was revoked.
    #[error("ticket was revoked")]
    Revoked,
    /// It does not grant what was asked.
    #[error("channel is not in the ticket")]
    Channel,
}
