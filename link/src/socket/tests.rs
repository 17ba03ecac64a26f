//! Two sockets on loopback.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::task::Waker;
use std::time::Duration;

use super::gate::Waiter;
use super::*;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(20);

fn quic(to: SocketAddr, contents: &[u8]) -> Transmit<'_> {
    Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: None }
}

/// A socket whose readiness the runtime has learned: before that nothing can be sent.
async fn bound(addr: SocketAddr, fittings: Fittings) -> io::Result<Arc<Socket>> {
    let socket = Arc::new(Socket::bind(addr, fittings)?);
    let mut poller = socket.inner.clone().create_io_poller();
    let writable = std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx));
    tokio::time::timeout(PATIENCE, writable).await.unwrap()?;
    Ok(socket)
}

/// Reads until QUIC comes; gives it.
async fn next_quic(socket: &Socket) -> Vec<u8> {
    let mut storage = vec![0; 64 << 10];
    let receive = std::future::poll_fn(|cx| {
        loop {
            let mut bufs = [IoSliceMut::new(&mut storage)];
            let mut meta = [RecvMeta::default()];
            match socket.poll_recv(cx, &mut bufs, &mut meta) {
                Poll::Ready(Ok(_)) if meta[0].len == 0 => {}
                Poll::Ready(Ok(_)) => return Poll::Ready(bufs[0][..meta[0].len].to_vec()),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    tokio::time::timeout(PATIENCE, receive).await.unwrap()
}

#[tokio::test]
async fn stun_comes_out_beside_quic_and_the_rest_is_dropped() {
    let (a, _) = Fittings::new(None);
    let (b, mut stun) = Fittings::new(None);
    let (a, b) = (bound(ANY, a).await.unwrap(), bound(ANY, b).await.unwrap());
    let to = b.local_addr().unwrap();
    a.send_stun(to, &[0, 1, 7]).unwrap();
    a.try_send(&quic(to, &[20, 1, 2])).unwrap();
    a.try_send(&quic(to, &[0xc0, 9])).unwrap();
    assert_eq!(next_quic(&b).await, [0xc0, 9]);
    let message = stun.recv().await.unwrap();
    assert_eq!((message.from, &message.bytes[..]), (a.local_addr().unwrap(), &[0, 1, 7][..]));
    assert!(stun.try_recv().is_err(), "what is neither goes nowhere");
    assert_eq!(a.fittings.meter.read(), (0, 8));
    assert_eq!(b.fittings.meter.read(), (8, 0));
}

#[tokio::test]
async fn a_socket_of_both_families_sends_stun_to_ipv4() {
    let (a, _) = Fittings::new(None);
    let (b, mut stun) = Fittings::new(None);
    let Ok(a) = bound("[::]:0".parse().unwrap(), a).await else {
        eprintln!("skipped: no IPv6 here");
        return;
    };
    let b = bound(ANY, b).await.unwrap();
    a.send_stun(b.local_addr().unwrap(), &[1, 1]).unwrap();
    a.try_send(&quic(
        (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), b.local_addr().unwrap().port()).into(),
        &[0x40],
    ))
    .unwrap();
    assert_eq!(next_quic(&b).await, [0x40]);
    let message = stun.recv().await.unwrap();
    assert!(message.from.is_ipv4());
    assert_eq!(&message.bytes[..], [1, 1]);
}

#[tokio::test]
async fn stun_that_nobody_reads_is_bounded_and_does_not_hold_up_quic() {
    let (a, _) = Fittings::new(None);
    let (b, mut stun) = Fittings::new(None);
    let (a, b) = (bound(ANY, a).await.unwrap(), bound(ANY, b).await.unwrap());
    let to = b.local_addr().unwrap();
    for round in 0..3 * STUN / 64 {
        for _ in 0..64 {
            a.send_stun(to, &[0, 0]).unwrap();
        }
        a.try_send(&quic(to, &[0x40, round as u8])).unwrap();
        assert_eq!(next_quic(&b).await, [0x40, round as u8]);
    }
    let mut waiting = 0;
    while stun.try_recv().is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, STUN);
}

/// Lets a number of datagrams pass.
#[derive(Debug, Default)]
struct Turnstile(Mutex<(usize, Vec<Waker>)>);

#[derive(Debug)]
struct Queue(Arc<Turnstile>);

impl Turnstile {
    fn open(&self, passes: usize) {
        let mut state = self.0.lock().unwrap();
        state.0 += passes;
        state.1.drain(..).for_each(Waker::wake);
    }
}

impl Gate for Turnstile {
    fn try_pass(&self, _: &Transmit<'_>) -> bool {
        let mut state = self.0.lock().unwrap();
        let open = state.0 > 0;
        state.0 -= usize::from(open);
        open
    }

    fn yields(&self, transmit: &Transmit<'_>) -> bool {
        transmit.contents.len() > 1
    }

    fn give_back(&self, _: &Transmit<'_>) {
        self.open(1);
    }

    fn waiter(self: Arc<Self>) -> Pin<Box<dyn Waiter>> {
        Box::pin(Queue(self))
    }

    fn max_segments(&self) -> usize {
        2
    }
}

impl Waiter for Queue {
    fn poll_open(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.0.lock().unwrap();
        if state.0 > 0 {
            return Poll::Ready(());
        }
        state.1.push(cx.waker().clone());
        Poll::Pending
    }
}

#[tokio::test]
async fn quic_waits_at_the_gate_and_stun_does_not() {
    let gate = Arc::new(Turnstile::default());
    let (a, _) = Fittings::new(Some(gate.clone()));
    let (b, mut stun) = Fittings::new(None);
    let (a, b) = (bound(ANY, a).await.unwrap(), bound(ANY, b).await.unwrap());
    let to = b.local_addr().unwrap();
    assert_eq!(a.max_transmit_segments(), 2.min(b.max_transmit_segments()));
    let shut = a.try_send(&quic(to, &[0x40, 1])).unwrap_err();
    assert_eq!(shut.kind(), io::ErrorKind::WouldBlock);
    a.send_stun(to, &[0, 1]).unwrap();
    let mut poller = a.clone().create_io_poller();
    let opened =
        tokio::spawn(
            async move { std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await },
        );
    tokio::task::yield_now().await;
    assert!(!opened.is_finished());
    gate.open(1);
    tokio::time::timeout(PATIENCE, opened).await.unwrap().unwrap().unwrap();
    a.try_send(&quic(to, &[0x40, 2])).unwrap();
    assert!(a.try_send(&quic(to, &[0x40, 3])).is_err(), "one pass, one datagram");
    assert_eq!(next_quic(&b).await, [0x40, 2]);
    assert_eq!(&stun.recv().await.unwrap().bytes[..], [0, 1]);
}

#[tokio::test]
async fn what_the_system_does_not_take_is_given_back() {
    let gate = Arc::new(Turnstile::default());
    let (a, _) = Fittings::new(Some(gate.clone()));
    // The runtime has not learned yet that there is room.
    let a = Socket::bind(ANY, a).unwrap();
    gate.open(1);
    let full = a.try_send(&quic(a.local_addr().unwrap(), &[0x40])).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(gate.0.lock().unwrap().0, 1);
    assert_eq!(a.fittings.meter.read(), (0, 0));
}

/// The field of each datagram that holds the mark, as the system tells it.
#[cfg(target_os = "linux")]
fn marks(socket: &std::net::UdpSocket, count: usize) -> Vec<i32> {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = Vec::new();
    for _ in 0..count {
        let mut bytes = [0; 2000];
        let mut control = nix::cmsg_space!(i32, i32);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )
        .unwrap();
        told.extend(message.cmsgs().unwrap().filter_map(|entry| match entry {
            ControlMessageOwned::Ipv4Tos(tos) => Some(i32::from(tos)),
            ControlMessageOwned::Ipv6TClass(class) => Some(class),
            _ => None,
        }));
    }
    told
}

/// RFC 8622: the code point is 1, above the two bits of ECN.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_yields_is_marked_in_both_families_and_nothing_else_is() {
    use nix::sys::socket::{setsockopt, sockopt};
    use quinn::udp::EcnCodepoint;

    for ip in ["127.0.0.1", "::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let Ok(receiver) = std::net::UdpSocket::bind((ip, 0)) else {
            eprintln!("skipped: no {ip} here");
            continue;
        };
        match ip {
            IpAddr::V4(_) => setsockopt(&receiver, sockopt::IpRecvTos, &true).unwrap(),
            IpAddr::V6(_) => setsockopt(&receiver, sockopt::Ipv6RecvTClass, &true).unwrap(),
        }
        let to = receiver.local_addr().unwrap();
        let gate = Arc::new(Turnstile::default());
        gate.open(10);
        let (fittings, _) = Fittings::new(Some(gate));
        let a = bound((ip, 0).into(), fittings).await.unwrap();
        let long = [0x40; 1200];
        a.try_send(&quic(to, &long[..1])).unwrap();
        a.try_send(&quic(to, &long)).unwrap();
        a.try_send(&Transmit { ecn: Some(EcnCodepoint::Ect0), ..quic(to, &long) }).unwrap();
        a.try_send(&Transmit { src_ip: Some(ip), ..quic(to, &long) }).unwrap();
        // Joined: both parts.
        let segment_size = Some(600);
        a.try_send(&Transmit { segment_size, ..quic(to, &long) }).unwrap();
        assert_eq!(marks(&receiver, 6), [0, 0x04, 0x06, 0x04, 0x04, 0x04], "{ip}");
        assert_eq!(a.fittings.meter.read().1, 4801);
        let (plain, _) = Fittings::new(None);
        let plain = bound((ip, 0).into(), plain).await.unwrap();
        plain.try_send(&quic(to, &long)).unwrap();
        assert_eq!(marks(&receiver, 1), [0], "servers mark nothing");
    }
}
