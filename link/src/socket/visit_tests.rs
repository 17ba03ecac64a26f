//! Connections as quinn drives them: twenty packets a turn, in two pieces, then they ask for another.

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use quinn::udp::RecvMeta;

use super::super::Fittings;
use super::*;

const PACKET: usize = 1_000;
const PIECE: usize = 10 * PACKET;
const PATIENCE: Duration = Duration::from_secs(20);

/// A system that takes everything, nothing or a few messages, and notes what it took.
#[derive(Debug, Default)]
struct System {
    room: AtomicUsize,
    shut: AtomicBool,
    waits: Mutex<Vec<Waker>>,
    /// Bytes of each message, and its first and last packet's marks.
    taken: Mutex<Vec<(usize, u8, u8)>>,
}

impl System {
    fn taken(&self) -> Vec<(usize, u8, u8)> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }

    fn open(&self, messages: usize) {
        self.room.store(messages, Ordering::SeqCst);
        self.waits.lock().unwrap().drain(..).for_each(Waker::wake);
    }
}

#[derive(Debug)]
struct Wait(Arc<System>);

impl UdpPoller for Wait {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.room.load(Ordering::SeqCst) > 0 {
            return Poll::Ready(Ok(()));
        }
        self.0.waits.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncUdpSocket for System {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Wait(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.shut.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let room = self.room.load(Ordering::SeqCst);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.store(room - 1, Ordering::SeqCst);
        let bytes = transmit.contents;
        self.taken.lock().unwrap().push((bytes.len(), bytes[1], bytes[bytes.len() - 1]));
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
        _: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 7).into())
    }

    fn max_transmit_segments(&self) -> usize {
        64
    }
}

fn socket(room: usize) -> (Arc<System>, Arc<Socket>) {
    let system = Arc::new(System { room: room.into(), ..System::default() });
    let fittings = Fittings::new(None).0;
    (system.clone(), Arc::new(Socket { inner: system, marker: None, fittings, ipv6: false }))
}

fn piece(to: u16, mark: u8, bytes: usize) -> (SocketAddr, Vec<u8>) {
    let mut contents = vec![mark; bytes];
    contents[0] = 0x40;
    ((IpAddr::V4(Ipv4Addr::LOCALHOST), to).into(), contents)
}

fn send(socket: &Socket, (destination, contents): &(SocketAddr, Vec<u8>)) -> io::Result<()> {
    let segment_size = (contents.len() > PACKET).then_some(PACKET);
    let transmit =
        Transmit { destination: *destination, ecn: None, contents, segment_size, src_ip: None };
    socket.try_send(&transmit)
}

/// Sends these as quinn does: two a turn, and again what there was no room for.
fn connection(
    socket: &Arc<Socket>,
    pieces: Vec<(SocketAddr, Vec<u8>)>,
) -> impl Future<Output = ()> + Send + use<> {
    let (socket, mut pieces) = (socket.clone(), pieces.into_iter().peekable());
    let mut poller = socket.clone().create_io_poller();
    poll_fn(move |cx| {
        for _ in 0..2 {
            let Some(piece) = pieces.peek() else { return Poll::Ready(()) };
            loop {
                if poller.as_mut().poll_writable(cx).is_pending() {
                    return Poll::Pending;
                }
                if send(&socket, piece).is_ok() {
                    break;
                }
            }
            pieces.next();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_one_connection_sends_leaves_in_large_pieces_and_in_order() {
    let (system, socket) = socket(usize::MAX);
    let mut pieces: Vec<_> = (0..8).map(|mark| piece(9, mark, PIECE)).collect();
    // A last packet that is shorter, one by itself, and one to somebody else.
    pieces.extend([piece(9, 8, 500), piece(9, 9, PACKET), piece(10, 10, 2 * PACKET)]);
    Visits::new(socket.clone()).spawn(Box::pin(connection(&socket, pieces)));
    settle().await;
    let taken = [(6 * PIECE, 0, 5), (2 * PIECE + 500, 6, 8), (PACKET, 9, 9), (2 * PACKET, 10, 10)];
    assert_eq!(system.taken(), taken);
    assert_eq!(socket.fittings.meter.read().1, 8 * 10_000 + 500 + 3 * 1_000);
}

#[tokio::test]
async fn what_the_system_has_no_room_for_waits_and_goes_first() {
    let (system, socket) = socket(1);
    let pieces: Vec<_> = (0..30).map(|mark| piece(9, mark, PIECE)).collect();
    Visits::new(socket.clone()).spawn(Box::pin(connection(&socket, pieces)));
    settle().await;
    let mut taken = system.taken();
    assert_eq!(taken, [(6 * PIECE, 0, 5)]);
    for _ in 0..30 {
        system.open(1);
        settle().await;
        let more = system.taken();
        assert!(more.len() <= 1, "there is room for one: {more:?}");
        taken.extend(more);
    }
    // Nothing twice, nothing lost, nothing before its turn.
    let mut next = 0;
    for (bytes, first, last) in taken {
        assert_eq!((first, bytes), (next, usize::from(last - first + 1) * PIECE));
        next = last + 1;
    }
    assert_eq!(next, 30);
}

#[tokio::test]
async fn a_way_that_is_closed_holds_nobody_up() {
    let (system, socket) = socket(usize::MAX);
    system.shut.store(true, Ordering::SeqCst);
    let pieces: Vec<_> = (0..30).map(|mark| piece(9, mark, PIECE)).collect();
    let (ended, end) = tokio::sync::oneshot::channel();
    let connection = connection(&socket, pieces);
    Visits::new(socket).spawn(Box::pin(async move {
        connection.await;
        let _ = ended.send(());
    }));
    tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_always_has_more_gives_others_their_turn() {
    let (system, socket) = socket(usize::MAX);
    let sender = socket.clone();
    let bytes = piece(9, 1, PIECE);
    Visits::new(socket.clone()).spawn(Box::pin(poll_fn(move |cx| {
        send(&sender, &bytes).unwrap();
        cx.waker().wake_by_ref();
        Poll::Pending
    })));
    for _ in 0..3 {
        tokio::task::yield_now().await;
        let sent: usize = system.taken().iter().map(|(bytes, ..)| bytes).sum();
        assert!(sent > 0 && sent.is_multiple_of(TURNS * PIECE), "whole visits: {sent}");
    }
}

/// A wake between turns is not lost, wherever it comes from.
#[tokio::test]
async fn who_is_woken_from_outside_is_visited() {
    let (system, socket) = socket(usize::MAX);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<u8>();
    let sender = socket.clone();
    Visits::new(socket).spawn(Box::pin(async move {
        while let Some(mark) = told.recv().await {
            send(&sender, &piece(9, mark, PIECE)).unwrap();
        }
    }));
    for mark in 0..5 {
        tell.send(mark).unwrap();
        settle().await;
        assert_eq!(system.taken(), [(PIECE, mark, mark)]);
    }
}
