//! This machine's own addresses and its router, as the system tells them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use aws_lc_rs::digest;
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

/// Whether an address is of this machine's own network at home: on the same line as one of its interfaces, and of IPv4 one
/// that the internet does not know. What is only routed there, as between homes behind one provider's router, is not.
pub(crate) fn is_at_home(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    // Between a home's router and its provider's, all who are near are strangers (RFC 6598).
    if matches!(ip, IpAddr::V4(v4) if !v4.is_private() && !v4.is_link_local()) {
        return false;
    }
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let Ok(mut interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces.any(|interface| {
        let lan = interface.flags.contains(up | InterfaceFlags::IFF_BROADCAST)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let (Some(own), Some(mask)) = (interface.address, interface.netmask) else { return false };
        let v4 = || Some((own.as_sockaddr_in()?.ip(), mask.as_sockaddr_in()?.ip()));
        let v6 = || Some((own.as_sockaddr_in6()?.ip(), mask.as_sockaddr_in6()?.ip()));
        let near = match ip {
            IpAddr::V4(ip) => v4().is_some_and(|(own, mask)| near_v4(ip, own, mask)),
            IpAddr::V6(ip) => v6().is_some_and(|(own, mask)| near_v6(ip, own, mask)),
        };
        lan && near
    })
}

fn near_v4(ip: Ipv4Addr, own: Ipv4Addr, mask: Ipv4Addr) -> bool {
    u32::from(mask) != 0 && (u32::from(ip) ^ u32::from(own)) & u32::from(mask) == 0
}

/// Links of IPv6 are of 64 bits; a shorter prefix is many homes'.
fn near_v6(ip: Ipv6Addr, own: Ipv6Addr, mask: Ipv6Addr) -> bool {
    let mask = u128::from(mask);
    mask.leading_ones() >= 64 && (u128::from(ip) ^ u128::from(own)) & mask == 0
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

/// A name for the network that this machine is in, the same whenever it is in it: made of its router's address and the number
/// that is burnt into it, which it does not give away. Where IPv6 is alone, of the router's address on the line and the
/// prefix that it gives out. `None` where the system does not tell.
pub fn network() -> Option<String> {
    let read = |file| std::fs::read_to_string(file).ok();
    match router() {
        Some(router) => network_of(router, &read("/proc/net/arp")?),
        None => network_of_v6(&read("/proc/net/ipv6_route")?),
    }
}

fn network_of(router: Ipv4Addr, neighbours: &str) -> Option<String> {
    let number = neighbours.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let ip: Ipv4Addr = fields.next()?.parse().ok()?;
        let number = fields.nth(2)?;
        // Not answered yet.
        (ip == router && !number.trim_matches(['0', ':']).is_empty()).then(|| number.to_owned())
    })?;
    Some(name_of(&router.octets(), number.as_bytes()))
}

/// Most routers' address on the line holds a number that is burnt into them, and some all have the same: then the prefix
/// tells them apart.
fn network_of_v6(routes: &str) -> Option<String> {
    let routes: Vec<Route> = routes.lines().filter_map(Route::parse).collect();
    let router =
        routes.iter().find(|route| route.length == 0 && !route.gateway.is_unspecified())?;
    let on_the_line = routes.iter().filter(|route| {
        let to = route.to;
        let global = !(to.is_unicast_link_local() || to.is_multicast() || to.is_loopback());
        route.device == router.device
            && route.gateway.is_unspecified()
            && (1..=64).contains(&route.length)
            && global
    });
    // One of the home's own (RFC 4193) if there is one: a provider gives others now and then.
    let prefix = on_the_line.map(|route| route.to).max()?;
    Some(name_of(&router.gateway.octets(), &prefix.octets()[..8]))
}

fn name_of(router: &[u8], number: &[u8]) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    digest.update(b"braidcast 2026 network");
    digest.update(router);
    digest.update(number);
    digest.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of the system's table of IPv6 routes.
struct Route<'a> {
    to: Ipv6Addr,
    /// Of `to`, in bits.
    length: u8,
    gateway: Ipv6Addr,
    device: &'a str,
}

impl<'a> Route<'a> {
    /// Numbers are hexadecimal: destination, its length, source, its length, gateway, metric, uses, references, flags.
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[to, length, _, _, gateway, _, _, _, flags, device] = fields.as_slice() else {
            return None;
        };
        let address = |text| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // Those that are in use, and are not this machine's own address or a refusal.
        let usable = flags & ROUTE_UP != 0 && flags & (ROUTE_LOCAL | ROUTE_REJECT) == 0;
        let length = u8::from_str_radix(length, 16).ok()?;
        usable.then_some(Self { to: address(to)?, length, gateway: address(gateway)?, device })
    }
}

