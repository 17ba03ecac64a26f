//! Uploads carry the mark of lower effort (RFC 8622): routers that know it let everything else go first.
//!
//! quinn's socket writes the field that holds the mark for each datagram by itself, and knows of ECN only. So what is to be
//! marked is handed to the system here. Where that does not work, it goes unmarked.

use std::io;

use quinn::udp::Transmit;

/// The code point of lower effort, where it stands in the field: above ECN's two bits.
#[cfg(target_os = "linux")]
const LOWER_EFFORT: u8 = 0b00_0001 << 2;

/// A way past quinn's socket.
#[derive(Debug)]
pub(super) struct Marker {
    #[cfg(target_os = "linux")]
    socket: socket2::Socket,
    #[cfg(target_os = "linux")]
    works: std::sync::atomic::AtomicBool,
}

#[cfg(target_os = "linux")]
impl Marker {
    /// `None` if the system gives no second handle.
    pub(super) fn new(socket: &socket2::Socket) -> Option<Self> {
        let socket = socket.try_clone().ok()?;
        Some(Self { socket, works: true.into() })
    }

    /// Sends it marked; `false`: it was not sent, and quinn's socket is to try.
    pub(super) fn send(&self, transmit: &Transmit<'_>) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        if !self.works.load(Relaxed) {
            return false;
        }
        match self.try_send(transmit) {
            Ok(_) => true,
            Err(error) => {
                // No room at the moment is quinn's to wait for; whatever else it is, quinn's socket names it, if it is not
                // the mark.
                if error.kind() == io::ErrorKind::InvalidInput {
                    self.works.store(false, Relaxed);
                    tracing::debug!(%error, "uploads are not marked");
                }
                false
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<usize> {
        use std::net::IpAddr;
        use std::os::fd::AsRawFd as _;

        use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

        let Transmit { destination, ecn, contents, segment_size, src_ip } = transmit;
        let mark = LOWER_EFFORT | ecn.map_or(0, |ecn| ecn as u8);
        let class = i32::from(mark);
        let ipv4 = match destination.ip() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
        };
        let mark = match ipv4 {
            true => ControlMessage::Ipv4Tos(&mark),
            false => ControlMessage::Ipv6TClass(&class),
        };
        let parts = segment_size.filter(|&size| size < contents.len());
        let parts = parts.and_then(|size| u16::try_from(size).ok());
        let parts = parts.as_ref().map(ControlMessage::UdpGsoSegments);
        let any = in_addr { s_addr: 0 };
        let (from4, from6) = match src_ip {
            Some(IpAddr::V4(ip)) => {
                let ip = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                (Some(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ip, ipi_addr: any }), None)
            }
            Some(IpAddr::V6(ip)) => {
                let ip = in6_addr { s6_addr: ip.octets() };
                (None, Some(in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: ip }))
            }
            None => (None, None),
        };
        let from4 = from4.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let from6 = from6.as_ref().map(ControlMessage::Ipv6PacketInfo);
        let rest = [parts, from4, from6].into_iter().flatten();
        let control: Vec<ControlMessage<'_>> = std::iter::once(mark).chain(rest).collect();
        let to = SockaddrStorage::from(*destination);
        let bytes = [io::IoSlice::new(contents)];
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmsg(self.socket.as_raw_fd(), &bytes, &control, flags, Some(&to))?)
    }
}

#[cfg(not(target_os = "linux"))]
impl Marker {
    /// Nothing is marked here.
    pub(super) fn new(_: &socket2::Socket) -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) fn send(&self, _: &Transmit<'_>) -> bool {
        false
    }
}
