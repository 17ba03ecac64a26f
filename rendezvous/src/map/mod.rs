//! The live map: who is where, in which swarms, and how each fares. Pure: no sockets, no clock of
//! its own, no random numbers but from a seed. All of it follows from what connected nodes say, so
//! that a restarted rendezvous has it again once they are back.
//!
//! [`Map`] is what the rest of the program sees. [`Memory`] keeps it in this process. Where several
//! servers serve one platform, each holds the whole map, and is fed with what the others hear
//! ([`Change`]; [`crate::shared`] carries them).

mod guide;
mod homes;
mod memory;
mod monitor;
mod publication;
mod sample;
mod share;
mod shown;
mod swarm;
mod view;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::swarm::{PeerHint, Time};
use link::nat::Reach;
use link::protocol::{
    ChannelInfo, Condition, EpochKey, Parameters, Publication, Schedule, SwarmReport,
};
use segment::SwarmId;
use serde::{Deserialize, Serialize};
use ticket::{Location, PeerId, Role};

pub use guide::{Kept, Listing};
pub use memory::Memory;
pub use monitor::{Monitor, Preview};
pub use publication::{Mismatch, is_plain};
pub use share::{Absorbed, Change, Instance, Record};
pub use view::{ByRole, Member, Summary};

/// A connected node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Who.
    pub peer: PeerId,
    /// What it does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
    /// Where it can be reached, best first, at most 4.
    pub addrs: Vec<SocketAddr>,
    /// Program and version.
    pub software: String,
    /// The address that it is seen at.
    pub seen: IpAddr,
    /// How far it can be reached, as it last said.
    pub reach: Reach,
}

/// Names one connection of a node: a later one has a greater number and takes its place. About the
/// microseconds since 1970 when it began, so that servers that share a map agree where a node is.
pub type Connection = u64;

/// Bounds of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The most renditions on air, and the most channels in the line-up.
    pub swarms: usize,
    /// The most swarms that one viewer takes part in.
    pub swarms_per_viewer: usize,
    /// The most swarms that one headend or repeater takes part in.
    pub swarms_per_server: usize,
    /// A rendition whose last headend was lost goes off air after so long.
    pub off_air_after: Duration,
}

/// Why something cannot be entered in the map.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The node is not connected (any more).
    #[error("not connected")]
    Unknown,
    /// There is no such swarm.
    #[error("no such swarm")]
    NoSuchSwarm,
    /// The node takes part in as many swarms as it may.
    #[error("a node may take part in {0} swarms")]
    TooManySwarms(usize),
    /// There are as many renditions as there may be.
    #[error("this platform carries at most {0} renditions")]
    Full(usize),
    /// A publication does not fit.
    #[error(transparent)]
    Publication(#[from] Mismatch),
}

/// What a publication changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// The swarm.
    pub swarm: SwarmId,
    /// Whether the line-up is another now.
    pub line_up: bool,
    /// Whether there are content keys that were not there before.
    pub keys: bool,
}

/// What a report adds to what is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Media bytes received since the last report: from headends, repeaters, viewers.
    pub received: [u64; 3],
    /// Stalls since the last report.
    pub stalls: u32,
}

