//! One message to the system: packets of one size to one destination, which it cuts apart (segmentation offload).

use std::io;
use std::net::{IpAddr, SocketAddr};

use quinn::udp::{EcnCodepoint, Transmit};

use super::Socket;

/// The system takes no longer message, bytes: what fits into one datagram of IPv4 with its headers.
const LONGEST: usize = 65_507;
/// Nor more packets in one; newer ones take twice as many.
const MOST: usize = 64;

/// Packets that wait for others of their kind.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    kind: Option<Kind>,
    /// Bytes ever taken in.
    gathered: u64,
}

/// What packets of one message have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
    src_ip: Option<IpAddr>,
    /// Bytes of each but the last.
    size: usize,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), kind: None, gathered: 0 }
    }

    /// Bytes taken in since it was made.
    pub(super) fn gathered(&self) -> u64 {
        self.gathered
    }

    /// Takes this in, after it has handed over what does not go with it; `None`: it is not worth it. Like a socket, it has
    /// no room while the system has none.
    pub(super) fn add(
        &mut self,
        socket: &Socket,
        transmit: &Transmit<'_>,
    ) -> Option<io::Result<()>> {
        if let Some(kind) = self.kind
            && !self.goes_with(kind, transmit)
            && let Err(error) = self.flush(socket)
        {
            return Some(Err(error));
        }
        if self.kind.is_none() {
            // What comes alone goes alone.
            let size = transmit.segment_size?;
            let Transmit { destination, ecn, src_ip, .. } = *transmit;
            self.kind = Some(Kind { destination, ecn, src_ip, size });
            self.bytes.reserve(LONGEST);
        }
        self.bytes.extend_from_slice(transmit.contents);
        self.gathered += transmit.contents.len() as u64;
        Some(Ok(()))
    }

    fn goes_with(&self, kind: Kind, transmit: &Transmit<'_>) -> bool {
        let length = self.bytes.len() + transmit.contents.len();
        let size = transmit.segment_size.unwrap_or(transmit.contents.len());
        // Nothing may follow a packet that is shorter, and the last may be.
        let fits = match transmit.segment_size {
            Some(size) => size == kind.size,
            None => size <= kind.size,
        };
        fits && self.bytes.len().is_multiple_of(kind.size)
            && length <= LONGEST
            && length.div_ceil(kind.size) <= MOST
            && transmit.destination == kind.destination
            && transmit.ecn == kind.ecn
            && transmit.src_ip == kind.src_ip
    }

    /// Hands over what it has.
    ///
    /// # Errors
    /// If the system has no room, or no way: then it keeps it.
    pub(super) fn flush(&mut self, socket: &Socket) -> io::Result<()> {
        let Some(Kind { destination, ecn, src_ip, size }) = self.kind else { return Ok(()) };
        let segment_size = (size < self.bytes.len()).then_some(size);
        let contents = &self.bytes;
        let transmit = Transmit { destination, ecn, contents, segment_size, src_ip };
        match socket.inner.try_send(&transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            // As on the way: what is lost is sent again, and an error that stays shows when nothing comes back.
            _ => {}
        }
        self.bytes.clear();
        self.kind = None;
        Ok(())
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
