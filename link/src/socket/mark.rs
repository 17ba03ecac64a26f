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
        match marked(|mark| self.try_send(transmit, mark)) {
            Marked::Sent => true,
            // No room at the moment is quinn's to wait for; whatever else it is, quinn's socket names it.
            Marked::NotSent => false,
            Marked::Refused => {
                self.works.store(false, Relaxed);
                tracing::debug!("uploads are not marked: the system refuses it");
                true
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>, mark: bool) -> io::Result<usize> {
        use std::net::IpAddr;
        use std::os::fd::AsRawFd as _;

        use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

        let Transmit { destination, ecn, contents, segment_size, src_ip } = transmit;
        let field = LOWER_EFFORT | ecn.map_or(0, |ecn| ecn as u8);
        let wide = i32::from(field);
        let ipv4 = match destination.ip() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
        };
        let class = match ipv4 {
            true => ControlMessage::Ipv4Tos(&field),
            false => ControlMessage::Ipv6TClass(&wide),
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
        let control: Vec<ControlMessage<'_>> =
            [mark.then_some(class), parts, from4, from6].into_iter().flatten().collect();
        let to = SockaddrStorage::from(*destination);
        let bytes = [io::IoSlice::new(contents)];
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmsg(self.socket.as_raw_fd(), &bytes, &control, flags, Some(&to))?)
    }
}

/// What became of a datagram that was to be marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg(target_os = "linux")]
enum Marked {
    Sent,
    NotSent,
    /// It was sent, but not marked: the system does not take the mark.
    Refused,
}

/// Sends with the mark. What the system calls invalid may be so for another reason (an address that this machine has no
/// more, joined packets that the device does not part): then it is invalid without the mark as well.
#[cfg(target_os = "linux")]
fn marked(mut send: impl FnMut(bool) -> io::Result<usize>) -> Marked {
    match send(true) {
        Ok(_) => Marked::Sent,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => match send(false) {
            Ok(_) => Marked::Refused,
            Err(_) => Marked::NotSent,
        },
        Err(_) => Marked::NotSent,
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_itself_switches_marking_off() {
        let invalid = || -> io::Result<usize> { Err(io::ErrorKind::InvalidInput.into()) };
        assert_eq!(marked(|_| Ok(9)), Marked::Sent);
        assert_eq!(marked(|mark| if mark { invalid() } else { Ok(9) }), Marked::Refused);
        assert_eq!(marked(|_| invalid()), Marked::NotSent);
        let full = |mark: bool| {
            assert!(mark, "it is tried once");
            Err(io::ErrorKind::WouldBlock.into())
        };
        assert_eq!(marked(full), Marked::NotSent);
    }
}
