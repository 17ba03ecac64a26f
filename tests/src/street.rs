//! A street of real homes: network namespaces behind routers that the kernel plays. `link` uses this file, too.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// A namespace, and its address.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Its name.
    pub namespace: String,
    /// Its address of IPv4, if it has one.
    pub ip: Ipv4Addr,
}

/// Runs `ip` with these words.
pub(crate) fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split_whitespace()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// What stands between a home and the internet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing.
    None,
    /// A router that lets everything in.
    FullCone,
    /// One that lets in whom something was sent to.
    AddressRestricted,
    /// One that lets in what answers.
    PortRestricted,
    /// One that shows another port to each, by chance within a range.
    Symmetric,
    /// The same, by chance.
    SymmetricRandom,
    /// A router behind a provider's.
    Carrier,
    /// The same, and the provider's is symmetric.
    CarrierSymmetric,
    /// IPv6 alone, behind a filter.
    Ipv6,
    /// IPv4 behind a symmetric router, IPv6 behind a filter.
    Dual,
    /// One that lets no UDP out.
    Blocked,
}

/// All kinds.
pub const KINDS: [Kind; 11] = [
    Kind::None,
    Kind::FullCone,
    Kind::AddressRestricted,
    Kind::PortRestricted,
    Kind::Symmetric,
    Kind::SymmetricRandom,
    Kind::Carrier,
    Kind::CarrierSymmetric,
    Kind::Ipv6,
    Kind::Dual,
    Kind::Blocked,
];

/// The street, and the internet before it: 198.18.0.0/16 and 2001:db8:ff::/64, where servers are .1 and .2.
pub struct Street {
    tag: String,
    namespaces: Vec<String>,
    /// Where servers stand.
    pub servers: Spot,
}

/// Lets in what answers something from inside, or comes to a port that was mapped, and drops the rest before connection
/// tracking remembers it.
const SHUT: &str = r#"
    chain inp { type filter hook input priority 0; policy accept; iifname "wan0" ct state new drop; }
    chain fwdc { type filter hook forward priority 0; policy accept; iifname "wan0" ct state new ct status & dnat != dnat drop; }
"#;

impl Street {
    /// Builds homes of these kinds.
    ///
    /// # Errors
    /// Where namespaces cannot be made: why.
    ///
    /// # Panics
    /// If one can be made, and then something else cannot.
    pub fn new(tag: &str, kinds: &[Kind]) -> Result<(Self, Vec<Spot>), String> {
        Self::possible(tag)?;
        match Self::build(tag, kinds) {
            Ok(street) => Ok(street),
            Err(why) => panic!("a street cannot be built: {why}"),
        }
    }

    /// Whether there can be streets.
    pub(crate) fn possible(tag: &str) -> Result<(), String> {
        let probe = format!("bn{}{tag}t", std::process::id());
        ip(&format!("netns add {probe}"))?;
        ip(&format!("netns del {probe}"))
    }

    /// The internet and its servers, with no home yet.
    pub(crate) fn internet(tag: &str) -> Result<Self, String> {
        let tag = format!("bn{}{tag}", std::process::id());
        let (world, servers) = (format!("{tag}w"), format!("{tag}s"));
        let place = Spot { namespace: servers.clone(), ip: Ipv4Addr::new(198, 18, 0, 1) };
        let mut street = Self { tag, namespaces: Vec::new(), servers: place };
        street.namespace(&world)?;
        ip(&format!("-n {world} link add dev br0 type bridge"))?;
        ip(&format!("-n {world} link set dev br0 up"))?;
        street.namespace(&servers)?;
        street.join(&servers, 0)?;
        for address in ["198.18.0.2/16", "2001:db8:ff::2/64"] {
            ip(&format!("-n {servers} addr add {address} dev wan0 nodad"))
                .or_else(|_| ip(&format!("-n {servers} addr add {address} dev wan0")))?;
        }
        Ok(street)
    }

