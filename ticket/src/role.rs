//! What a node does in the system.

use serde::{Deserialize, Serialize};

/// The part a node plays. Carried in tickets, so that nobody can claim another's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes a source in and seeds its shards.
    Headend,
    /// Fans sub-streams out.
    Repeater,
    /// Plays, and forwards.
    Viewer,
    /// Gives peers, channel tickets and keys.
    Rendezvous,
}
