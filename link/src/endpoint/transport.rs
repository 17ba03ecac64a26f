//! QUIC's settings, and why.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, hmac, rand};
use quinn::congestion::CubicConfig;
use quinn::{
    AckFrequencyConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout,
    TransportConfig, VarInt,
};
use ticket::Identity;

use super::congestion::BoundedConfig;
use crate::tcp::Watching;
use crate::uplink::{AT_ONCE, LATER, PoliteConfig, Uplink};

/// After this long without a packet a connection is dead. Parents that fall silent are replaced by
/// the engine long before; this cleans up.
const IDLE: VarInt = VarInt::from_u32(6_000);
/// An idle connection says this often that it lives; also keeps a NAT's mapping.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// The same of a node at rendezvous, which it tells every 2 s how it is while it is in a swarm: only who is in none pings.
const KEEP_SESSION: Duration = Duration::from_secs(4);
/// Before the first measurement. The RFC's 333 ms would make a lost first packet cost a second.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Shards that a peer may have under way to us at one time, once it is known that it may feed us.
pub(crate) const STREAMS: VarInt = VarInt::from_u32(256);
/// The same before. QUIC keeps a place for each from the start, for a child that never sends a shard too.
const FEW_STREAMS: VarInt = VarInt::from_u32(16);
/// Media per connection that we take in before it is read, bytes: a burst of 2 s at 16 Mbit/s.
const RECEIVE_WINDOW: VarInt = VarInt::from_u32(4 << 20);
/// The same for one stream: a shard.
const STREAM_WINDOW: VarInt = VarInt::from_u32(1 << 20);
/// What a connection keeps of us that is not acknowledged, bytes. Less than our own queue's age
/// limit at low rates, enough for 100 Mbit/s over 80 ms.
const SEND_WINDOW: u64 = 1 << 20;
/// Congestion window at first, bytes: a sender that pauses between segments never grows it, and a
/// burst paced by round trips is late.
const INITIAL_WINDOW: u64 = 256 << 10;

/// Which end of what a connection is: it says who pings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Either end between peers.
    Peer,
    /// A node's at rendezvous.
    Member,
    /// That of rendezvous, which has tens of thousands: it leaves pinging to them.
    Host,
}

/// Settings of every connection; of a node whose home comes first, with its uplink. Who is watched is watched as long
/// as a connection has these settings. `rtt` is the round trip if it was measured already.
pub(crate) fn transport(
    end: End,
    uplink: Option<&Arc<Uplink>>,
    watching: Option<Watching>,
    rtt: Option<Duration>,
) -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    // One acknowledgement for two or three shards: a server reads those of all its children. A home's uplink is slow and
    // listened to: more often.
    let (unacknowledged, delay) = match uplink {
        Some(_) => (AT_ONCE - 1, LATER),
        None => (32, Duration::from_millis(25)),
    };
    acks.ack_eliciting_threshold(VarInt::from_u32(unacknowledged)).max_ack_delay(Some(delay));
    let mut cubic = CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW);
    let cubic = Arc::new(cubic);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(IDLE)))
        .keep_alive_interval(match end {
            End::Peer => Some(KEEP_ALIVE),
            End::Member => Some(KEEP_SESSION),
            End::Host => None,
        })
        .initial_rtt(rtt.unwrap_or(INITIAL_RTT))
        .max_concurrent_uni_streams(FEW_STREAMS)
        // One control stream each, opened by the dialler.
        .max_concurrent_bidi_streams(VarInt::from_u32(2))
        .receive_window(RECEIVE_WINDOW)
        .stream_receive_window(STREAM_WINDOW)
        .send_window(SEND_WINDOW)
        // A whole shard is of use, halves of two are not: streams of one priority go in turn.
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .ack_frequency_config(Some(acks))
        .congestion_controller_factory(match uplink {
            Some(uplink) => {
                let inner = cubic;
                Arc::new(PoliteConfig { inner, uplink: uplink.clone(), _watching: watching })
            }
            // A home's uplink finds out by itself what it carries.
            None => Arc::new(BoundedConfig { cubic }),
        });
    Arc::new(config)
}

/// Settings of the endpoint. What a restarted node needs to disown the connections of its former
/// life (RFC 9000 section 10.3) follows from its identity: the others notice at their next packet.
pub(crate) fn endpoint(identity: &Identity) -> EndpointConfig {
    let mut secret = digest::Context::new(&digest::SHA256);
    secret.update(b"braidcast 2026 stateless reset");
    secret.update(&identity.to_pkcs8());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.finish().as_ref());
    let mut config = EndpointConfig::new(Arc::new(key));
    config
        // Other protocols on the socket are told apart by the first byte (RFC 9443).
        .grease_quic_bit(false)
        .min_reset_interval(Duration::from_millis(1))
        .cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids that say nothing.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        rand::fill(&mut id).expect("the system has random numbers");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