    fn build(tag: &str, kinds: &[Kind]) -> Result<(Self, Vec<Spot>), String> {
        let mut street = Self::internet(tag)?;
        let servers = street.servers.namespace.clone();
        let places = (1..).zip(kinds).map(|(number, kind)| street.home(number, *kind));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        // Whose prefix is where.
        for (number, kind) in (1..).zip(kinds) {
            if matches!(kind, Kind::Ipv6 | Kind::Dual) {
                for (other, theirs) in (0..).zip([Kind::None].iter().chain(kinds)) {
                    let has = other == 0 || matches!(theirs, Kind::Ipv6 | Kind::Dual);
                    if has && other != number {
                        let name = if other == 0 { servers.clone() } else { street.router(other) };
                        ip(&format!(
                            "-n {name} -6 route add 2001:db8:{number}::/64 via 2001:db8:ff::1{number:02}"
                        ))?;
                    }
                }
            }
        }
        Ok((street, places))
    }

    /// The outermost router of a home, from 1.
    pub(crate) fn router(&self, number: usize) -> String {
        format!("{}r{number}", self.tag)
    }

    /// All namespaces, the first of which holds the lines' ends: `p0` of the servers, `p1` of the first home.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    pub(crate) fn namespace(&mut self, name: &str) -> Result<(), String> {
        ip(&format!("netns add {name}"))?;
        self.namespaces.push(name.to_owned());
        ip(&format!("-n {name} link set dev lo up"))?;
        // Addresses are to be used at once.
        inside(name, "net.ipv6.conf.all.accept_dad=0");
        inside(name, "net.ipv6.conf.default.accept_dad=0");
        Ok(())
    }

    /// A line from a namespace to the internet, with the addresses that end in so much.
    pub(crate) fn join(&self, name: &str, number: usize) -> Result<(), String> {
        let world = format!("{}w", self.tag);
        ip(&format!("-n {name} link add dev wan0 type veth peer name p{number} netns {world}"))?;
        ip(&format!("-n {world} link set dev p{number} master br0 up"))?;
        let (v4, v6) = match number {
            0 => ("198.18.0.1/16".to_owned(), "2001:db8:ff::1/64".to_owned()),
            _ => (format!("198.18.1.{number}/16"), format!("2001:db8:ff::1{number:02}/64")),
        };
        ip(&format!("-n {name} addr add {v4} dev wan0"))?;
        ip(&format!("-n {name} -6 addr add {v6} dev wan0"))?;
        ip(&format!("-n {name} link set dev wan0 up"))
    }

    fn home(&mut self, number: usize, kind: Kind) -> Result<Spot, String> {
        let (home, mut router) = (format!("{}h{number}", self.tag), self.router(number));
        self.namespace(&home)?;
        if kind == Kind::None {
            self.join(&home, number)?;
            ip(&format!("-n {home} -6 addr flush dev wan0"))?;
            return Ok(Spot { namespace: home, ip: Ipv4Addr::new(198, 18, 1, number as u8) });
        }
        self.namespace(&router)?;
        self.join(&router, number)?;
        forward(&router);
        if matches!(kind, Kind::Carrier | Kind::CarrierSymmetric) {
            rules(
                &router,
                if kind == Kind::Carrier { Kind::PortRestricted } else { Kind::SymmetricRandom },
                number,
            )?;
            let inner = format!("{router}i");
            self.namespace(&inner)?;
            link(&router, "lan0", &inner, "wan0", "100.64.0", None)?;
            forward(&inner);
            router = inner;
        }
        let prefix = matches!(kind, Kind::Ipv6 | Kind::Dual).then(|| format!("2001:db8:{number}"));
        link(&router, "lan0", &home, "eth0", &format!("192.168.{number}"), prefix.as_deref())?;
        if kind == Kind::Ipv6 {
            ip(&format!("-n {home} -4 addr flush dev eth0"))?;
        }
        let behaves = match kind {
            Kind::Carrier | Kind::CarrierSymmetric => Kind::PortRestricted,
            kind => kind,
        };
        rules(&router, behaves, number)?;
        Ok(Spot { namespace: home, ip: Ipv4Addr::new(192, 168, number as u8, 2) })
    }
}

