//! Connections of one node.

/// One side of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// When it came about.
    pub(crate) since: u64,
    /// When the last message arrives that was sent over it: they keep their order.
    pub(crate) last: u64,
}

/// In order of peer. Peers stand apart: only they are searched.
#[derive(Default, Debug)]
pub(crate) struct Links {
    peers: Vec<u32>,
    links: Vec<Link>,
}

impl Links {
    fn place(&self, peer: u32) -> Result<usize, usize> {
        self.peers.binary_search(&peer)
    }

    pub(crate) fn has(&self, peer: u32) -> bool {
        self.place(peer).is_ok()
    }

    pub(crate) fn get_mut(&mut self, peer: u32) -> Option<&mut Link> {
        let place = self.place(peer).ok()?;
        self.links.get_mut(place)
    }

    /// Whether it was not there.
    pub(crate) fn add(&mut self, peer: u32, now: u64) -> bool {
        let Err(place) = self.place(peer) else { return false };
        self.peers.insert(place, peer);
        self.links.insert(place, Link { since: now, last: 0 });
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, peer: u32) -> bool {
        let place = self.place(peer);
        place.is_ok_and(|place| {
            self.peers.remove(place);
            self.links.remove(place);
            true
        })
    }

    pub(crate) fn peers(&self) -> Vec<u32> {
        self.peers.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_and_removed() {
        let mut links = Links::default();
        for peer in [7, 3, 9] {
            assert!(links.add(peer, 1));
        }
        assert!(!links.add(3, 2));
        assert!(links.remove(7) && !links.remove(7));
        assert_eq!(links.peers(), [3, 9]);
        assert!(links.has(9) && links.get_mut(3).is_some_and(|link| link.since == 1));
    }
}
