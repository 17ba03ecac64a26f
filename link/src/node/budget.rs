//! A bound on the bytes of shards that came in and have not been looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// For one node, bytes.
const NODE: usize = 128 << 20;
/// For one connection, bytes.
const CONNECTION: usize = 16 << 20;

/// What may be held for one connection, and for all together.
#[derive(Clone, Default)]
pub(crate) struct Budget {
    node: Arc<AtomicUsize>,
    connection: Arc<AtomicUsize>,
}

impl Budget {
    /// The budget of one more connection.
    pub(crate) fn connection(&self) -> Self {
        Self { node: self.node.clone(), connection: Arc::default() }
    }

    /// Nothing yet.
    pub(crate) fn hold(&self) -> Hold {
        Hold { budget: self.clone(), bytes: 0 }
    }
}

/// Bytes taken from a budget; they go back when it is dropped.
pub(crate) struct Hold {
    budget: Budget,
    bytes: usize,
}

impl Hold {
    /// Takes more; `false` if there is no more.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let node = self.budget.node.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let connection = self.budget.connection.fetch_add(bytes, Ordering::Relaxed) + bytes;
        node <= NODE && connection <= CONNECTION
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.node.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.connection.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_cannot_take_all_and_what_is_dropped_comes_back() {
        let node = Budget::default();
        let (greedy, modest) = (node.connection(), node.connection());
        let mut hold = greedy.hold();
        assert!(hold.grow(CONNECTION));
        assert!(!hold.grow(1));
        assert!(modest.hold().grow(1));
        drop(hold);
        assert!(greedy.hold().grow(CONNECTION));
    }
}