/// A router's inside: it is .1, who is behind it .2.
pub(crate) fn link(
    router: &str,
    inner: &str,
    home: &str,
    outer: &str,
    v4: &str,
    v6: Option<&str>,
) -> Result<(), String> {
    ip(&format!("-n {router} link add dev {inner} type veth peer name {outer} netns {home}"))?;
    ip(&format!("-n {router} addr add {v4}.1/24 dev {inner}"))?;
    ip(&format!("-n {home} addr add {v4}.2/24 dev {outer}"))?;
    ip(&format!("-n {router} link set dev {inner} up"))?;
    ip(&format!("-n {home} link set dev {outer} up"))?;
    ip(&format!("-n {home} route add default via {v4}.1"))?;
    if let Some(v6) = v6 {
        ip(&format!("-n {router} -6 addr add {v6}::1/64 dev {inner}"))?;
        ip(&format!("-n {home} -6 addr add {v6}::2/64 dev {outer}"))?;
        ip(&format!("-n {home} -6 route add default via {v6}::1"))?;
    }
    Ok(())
}

fn inside(name: &str, setting: &str) {
    // What cannot be set is seen by what does not work.
    let _ = Command::new("ip")
        .args(["netns", "exec", name, "sysctl", "-qw", setting])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

pub(crate) fn forward(name: &str) {
    inside(name, "net.ipv4.ip_forward=1");
    inside(name, "net.ipv6.conf.all.forwarding=1");
}

/// The router behaves like this.
pub(crate) fn rules(name: &str, kind: Kind, number: usize) -> Result<(), String> {
    let masquerade = |how: &str| {
        format!(
            r#"chain post {{ type nat hook postrouting priority 100; oifname "wan0" masquerade {how}; }}
"#
        )
    };
    let home = format!("192.168.{number}.2");
    let v4 = match kind {
        Kind::FullCone => format!(
            r#"{} chain pre {{ type nat hook prerouting priority -100; iifname "wan0" meta l4proto udp dnat to {home}; }}"#,
            masquerade("")
        ),
        Kind::AddressRestricted => format!(
            r#"set peers {{ type ipv4_addr; flags dynamic,timeout; timeout 60s; }}
            {} chain out {{ type filter hook forward priority 0; policy accept;
                oifname "wan0" update @peers {{ ip daddr }}
                iifname "wan0" ip saddr != @peers ct state new drop; }}
            chain inp {{ type filter hook input priority 0; policy accept; iifname "wan0" ct state new drop; }}
            chain pre {{ type nat hook prerouting priority -100;
                iifname "wan0" meta l4proto udp ip saddr @peers dnat to {home}; }}"#,
            masquerade("")
        ),
        Kind::Symmetric => masquerade("random") + SHUT,
        Kind::SymmetricRandom | Kind::Dual => masquerade("fully-random") + SHUT,
        Kind::Blocked => format!(
            r#"{} chain drop_udp {{ type filter hook forward priority 0; policy accept; meta l4proto udp drop; }}"#,
            masquerade("")
        ),
        _ => masquerade("") + SHUT,
    };
    let v6 = SHUT;
    nft(name, &format!("table ip f {{\n{v4}\n}}\ntable ip6 f {{\n{v6}\n}}\n"))
}

pub(crate) fn nft(name: &str, text: &str) -> Result<(), String> {
    let mut child = Command::new("ip")
        .args(["netns", "exec", name, "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("nft: {error}"))?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("nft: {error}"))?;
    match (written, output.status.success()) {
        (Some(Ok(())), true) => Ok(()),
        _ => Err(format!("nft: {}\n{text}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        for name in self.namespaces.iter().rev() {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
