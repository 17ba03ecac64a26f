//! This machine's own addresses and its router, as the system tells them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::net::if_::InterfaceFlags;

/// The address from which packets to `to` would leave. No packet is sent.
pub(crate) fn source(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}

/// All addresses by which this machine may be reached from others.
pub(crate) fn all() -> Vec<IpAddr> {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let interfaces = interfaces.filter(|interface| {
        interface.flags.contains(up) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    let own = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    own.filter(|ip| is_usable(*ip)).collect()
}

fn is_usable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local)
}

/// The router of IPv4, if there is one.
pub(crate) fn router() -> Option<Ipv4Addr> {
    parse_routes(&std::fs::read_to_string("/proc/net/route").ok()?)
}

/// The default route's gateway; addresses are written as hexadecimal numbers of the machine's own byte order.
fn parse_routes(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let (destination, gateway) = (number(fields.next()?)?, number(fields.next()?)?);
        let address = Ipv4Addr::from(gateway.to_ne_bytes());
        (destination == 0 && !address.is_unspecified()).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_loopback_begins_there() {
        assert_eq!(source(([127, 0, 0, 1], 9).into()), Some(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn the_default_route_is_found() {
        let table = "Iface\tDestination\tGateway\tFlags\n\
                     eth0\t0001A8C0\t00000000\t0001\n\
                     eth0\t00000000\t0101A8C0\t0003\n";
        if cfg!(target_endian = "little") {
            assert_eq!(parse_routes(table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        }
        assert_eq!(parse_routes("Iface\nx\ty"), None);
        assert_eq!(parse_routes(""), None);
    }

    #[test]
    fn what_this_machine_has_is_usable() {
        assert!(all().into_iter().all(is_usable));
    }
}
