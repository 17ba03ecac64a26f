//! Shards that come in on a connection: one unidirectional stream each.

use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use quinn::RecvStream;
use segment::{Shard, SwarmId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::budget::{Budget, Hold};
use super::event::Event;
use super::wire::{MAX_SHARD, SHARD};

/// A stream that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Read from a stream at a time, bytes.
const CHUNK: usize = 64 << 10;

/// What a stream brought.
struct Brought {
    swarm: SwarmId,
    shard: Option<Shard>,
    hold: Hold,
}

/// Reads shards until the connection ends. What is not read fast enough waits at the sender.
pub(crate) async fn run(
    id: u64,
    quic: quinn::Connection,
    budget: Budget,
    events: mpsc::Sender<Event>,
) {
    let mut reading = FuturesUnordered::new();
    loop {
        tokio::select! {
            stream = quic.accept_uni() => match stream {
                Ok(stream) => reading.push(timeout(PATIENCE, one(stream, budget.hold()))),
                Err(_) => return,
            },
            Some(brought) = reading.next(), if !reading.is_empty() => {
                let Ok(Some(Brought { swarm, shard, hold })) = brought else { continue };
                let event = match shard {
                    Some(shard) => Event::Shard { id, swarm, shard: Box::new(shard), hold },
                    None => Event::Garbage { id, swarm },
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads one stream; `None` if there is no whole shard on it: it was given up by the sender, is of a
/// kind that is not known here, or there is no room for it.
async fn one(mut stream: RecvStream, mut hold: Hold) -> Option<Brought> {
    let mut head = [0; 17];
    stream.read_exact(&mut head).await.ok()?;
    let [kind, swarm @ ..] = head;
    if kind != SHARD {
        return None;
    }
    let mut wire = BytesMut::new();
    while let Some(chunk) = stream.read_chunk(CHUNK, true).await.ok()? {
        if wire.len() + chunk.bytes.len() > MAX_SHARD {
            return Some(Brought { swarm: SwarmId(swarm), shard: None, hold });
        }
        if !hold.grow(chunk.bytes.len()) {
            return None;
        }
        wire.extend_from_slice(&chunk.bytes);
    }
    let shard = Shard::decode(wire.freeze()).ok();
    Some(Brought { swarm: SwarmId(swarm), shard, hold })
}
