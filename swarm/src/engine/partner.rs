//! What is known of a connected peer.

use std::collections::BTreeMap;

use ticket::{Nearness, ShortId};

use crate::{Availability, PeerInfo, Substreams, Time};

/// A connected peer.
#[derive(Debug)]
pub(super) struct Partner {
    pub(super) info: PeerInfo,
    pub(super) short: ShortId,
    pub(super) nearness: Nearness,
    pub(super) since: Time,
    /// Whether its hello has come.
    pub(super) met: bool,
    /// What it offers, by sub-stream.
    pub(super) offers: BTreeMap<u8, Availability>,
    /// When its newest numbers were told.
    pub(super) told: Time,
    /// How many more sub-streams it would push, as last told, less what was asked since.
    pub(super) free: u16,
    pub(super) lag_ms: u32,
    /// When anything last came from it.
    pub(super) heard: Time,
    /// When it last answered a question: a probe, a search, a subscription.
    pub(super) answered: Option<Time>,
    /// The probe without an answer yet.
    pub(super) probe: Option<(u32, Time)>,
    /// When it was last searched.
    pub(super) searched: Option<Time>,
    /// Not asked for sub-streams before this.
    pub(super) back_off: Time,
    /// Demerits; they fade with time.
    pub(super) demerits: u32,
    /// What it may still ask for now: shards to pull or to be burst.
    pub(super) allowance: u32,
    pub(super) allowance_at: Time,
    /// Questions beyond that.
    pub(super) excess: u32,
    /// Announcements to it: what was told last.
    pub(super) told_it: Substreams,
    /// When quality was last complained of.
    pub(super) complained: Option<Time>,
    /// Pulls that it refused of late.
    pub(super) refusals: u16,
    /// Shards asked of it that are on their way.
    pub(super) outstanding: u16,
}

impl Partner {
    pub(super) fn new(info: PeerInfo, short: ShortId, nearness: Nearness, now: Time) -> Self {
        Self {
            info,
            short,
            nearness,
            since: now,
            met: false,
            offers: BTreeMap::new(),
            told: now,
            free: 0,
            lag_ms: 0,
            heard: now,
            answered: None,
            probe: None,
            searched: None,
            back_off: now,
            demerits: 0,
            allowance: 256,
            allowance_at: now,
            excess: 0,
            told_it: Substreams::NONE,
            complained: None,
            refusals: 0,
            outstanding: 0,
        }
    }

    /// The newest segment that it holds something of, as told.
    pub(super) fn newest(&self) -> Option<u64> {
        self.offers.values().map(|offer| offer.newest).max()
    }
}
