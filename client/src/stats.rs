//! The figures that `--stats-json` and `/stats.json` give: numbers, in milliseconds and bytes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use link::NodeStats;
use serde::Serialize;
use swarm::{ByRole, Cause, ParentStats};
use ticket::{Country, Role};

use crate::channel::Running;

/// One JSON object. The fields' names are an interface; more may be added.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Stats {
    /// What is played.
    pub channel: String,
    /// The rendition's name; empty as long as nothing is joined.
    pub rendition: String,
    /// Shards that rebuild everything.
    pub k: u8,
    /// Sub-streams.
    pub n: u8,
    /// From the command (or the choice of channel) to the first playable segment; 0 as long as there was none.
    pub startup_ms: u64,
    /// From the choice of channel to its first picture on the screen; 0 without a window.
    pub picture_ms: u64,
    /// Runs of segments that could not be played whole in time.
    pub stalls: u64,
    /// Media time in them.
    pub stall_ms: u64,
    /// Stalls by cause.
    pub stall_causes: BTreeMap<&'static str, u64>,
    /// Capture to playout, now.
    pub lag_ms: u64,
    /// Newest segment's capture time minus that of the one playing.
    pub behind_edge_ms: u64,
    /// Segments.
    pub segments: Segments,
    /// Media bytes in, by the sender's role.
    pub bytes_in: Roles,
    /// Media bytes sent to others.
    pub bytes_out: u64,
    /// Bytes of messages other than shards, both ways, without transport headers.
    pub control_bytes: u64,
    /// Everything on the socket, transport headers included.
    pub wire_bytes: Wire,
    /// Shards that failed their proof.
    pub rejected_shards: u64,
    /// Sub-streams moved to another parent.
    pub failovers: u64,
    /// The longest gap of such a sub-stream beyond the normal spacing of shards.
    pub failover_ms_max: u64,
    /// Sub-streams now active.
    pub substreams: Vec<Substream>,
    /// Probed standby peers.
    pub standby: u32,
    /// Peers connected in the swarm.
    pub partners: u32,
    /// Sub-streams pushed to others now.
    pub pushed: u32,
    /// Bytes of shards that were already held.
    pub duplicate_bytes: u64,
    /// Segment numbers seen with two roots.
    pub conflicts: u64,
    /// Readers of the played channel on the local address.
    pub readers: u64,
}

/// Segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Segments {
    /// Played, whole or sound alone.
    pub played: u64,
    /// Not played.
    pub lost: u64,
    /// Played and needed at least one parity shard.
    pub rebuilt: u64,
    /// Played with tables and sound alone.
    pub sound_only: u64,
}

/// Bytes by role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Roles {
    /// The headend.
    pub headend: u64,
    /// Repeaters.
    pub repeater: u64,
    /// Viewers.
    pub viewer: u64,
}

/// Bytes on the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Wire {
    /// Received.
    #[serde(rename = "in")]
    pub received: u64,
    /// Sent.
    #[serde(rename = "out")]
    pub sent: u64,
}

/// A sub-stream that flows in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Substream {
    /// Which.
    pub index: u8,
    /// Who pushes it.
    pub parent: String,
    /// What that peer does.
    pub role: Role,
    /// Where it is; null if not known.
    pub subset: Option<u32>,
    /// Its autonomous system; null if not known.
    pub asn: Option<u32>,
    /// Its country; null if not known.
    pub country: Option<Country>,
}

