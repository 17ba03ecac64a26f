//! The client's address, behind trusted proxies or without one.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::config::Proxy;

/// The address to judge a request by: the TCP peer, unless that is a trusted proxy. Then the
/// header's list is read from its end, past other trusted proxies, to the first address that none
/// of them vouches for. What comes before it anybody can have written.
pub(crate) fn client(peer: SocketAddr, headers: &HeaderMap, proxy: &Proxy) -> IpAddr {
    let trusted = |address: IpAddr| proxy.trusted.iter().any(|prefix| prefix.contains(&address));
    let mut client = peer.ip().to_canonical();
    if !trusted(client) {
        return client;
    }
    let lines: Vec<&str> =
        headers.get_all(&proxy.header).iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        match parse(entry.trim()) {
            Some(address) => client = address,
            None => break,
        }
        if !trusted(client) {
            break;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&str]) -> String {
        let proxy = Proxy {
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            header: "X-Forwarded-For".into(),
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        client(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &proxy).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_a_client_wrote_before_the_proxies_is_not_believed() {
        assert_eq!(seen("10.0.0.1", &["203.0.113.5, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.5", "198.51.100.1, 10.2.3.4"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.5, nonsense, 10.2.3.4"]), "10.2.3.4");
        assert_eq!(seen("10.0.0.1", &["nonsense"]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        assert_eq!(seen("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(seen("fd00::1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }
}
