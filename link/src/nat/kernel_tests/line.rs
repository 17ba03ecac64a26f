//! Long lines: every frame of a street's internet arrives late, and some datagrams not at all.
//!
//! The kernel of a small machine may lack the means to delay (netem), so that frames go through this program.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::home::Place;
use crate::nat::street::{Street, ip};

/// The longest frame: its head, and what Ethernet carries.
const FRAME: usize = 14 + 1_500;
/// One datagram of so many is lost.
const LOST: u32 = 50;
/// A port looks so often whether it is over.
const LOOK: TimeVal = TimeVal::new(0, 200_000);

/// A hardware address.
type Mac = [u8; 6];

struct Frame {
    due: Instant,
    port: usize,
    bytes: Vec<u8>,
}

/// A switch with ports on which nothing is fast. It stands until it is dropped.
pub(super) struct Lines {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lines {
    /// In place of the bridge that connects a street: every frame takes `delay`.
    pub(super) fn lay(street: &Street, delay: Duration) -> Self {
        // What is left to a card that does not exist would arrive unfinished: sums, and cutting into frames.
        for name in street.namespaces() {
            // Not each has such a line.
            let _ = ip(&format!("netns exec {name} ethtool -K wan0 tx off gso off tso off"));
        }
        let world = &street.namespaces()[0];
        ip(&format!("-n {world} link del dev br0")).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ports = Place::named(world, Ipv4Addr::UNSPECIFIED).run(ports).join().unwrap();
        let ports: Arc<[OwnedFd]> = ports.into();
        let (carry, carried) = mpsc::channel();
        let mut threads: Vec<_> = (0..ports.len())
            .map(|port| {
                let (ports, over, carry) = (ports.clone(), over.clone(), carry.clone());
                thread::spawn(move || listen(&ports[port], port, delay, &over, &carry))
            })
            .collect();
        threads.push(thread::spawn(move || deliver(&ports, &carried)));
        Self { over, threads }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a line broke");
        }
    }
}

/// A socket at each line's end, with all frames that come out of it.
fn ports() -> Vec<OwnedFd> {
    let is_port =
        |name: &str| name.strip_prefix('p').is_some_and(|rest| rest.parse::<u32>().is_ok());
    let all = getifaddrs().unwrap().filter(|one| is_port(&one.interface_name));
    let ends = all.filter_map(|one| one.address?.as_link_addr().copied());
    ends.map(|end: LinkAddr| {
        let (family, protocol) = (AddressFamily::Packet, SockProtocol::EthAll);
        let port = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap();
        bind(port.as_raw_fd(), &end).unwrap();
        setsockopt(&port, sockopt::ReceiveTimeout, &LOOK).unwrap();
        port
    })
    .collect()
}

fn listen(
    socket: &OwnedFd,
    port: usize,
    delay: Duration,
    over: &AtomicBool,
    carry: &Sender<Frame>,
) {
    let (mut bytes, mut datagrams) = ([0; FRAME], port as u32);
    while !over.load(Ordering::Relaxed) {
        let len = {
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg::<()>(socket.as_raw_fd(), &mut into, None, MsgFlags::empty()) {
                Ok(message) => message.bytes,
                // Nothing for a while.
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => continue,
                // The street is gone.
                Err(_) => return,
            }
        };
        if is_udp(&bytes[..len]) {
            datagrams += 1;
            if datagrams % LOST == 0 {
                continue;
            }
        }
        let bytes = bytes[..len].to_vec();
        if carry.send(Frame { due: Instant::now() + delay, port, bytes }).is_err() {
            return;
        }
    }
}

/// Whether it is a datagram of either family. Who asks for a neighbour's hardware address is not: the kernel would wait for a
/// second, which says nothing of us.
fn is_udp(frame: &[u8]) -> bool {
    const UDP: u8 = 17;
    match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.get(23) == Some(&UDP),
        Some([0x86, 0xdd]) => frame.get(20) == Some(&UDP),
        _ => false,
    }
}

/// Every frame takes the same time: they are due in the order in which they came.
fn deliver(ports: &[OwnedFd], carried: &Receiver<Frame>) {
    // Who sends shows at which port it is; before that, every port gets what is meant for it.
    let mut places: HashMap<Mac, usize> = HashMap::new();
    while let Ok(Frame { due, port, bytes }) = carried.recv() {
        let Some((to, rest)) = bytes.split_first_chunk::<6>() else { continue };
        let Some(from) = rest.first_chunk::<6>() else { continue };
        places.insert(*from, port);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let put = |port: usize| {
            let (socket, from) = (ports[port].as_raw_fd(), [IoSlice::new(&bytes)]);
            // A full queue loses it, as lines do.
            let _ = sendmsg::<()>(socket, &from, &[], MsgFlags::MSG_DONTWAIT, None);
        };
        match places.get(to) {
            Some(place) => put(*place),
            None => (0..ports.len()).filter(|other| *other != port).for_each(put),
        }
    }
}