impl Stats {
    /// The figures of `channel`, asked for at `since`.
    pub fn new(
        channel: String,
        since: Option<Instant>,
        running: Option<&Running>,
        wire: NodeStats,
    ) -> Self {
        let counts = running.map(Running::counts).unwrap_or_default();
        let causes = counts.stall_causes();
        let first = running.and_then(|running| *running.first().borrow());
        let startup = first.zip(since).map(|(first, since)| first.saturating_duration_since(since));
        let swarm = counts.swarm;
        let rendition = running.map(Running::rendition);
        Self {
            channel,
            k: rendition.as_ref().map_or(0, |(_, coding)| coding.full()),
            n: rendition.as_ref().map_or(0, |(_, coding)| coding.n()),
            rendition: rendition.map(|(name, _)| name).unwrap_or_default(),
            startup_ms: startup.map_or(0, |startup| millis(startup).max(1)),
            picture_ms: 0,
            stalls: swarm.stalls + counts.unopened_runs,
            stall_ms: millis(swarm.stalled + counts.unopened_time),
            stall_causes: causes.iter().map(|(cause, count)| (name(*cause), *count)).collect(),
            lag_ms: millis(swarm.lag),
            behind_edge_ms: millis(swarm.behind_edge),
            segments: Segments {
                played: swarm.played.saturating_sub(counts.unopened),
                lost: swarm.lost + counts.unopened,
                rebuilt: swarm.rebuilt,
                sound_only: counts.sound_only,
            },
            bytes_in: swarm.bytes_in.into(),
            bytes_out: sum(swarm.bytes_out),
            control_bytes: swarm.control_bytes,
            wire_bytes: Wire { received: wire.wire_in, sent: wire.wire_out },
            rejected_shards: swarm.rejected_shards,
            failovers: swarm.failovers,
            failover_ms_max: millis(swarm.failover_max),
            substreams: swarm.substreams.into_iter().map(Substream::from).collect(),
            standby: swarm.standby,
            partners: swarm.partners,
            pushed: swarm.pushed,
            duplicate_bytes: swarm.duplicate_bytes,
            conflicts: swarm.conflicts,
            readers: running.map_or(0, |running| running.hub().readers() as u64),
        }
    }
}

/// A cause's name in figures.
fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::ParentLeft => "parent_left",
        Cause::UplinkFull => "uplink_full",
        Cause::Nat => "nat",
        Cause::SourceGap => "source_gap",
        Cause::Downlink => "downlink",
        Cause::Decoder => "decoder",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn sum(bytes: ByRole) -> u64 {
    bytes.headend + bytes.repeater + bytes.viewer
}

impl From<ByRole> for Roles {
    fn from(bytes: ByRole) -> Self {
        Self { headend: bytes.headend, repeater: bytes.repeater, viewer: bytes.viewer }
    }
}

impl From<ParentStats> for Substream {
    fn from(parent: ParentStats) -> Self {
        let location = parent.location;
        Self {
            index: parent.index,
            parent: parent.parent.to_string(),
            role: parent.role,
            subset: location.subset,
            asn: location.asn,
            country: location.country,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_interface_is_there_and_a_number() {
        let stats = Stats::new("one".into(), None, None, NodeStats::default());
        let json = serde_json::to_value(&stats).unwrap();
        for field in [
            "k",
            "n",
            "startup_ms",
            "stalls",
            "stall_ms",
            "lag_ms",
            "behind_edge_ms",
            "bytes_out",
            "control_bytes",
            "rejected_shards",
            "failovers",
            "failover_ms_max",
            "standby",
        ] {
            assert!(json[field].is_u64(), "{field} in {json}");
        }
        for (object, fields) in [
            ("segments", &["played", "lost", "rebuilt"][..]),
            ("bytes_in", &["headend", "repeater", "viewer"]),
            ("wire_bytes", &["in", "out"]),
        ] {
            fields
                .iter()
                .for_each(|field| assert!(json[object][field].is_u64(), "{object}.{field}"));
        }
        assert!(json["stall_causes"].is_object() && json["substreams"].is_array());
        assert!(json["channel"].is_string() && json["rendition"].is_string());
    }

    #[test]
    fn a_substream_names_its_parent_and_where_that_is() {
        let location = ticket::Location { subset: Some(7), asn: None, country: "ch".parse().ok() };
        let parent = ticket::PeerId([3; 32]);
        let stats = ParentStats { index: 4, parent, role: Role::Repeater, location };
        let json = serde_json::to_value(Substream::from(stats)).unwrap();
        assert_eq!(json["index"], 4);
        assert_eq!(json["parent"], parent.to_string());
        assert_eq!(
            (json["role"].as_str(), json["country"].as_str()),
            (Some("repeater"), Some("CH"))
        );
        assert_eq!(json["subset"], 7);
        assert!(json["asn"].is_null());
    }
}
