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

/// An address, and the length of its network's prefix, bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
}

impl Own {
    /// Whether another address is of the same network.
    pub(crate) fn is_beside(&self, other: IpAddr) -> bool {
        let shift = |bits: u32| bits - u32::from(self.prefix).min(bits);
        match (self.ip, other.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// All addresses by which this machine may be reached from others.
pub(crate) fn all() -> Vec<Own> {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let interfaces = interfaces.filter(|interface| {
        interface.flags.contains(up) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    let own = interfaces.filter_map(|interface| {
        let (address, mask) = (interface.address?, interface.netmask);
        if let Some(v4) = address.as_sockaddr_in() {
            let mask = mask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip().to_bits()));
            let prefix = mask.unwrap_or(u32::MAX).leading_ones() as u8;
            return Some(Own { ip: v4.ip().into(), prefix });
        }
        let v6 = address.as_sockaddr_in6()?.ip();
        let mask = mask.and_then(|mask| Some(mask.as_sockaddr_in6()?.ip().to_bits()));
        let prefix = mask.unwrap_or(u128::MAX).leading_ones() as u8;
        Some(Own { ip: v6.into(), prefix })
    });
    own.filter(|own| is_usable(own.ip)).collect()
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
    fn networks_end_where_their_prefix_says() {
        let own = |ip: &str, prefix| Own { ip: ip.parse().unwrap(), prefix };
        let beside = |own: Own, other: &str| own.is_beside(other.parse().unwrap());
        assert!(beside(own("192.168.1.2", 24), "192.168.1.200"));
        assert!(beside(own("192.168.1.2", 24), "::ffff:192.168.1.200"));
        assert!(!beside(own("192.168.1.2", 24), "192.168.2.2"));
        assert!(!beside(own("192.168.1.2", 32), "192.168.1.3"));
        assert!(beside(own("192.168.1.2", 0), "8.8.8.8"));
        assert!(beside(own("2001:db8::1", 64), "2001:db8::2"));
        assert!(!beside(own("2001:db8::1", 64), "2001:db8:0:1::2"));
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
        assert!(all().iter().all(|own| is_usable(own.ip) && own.is_beside(own.ip)));
    }
}