/// The live map.
pub trait Map: Send {
    /// A node has connected; an earlier connection of it is forgotten with all it said.
    fn arrive(&mut self, now: Time, connection: Connection, node: Node);
    /// A connection has ended. Does nothing if the node is back on a later one.
    fn depart(&mut self, now: Time, connection: Connection, peer: PeerId);
    /// Something came from the node.
    fn heard(&mut self, now: Time, peer: PeerId);
    /// A headend publishes a rendition, or renews its publication; it takes part in the swarm.
    ///
    /// # Errors
    /// If it contradicts another headend's, is out of bounds, or there are too many.
    fn publish(
        &mut self,
        now: Time,
        peer: PeerId,
        publication: Publication,
    ) -> Result<Published, Error>;
    /// The swarm of a rendition on air; `None` for the rendition: the best.
    fn resolve(&self, channel: &str, rendition: Option<&str>) -> Option<SwarmId>;
    /// The channel of a swarm that is known.
    fn channel_of(&self, swarm: SwarmId) -> Option<&str>;
    /// The parameters of a swarm that is known, and its content keys: secret.
    fn publication(&self, swarm: SwarmId) -> Option<(Parameters, Vec<EpochKey>)>;
    /// A node takes part in a swarm. Doing so twice does no harm.
    ///
    /// # Errors
    /// If there is no such swarm, or the node is in too many.
    fn join(&mut self, now: Time, peer: PeerId, swarm: SwarmId) -> Result<(), Error>;
    /// A node takes part no longer.
    fn leave(&mut self, now: Time, peer: PeerId, swarm: SwarmId);
    /// Whether the node takes part in the swarm.
    fn takes_part(&self, peer: PeerId, swarm: SwarmId) -> bool;
    /// The swarms that a node takes part in.
    fn swarms_of(&self, peer: PeerId) -> Vec<SwarmId>;
    /// How a node fares in a swarm that it takes part in; `None` if it does not.
    fn report(&mut self, now: Time, peer: PeerId, report: SwarmReport) -> Option<Progress>;
    /// A headend tells how a channel fares; passed over unless it publishes the channel.
    fn condition(&mut self, now: Time, peer: PeerId, condition: Condition);
    /// A headend shows what a channel shows, as JPEG; passed over unless it publishes the channel.
    fn preview(&mut self, now: Time, peer: PeerId, channel: String, jpeg: Vec<u8>);
    /// A headend tells what the source of a channel says is on; passed over unless it publishes the channel. Gives
    /// whether that is otherwise than before.
    fn on_air(&mut self, now: Time, peer: PeerId, schedule: Schedule) -> bool;
    /// A headend says what became of an order.
    fn done(&mut self, now: Time, peer: PeerId, number: u64, problem: Option<String>);
    /// All headends that are connected, wherever.
    fn headends(&self) -> Vec<Node>;
    /// What headends told of their channels.
    fn monitor(&self) -> &Monitor;
    /// The headends that publish a channel.
    fn publishers(&self, channel: &str) -> Vec<PeerId>;
    /// Peers for a node, best first; see [`crate::rank`].
    fn find(&mut self, now: Time, peer: PeerId, swarm: SwarmId) -> Vec<PeerHint>;
    /// How far a node can be reached from now on.
    fn reached(&mut self, peer: PeerId, reach: Reach);
    /// Viewers of the swarm that are seen at the same address as this one, so perhaps of one home.
    fn neighbours(&self, now: Time, peer: PeerId, swarm: SwarmId) -> Vec<PeerHint>;
    /// Where two viewers are seen, if they take part in one swarm and may meet.
    fn introduce(&self, from: PeerId, to: PeerId) -> Option<(IpAddr, IpAddr)>;
    /// Those who take part in a swarm in one role.
    fn members(&self, swarm: SwarmId, role: Role) -> Vec<PeerId>;
    /// Lets go of what is over; to be called every second. Gives whether the line-up is another now.
    fn tick(&mut self, now: Time) -> bool;
    /// All channels, in order of number.
    fn line_up(&self) -> Vec<ChannelInfo>;
    /// The places of channels in the line-up, to outlast a restart.
    fn kept(&self) -> Vec<Kept>;
    /// All swarms, in order of channel and rendition.
    fn summaries(&self, now: Time) -> Vec<Summary>;
    /// The account that a connected node is signed in with.
    fn belongs(&mut self, peer: PeerId, account: &str);
    /// Nodes of the account that take part in something and were heard of lately, in the order in
    /// which they came.
    fn playing(&self, now: Time, account: &str) -> Vec<PeerId>;
    /// What a node last reported of a swarm.
    fn report_of(&self, peer: PeerId, swarm: SwarmId) -> Option<SwarmReport>;
    /// The connection of a node, wherever it is.
    fn connection_of(&self, peer: PeerId) -> Option<Connection>;
    /// The other server that a node is connected to; `None`: it is here, or nowhere.
    fn elsewhere(&self, peer: PeerId) -> Option<Instance>;
    /// What is otherwise since the last call of the nodes that are connected here, for other servers.
    fn changes(&mut self, now: Time) -> Vec<Change>;
    /// All of the nodes that are connected here, for a server that knows nothing yet.
    fn everything(&self, now: Time) -> Vec<Change>;
    /// Another server has said this.
    fn absorb(&mut self, now: Time, from: Instance, change: Change) -> Absorbed;
    /// The nodes of another server are no longer there, but those in `but`.
    fn forget(&mut self, now: Time, from: Instance, but: Option<&HashSet<PeerId>>);
    /// Other servers cannot be heard: their headends and repeaters count as there meanwhile.
    fn hold(&mut self, now: Time);
    /// One member of a swarm.
    fn member(&self, now: Time, swarm: SwarmId, peer: PeerId) -> Option<Member>;
    /// At most `most` members of a swarm after the first `skip`, in order of id.
    fn details(&self, now: Time, swarm: SwarmId, skip: usize, most: usize) -> Option<Vec<Member>>;
}
