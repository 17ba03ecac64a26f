//! How far a node can be reached, and who can meet whom.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How far a node can be reached over one family of addresses. What is between it and the internet may translate
/// addresses (RFC 4787 section 4), let in only some (section 5), or both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Access {
    /// Not found out.
    #[default]
    Unknown,
    /// Not at all: it has no such address, or UDP is blocked.
    None,
    /// By everybody: no translation, one that lets everything in, or a port that was mapped.
    Open,
    /// By those to whose address it has sent something.
    AddressRestricted,
    /// By those to whose address and port it has sent something.
    PortRestricted,
    /// It is seen at another port by each other node, and reached only by those to whom it has sent something.
    Symmetric,
}

impl Access {
    /// Whether two can meet if both try at once and know what the other is seen at. Not found out counts as yes.
    ///
    /// Who is symmetric is seen by the other at a port that could not be told beforehand: whoever lets in only ports
    /// that it knows is not reached, and the other's own packets go to a port that does not exist.
    pub fn meets(self, other: Self) -> bool {
        use Access::{None, PortRestricted, Symmetric};
        !matches!(
            (self, other),
            (None, _)
                | (_, None)
                | (Symmetric, Symmetric | PortRestricted)
                | (PortRestricted, Symmetric)
        )
    }
}

/// How far a node can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Reach {
    /// Over IPv4.
    pub v4: Access,
    /// Over IPv6.
    pub v6: Access,
    /// It takes from servers only and meets no viewer: others are not to learn its address.
    pub servers_only: bool,
}

impl Reach {
    /// Whether two viewers can meet over either family. Two of one home may meet whatever their router does.
    pub fn meets(&self, other: &Self, same_home: bool) -> bool {
        if self.servers_only || other.servers_only {
            return false;
        }
        let local = same_home && !(self.is_nowhere() || other.is_nowhere());
        local || self.v4.meets(other.v4) || self.v6.meets(other.v6)
    }

    /// The same as an engine has it: whether those whom few can meet can meet this one.
    pub(crate) fn for_engine(&self) -> swarm::Reach {
        let kinds = [self.v4, self.v6];
        let any = |of: &[Access]| kinds.iter().any(|kind| of.contains(kind));
        if self.servers_only || self.is_nowhere() || kinds.contains(&Access::Unknown) {
            swarm::Reach::Unknown
        } else if any(&[Access::Open, Access::AddressRestricted]) {
            swarm::Reach::Open
        } else if any(&[Access::PortRestricted]) {
            swarm::Reach::Behind
        } else {
            swarm::Reach::Hard
        }
    }

    /// Whether it cannot be reached at all.
    pub fn is_nowhere(&self) -> bool {
        self.v4 == Access::None && self.v6 == Access::None
    }
}

/// Whether two that are seen at these addresses may be of one home: behind one address of IPv4, in one network of IPv6.
/// Providers put many homes behind one address, so it is only worth a try.
pub fn same_home(a: IpAddr, b: IpAddr) -> bool {
    match (a.to_canonical(), b.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a == b,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

/// Whether an address is of a network of its own, not of the internet.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // RFC 6598: between a home's router and its provider's.
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::Access::*;
    use super::*;

    const ALL: [Access; 6] = [Unknown, None, Open, AddressRestricted, PortRestricted, Symmetric];

    #[test]
    fn who_meets_whom() {
        // Rows and columns in the order of ALL.
        let table = ["1.1111", "......", "1.1111", "1.1111", "1.111.", "1.11.."];
        for (row, a) in table.iter().zip(ALL) {
            for (cell, b) in row.chars().zip(ALL) {
                assert_eq!(a.meets(b), cell == '1', "{a:?} and {b:?}");
                assert_eq!(a.meets(b), b.meets(a));
            }
        }
    }

    #[test]
    fn either_family_will_do() {
        let reach = |v4, v6| Reach { v4, v6, servers_only: false };
        assert!(reach(Symmetric, PortRestricted).meets(&reach(Symmetric, PortRestricted), false));
        assert!(!reach(Symmetric, None).meets(&reach(Symmetric, PortRestricted), false));
        assert!(!reach(Open, None).meets(&reach(None, Open), false), "no common family");
        assert!(reach(Symmetric, None).meets(&reach(Symmetric, None), true), "of one home");
        assert!(!reach(None, None).meets(&reach(Symmetric, None), true), "UDP is blocked");
    }

    #[test]
    fn engines_are_told_who_is_hard_to_reach() {
        let told = |v4, v6| Reach { v4, v6, servers_only: false }.for_engine();
        assert_eq!(told(Symmetric, None), swarm::Reach::Hard);
        assert_eq!(told(Symmetric, PortRestricted), swarm::Reach::Behind);
        assert_eq!(told(PortRestricted, Open), swarm::Reach::Open);
        assert_eq!(told(Unknown, Symmetric), swarm::Reach::Unknown);
        assert_eq!(told(None, None), swarm::Reach::Unknown);
        let shy = Reach { v4: Open, v6: Open, servers_only: true };
        assert_eq!(shy.for_engine(), swarm::Reach::Unknown);
    }

    #[test]
    fn who_wants_servers_only_meets_nobody() {
        let open = Reach { v4: Open, v6: Open, servers_only: false };
        let shy = Reach { servers_only: true, ..open };
        assert!(open.meets(&open, false));
        assert!(!shy.meets(&open, true) && !open.meets(&shy, true));
    }
}