/// Flags of routes (`RTF_UP`, `RTF_REJECT`, `RTF_LOCAL`).
const ROUTE_UP: u32 = 1;
const ROUTE_REJECT: u32 = 0x200;
const ROUTE_LOCAL: u32 = 0x8000_0000;

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
    fn what_is_on_the_same_line_is_at_home() {
        let v4 = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        let mask = v4("255.255.255.0");
        assert!(near_v4(v4("192.168.1.7"), v4("192.168.1.2"), mask));
        assert!(!near_v4(v4("192.168.2.7"), v4("192.168.1.2"), mask));
        assert!(!near_v4(v4("192.168.1.7"), v4("192.168.1.2"), v4("0.0.0.0")));
        let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let (own, mask) = (v6("2001:db8:0:1::2"), v6("ffff:ffff:ffff:ffff::"));
        assert!(near_v6(v6("2001:db8:0:1::9"), own, mask));
        assert!(!near_v6(v6("2001:db8:0:2::9"), own, mask));
        assert!(!near_v6(v6("2001:db8:0:2::9"), own, v6("ffff:ffff::")));
        // Strangers, wherever this runs: the internet, a provider's own network, this machine itself.
        for stranger in ["198.51.100.7", "100.64.0.7", "127.0.0.1", "::1", "2001:db8:99::1"] {
            assert!(!is_at_home(stranger.parse().unwrap()), "{stranger}");
        }
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
    fn networks_are_told_apart_by_their_routers() {
        let table = |number: &str| {
            format!(
                "IP address       HW type     Flags       HW address            Mask     Device\n\
                 192.168.1.9      0x1         0x2         02:00:00:00:00:09     *        eth0\n\
                 192.168.1.1      0x1         0x2         {number}     *        eth0\n"
            )
        };
        let name = |ip: [u8; 4], number: &str| network_of(ip.into(), &table(number));
        let (router, number) = ([192, 168, 1, 1], "02:00:00:00:00:01");
        let here = name(router, number).unwrap();
        assert_eq!((here.len(), Some(&here)), (16, name(router, number).as_ref()));
        assert!(!here.contains("0200000000"));
        assert_ne!(name(router, "02:00:00:00:00:02"), Some(here), "another router");
        assert_eq!(name(router, "00:00:00:00:00:00"), None, "not known yet");
        assert_eq!(name([192, 168, 1, 2], number), None);
        assert_eq!(network_of(router.into(), "x"), None);
    }

    #[test]
    fn networks_of_ipv6_alone_are_told_apart_by_router_and_prefix() {
        let none = "00000000000000000000000000000000";
        let route = |to: &str, length: &str, gateway: &str, flags: &str, device: &str| {
            format!(
                "{to} {length} {none} 00 {gateway} 00000100 00000001 00000000 {flags} {device}\n"
            )
        };
        let table = |prefix: &str, router: &str| {
            let line = "fe800000000000000000000000000000";
            let other = "20010db8000900000000000000000000";
            [
                route(line, "40", none, "00000001", "eth0"),
                route(prefix, "40", none, "00000001", "eth0"),
                route(other, "40", none, "00000001", "eth1"),
                route(none, "00", none, "00200200", "lo"),
                route(none, "00", router, "00000003", "eth0"),
            ]
            .concat()
        };
        let (prefix, router) =
            ("20010db8000100000000000000000000", "fe800000000000000000000000000001");
        let here = network_of_v6(&table(prefix, router)).unwrap();
        assert_eq!(here.len(), 16);
        assert_eq!(network_of_v6(&table(prefix, router)), Some(here.clone()));
        let neighbour = table("20010db8000200000000000000000000", router);
        assert_ne!(network_of_v6(&neighbour), Some(here.clone()), "routers of one make");
        let other = table(prefix, "fe8000000000000002000000000000ff");
        assert_ne!(network_of_v6(&other), Some(here.clone()), "another router");
        // A prefix of the home's own stays when the provider's changes.
        let own = route("fd000000000000010000000000000000", "40", none, "00000001", "eth0");
        let with_own = |table: String| network_of_v6(&(table + &own));
        assert_eq!(with_own(table(prefix, router)), with_own(neighbour));
        assert_eq!(
            network_of_v6(&route(prefix, "40", none, "00000001", "eth0")),
            None,
            "no router"
        );
        assert_eq!(
            network_of_v6(&route(none, "00", router, "00000003", "eth0")),
            None,
            "no prefix"
        );
        for rubbish in ["", "x", "x y", &"0 ".repeat(10), &"zz ".repeat(10)] {
            assert_eq!(network_of_v6(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn what_this_machine_has_is_usable() {
        assert!(all().into_iter().all(is_usable));
    }
}
