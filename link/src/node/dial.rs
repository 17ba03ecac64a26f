//! Finding a peer at one of its addresses.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use swarm::ConnectError;
use ticket::PeerId;
use tokio::time::sleep;

use super::clock::Clock;
use super::hello::{self, Failure, Met, Words};
use super::policy::Policy;
use crate::endpoint::{Connection, ConnectionError, Endpoint, Purpose};
use crate::nat::Broker;

/// The next address is tried this much later (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried.
const MOST: usize = 4;

/// Tries the addresses one after the other, overlapping; the first that answers is taken.
pub(crate) async fn first(
    endpoint: &Endpoint,
    addrs: &[SocketAddr],
    peer: PeerId,
    purpose: Purpose,
) -> Result<Connection, ConnectionError> {
    let mut tries: FuturesUnordered<_> = (0u32..)
        .zip(addrs.iter().take(MOST))
        .map(|(i, addr)| async move {
            sleep(STAGGER * i).await;
            endpoint.connect(*addr, peer, purpose).await
        })
        .collect();
    let mut worst = ConnectionError::Unreachable;
    while let Some(result) = tries.next().await {
        match result {
            Ok(connection) => return Ok(connection),
            Err(error @ ConnectionError::Refused(_)) => worst = error,
            Err(error) if worst == ConnectionError::Unreachable => worst = error,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// Finds a way to a viewer, and dials it there.
pub(crate) async fn viewer(
    endpoint: &Endpoint,
    broker: &Broker,
    peer: PeerId,
) -> Result<Connection, ConnectionError> {
    let way = broker.meet(peer).await.ok_or(ConnectionError::Unreachable)?;
    endpoint.connect_over(way, peer, Purpose::Peers).await
}

/// Shows the ticket to who was dialled and asks for swarms.
pub(crate) async fn greet(
    dialled: Result<Connection, ConnectionError>,
    peer: PeerId,
    words: Words,
    policy: &Policy,
    clock: &Clock,
) -> Result<Met, ConnectError> {
    let failure = match dialled {
        Ok(connection) => match hello::dial(connection, words, policy, clock).await {
            Ok(met) => return Ok(met),
            Err(failure) => failure,
        },
        Err(error) => Failure::Theirs(error),
    };
    match failure {
        Failure::Theirs(ConnectionError::Refused(reason)) => {
            tracing::info!(?peer, reason, "refused by peer");
            Err(ConnectError::Refused)
        }
        Failure::Ours(reason) => {
            tracing::info!(?peer, reason, "peer refused");
            Err(ConnectError::Refused)
        }
        Failure::Theirs(error) => {
            tracing::debug!(?peer, %error, "peer cannot be had");
            Err(ConnectError::Unreachable)
        }
    }
}
