//! A node's part in one swarm: the engine, and what it must not hold itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segment::{Header, Layer, Shard, Verifier};
use swarm::{Arrival, Cause, Config, Engine, Input, Output, Time};
use ticket::{Location, PeerId, Role};

use super::driver::gather::Burst;
use super::mail::Shared;
use super::store::Store;
use super::wire::shard_head;
use super::{JoinSpec, NodeConfig, Played};

/// How long segments are kept beyond the playout delay: for those who start and those who repair.
const KEEP_MORE: Duration = Duration::from_secs(4);
/// The most partners of a viewer.
const VIEWER_PARTNERS: usize = 40;

/// One swarm.
pub(crate) struct Part {
    pub(crate) spec: JoinSpec,
    pub(crate) shared: Arc<Shared>,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    /// What stands before each of the swarm's shards on its stream.
    pub(crate) head: Bytes,
    /// What was pushed of the newest segment.
    pub(crate) burst: Burst,
    verifier: Verifier,
    /// When the engine is woken next, as it stands in the driver's table.
    pub(crate) wake: Option<Time>,
    /// It receives nothing any more.
    pub(crate) rests: bool,
    /// When its figures were told last.
    pub(crate) counted: Time,
}

/// What became of a shard that came in.
pub(crate) enum Judged {
    /// The channel's own, and kept.
    Good(Arrival),
    /// Not the channel's.
    Bad,
    /// The channel's, but not of the code that was joined: the headend was set up anew.
    Foreign,
}

impl Part {
    pub(crate) fn new(
        me: PeerId,
        node: &NodeConfig,
        location: Location,
        spec: JoinSpec,
        shared: Arc<Shared>,
        now: Time,
    ) -> Self {
        let keep = spec.playout_delay + KEEP_MORE;
        let partners = match node.role {
            Role::Viewer => node.max_connections.min(VIEWER_PARTNERS),
            _ => node.max_connections,
        };
        let config = Config {
            me,
            role: node.role,
            location,
            n: spec.coding.n(),
            k: spec.coding.full(),
            essential_k: spec.coding.essential().unwrap_or(spec.coding.full()),
            segment: spec.segment,
            playout_delay: spec.playout_delay,
            uplink: spec.uplink,
            max_pushed: spec.max_pushed,
            serve: spec.serve,
            max_spares: spec.max_spares,
            max_partners: partners.min(usize::from(u16::MAX)) as u16,
            keep,
        };
        let most = (keep.as_millis() / spec.segment.as_millis().max(1)) as usize * 2 + 64;
        Self {
            engine: Engine::new(config, seed(), now),
            store: Store::new(most),
            head: shard_head(spec.swarm),
            burst: Burst::default(),
            verifier: Verifier::new(spec.swarm, spec.key),
            spec,
            shared,
            wake: None,
            rests: false,
            counted: now,
        }
    }

    /// Proves and keeps a shard.
    pub(crate) fn take(&mut self, shard: Shard) -> Judged {
        let header = *shard.header();
        let arrival = Arrival {
            header,
            index: shard.index(),
            layers: shard.layers(),
            bytes: shard.wire().len() as u32,
        };
        match self.verifier.check(shard) {
            Err(_) => Judged::Bad,
            Ok(_) if !self.is_of_this_code(&header) => Judged::Foreign,
            Ok(proven) => {
                self.store.insert(proven);
                Judged::Good(arrival)
            }
        }
    }

    fn is_of_this_code(&self, header: &Header) -> bool {
        let coding = self.spec.coding;
        header.n == coding.n()
            && header.full.k == coding.full()
            && header.essential.map(|layer| layer.k) == coding.essential()
    }

    /// Keeps the shards of a segment that was sealed here.
    pub(crate) fn publish(&mut self, shards: Vec<Shard>) -> Option<Input> {
        let header = *shards.first()?.header();
        let shard_bytes = shards.first()?.wire().len() as u32;
        for shard in shards {
            if !matches!(self.take(shard), Judged::Good(_)) {
                tracing::error!("a segment to be published does not fit the swarm: it is dropped");
                return None;
            }
        }
        Some(Input::Published { header, shard_bytes })
    }

    /// Tells the engine, and gives what it wants done.
    pub(crate) fn handle(&mut self, now: Time, input: Input) -> VecDeque<Output> {
        self.engine.handle_input(now, input);
        std::iter::from_fn(|| self.engine.poll_output()).collect()
    }

    /// A segment for the player.
    pub(crate) fn played(
        &mut self,
        number: u64,
        layers: segment::LayerSet,
        due: tokio::time::Instant,
    ) -> Played {
        let mut sealed = |layer| {
            if layers.contains(layer) { self.store.sealed(number, layer) } else { None }
        };
        let (essential, full) = (sealed(Layer::Essential), sealed(Layer::Full));
        match self.store.header(number) {
            Some(header) if essential.is_some() || full.is_some() => {
                Played::Segment { header, essential, full, due }
            }
            // Shards that the channel signed and that are no code word.
            _ => Played::Missed { number, cause: Cause::SourceGap },
        }
    }
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    aws_lc_rs::rand::fill(&mut seed).expect("the system has random numbers");
    u64::from_le_bytes(seed)
}
