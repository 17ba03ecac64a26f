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
use crate::nat::{Broker, source};

/// The next address is tried this much later (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried.
const MOST: usize = 4;
/// Of so many, those to which there is a way.
const LOOKED_AT: usize = 16;

/// Tries the addresses one after the other, overlapping; the first that answers is taken.
pub(crate) async fn first(
    endpoint: &Endpoint,
    addrs: &[SocketAddr],
    peer: PeerId,
    purpose: Purpose,
) -> Result<Connection, ConnectionError> {
    let addrs = in_order(addrs, |addr| source(addr).is_some());
    let mut tries: FuturesUnordered<_> = (0u32..)
        .zip(addrs.into_iter().take(MOST))
        .map(|(i, addr)| async move {
            sleep(STAGGER * i).await;
            endpoint.connect(addr, peer, purpose).await
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

/// Addresses to which there is no way come last: a home with IPv6 alone does not wait for those of IPv4.
fn in_order(addrs: &[SocketAddr], has_way: impl Fn(SocketAddr) -> bool) -> Vec<SocketAddr> {
    let mut addrs = addrs[..addrs.len().min(LOOKED_AT)].to_vec();
    // One address is tried in any case.
    if addrs.len() > 1 {
        addrs.sort_by_cached_key(|addr| !has_way(*addr));
    }
    addrs
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_has_no_way_to_is_tried_last() {
        let addrs = ["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1", "[2001:db8::2]:1"];
        let addrs = addrs.map(|text| text.parse::<SocketAddr>().unwrap());
        let [a, b, c, d] = addrs;
        assert_eq!(in_order(&addrs, |addr| addr.is_ipv6()), [b, d, a, c]);
        assert_eq!(in_order(&addrs, |_| true), addrs);
        assert_eq!(in_order(&addrs, |_| false), addrs, "they are tried all the same");
        assert_eq!(in_order(&addrs[..1], |_| panic!("nobody asks")), [a]);
    }
}
