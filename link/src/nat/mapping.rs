//! A port of the home's router, given to this node: by PCP (RFC 6887) or NAT-PMP (RFC 6886) where the router speaks
//! them, else by UPnP. Asked for once, renewed at half of its life, given back at the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{PortMappingProtocol, SearchOptions};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// For how long a port is asked for, seconds: a node that vanished does not keep it for long.
const LIFE: u32 = 3600;
/// A router that does not answer within this has none of it.
const SEARCH: Duration = Duration::from_secs(3);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_secs(60);
/// Giving back may take this long.
const GIVE_BACK: Duration = Duration::from_secs(1);
/// What routers show in their lists.
const NAME: &str = "Braidcast";

/// A port that was given.
enum Given {
    Pcp(PortMapping),
    Upnp { router: Gateway<Tokio>, local: SocketAddr, outside: SocketAddr },
}

/// Asks the router of `host`, at `router`, for a port that leads to `port`, and keeps it until `stop`. What others see
/// is told; nothing is told where there is no such router.
pub(crate) async fn keep(
    router: Ipv4Addr,
    host: Ipv4Addr,
    port: NonZeroU16,
    tell: watch::Sender<Option<SocketAddr>>,
    stop: CancellationToken,
) {
    let asked = stop.run_until_cancelled(ask(router, host, port)).await.flatten();
    let Some((mut given, outside)) = asked else { return };
    tracing::debug!("the router gave a port");
    tell.send_replace(Some(outside));
    let half = Duration::from_secs(u64::from(LIFE) / 2);
    let mut pause = given.life().map_or(half, |life| life / 2).max(AGAIN);
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        pause = match given.renew().await {
            Some(outside) => {
                tell.send_if_modified(|told| told.replace(outside) != Some(outside));
                half
            }
            None => AGAIN,
        };
    }
    tell.send_replace(None);
    if timeout(GIVE_BACK, given.give_back()).await.is_err() {
        tracing::debug!("the router does not take its port back; it lapses");
    }
}

async fn ask(router: Ipv4Addr, host: Ipv4Addr, port: NonZeroU16) -> Option<(Given, SocketAddr)> {
    match ask_pcp(router, host, port).await {
        Some(given) => Some(given),
        None => ask_upnp(host, port).await,
    }
}

async fn ask_pcp(
    router: Ipv4Addr,
    host: Ipv4Addr,
    port: NonZeroU16,
) -> Option<(Given, SocketAddr)> {
    let timeout_config = TimeoutConfig {
        initial_timeout: Duration::from_millis(250),
        max_retries: 2,
        max_retry_timeout: None,
    };
    let options = PortMappingOptions {
        external_port: Some(port),
        lifetime_seconds: Some(LIFE),
        timeout_config: Some(timeout_config),
    };
    let mapping =
        PortMapping::new(router.into(), host.into(), InternetProtocol::Udp, port, options).await;
    let mapping = mapping.inspect_err(|error| tracing::debug!(?error, "no port by PCP")).ok()?;
    let ip = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
        PortMappingType::NatPmp => {
            let ip = crab_nat::natpmp::external_address(router.into(), Some(timeout_config)).await;
            IpAddr::V4(ip.ok()?)
        }
    };
    let outside = SocketAddr::new(ip, mapping.external_port().get());
    Some((Given::Pcp(mapping), outside))
}

async fn ask_upnp(host: Ipv4Addr, port: NonZeroU16) -> Option<(Given, SocketAddr)> {
    let mut options = SearchOptions::default();
    options.bind_addr = SocketAddrV4::new(host, 0).into();
    options.timeout = Some(SEARCH);
    options.single_search_timeout = Some(SEARCH);
    let found = timeout(SEARCH + Duration::from_secs(1), search_gateway(options)).await.ok()?;
    let router = found.inspect_err(|error| tracing::debug!(%error, "no router with UPnP")).ok()?;
    let local = SocketAddr::new(host.into(), port.get());
    let outside = map_upnp(&router, local).await?;
    Some((Given::Upnp { router, local, outside }, outside))
}

/// The same port outside, or any.
async fn map_upnp(router: &Gateway<Tokio>, local: SocketAddr) -> Option<SocketAddr> {
    let (udp, port) = (PortMappingProtocol::UDP, local.port());
    let outside = match router.add_port(udp, port, local, LIFE, NAME).await {
        Ok(()) => SocketAddr::new(router.get_external_ip().await.ok()?, port),
        Err(_) => router.get_any_address(udp, local, LIFE, NAME).await.ok()?,
    };
    Some(outside)
}

impl Given {
    fn life(&self) -> Option<Duration> {
        match self {
            Self::Pcp(mapping) => Some(Duration::from_secs(mapping.lifetime().into())),
            Self::Upnp { .. } => None,
        }
    }

    /// Where the node is seen from now on; `None` if the router did not answer.
    async fn renew(&mut self) -> Option<SocketAddr> {
        match self {
            Self::Pcp(mapping) => {
                mapping.renew().await.ok()?;
                let ip = match mapping.mapping_type() {
                    PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
                    PortMappingType::NatPmp => {
                        let ip = crab_nat::natpmp::external_address(mapping.gateway(), None);
                        IpAddr::V4(ip.await.ok()?)
                    }
                };
                Some(SocketAddr::new(ip, mapping.external_port().get()))
            }
            Self::Upnp { router, local, outside } => {
                let udp = PortMappingProtocol::UDP;
                router.add_port(udp, outside.port(), *local, LIFE, NAME).await.ok()?;
                outside.set_ip(router.get_external_ip().await.ok()?);
                Some(*outside)
            }
        }
    }

    async fn give_back(self) {
        match self {
            Self::Pcp(mapping) => {
                if let Err((error, _)) = mapping.try_drop().await {
                    tracing::debug!(?error, "the port lapses by itself");
                }
            }
            Self::Upnp { router, outside, .. } => {
                let removed = router.remove_port(PortMappingProtocol::UDP, outside.port()).await;
                if let Err(error) = removed {
                    tracing::debug!(%error, "the port lapses by itself");
                }
            }
        }
    }
}
