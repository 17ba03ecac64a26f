//! A viewer and a server whose UDP a wall between them swallows when told to.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ticket::Identity;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::home::Home;
use crate::{Connection, Endpoint, Purpose};

const PATIENCE: Duration = Duration::from_secs(20);

/// Forwards UDP and TCP to a server, from a port of its own; UDP only while it is open.
async fn wall(to: SocketAddr, open: Arc<AtomicBool>) -> SocketAddr {
    let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = outside.local_addr().unwrap();
    let listener = TcpListener::bind(addr).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    tokio::spawn(async move {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        inside.connect(to).await.unwrap();
        let (mut out, mut back) = (vec![0; 2000], vec![0; 2000]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((len, from)) = outside.recv_from(&mut out) => {
                    client = Some(from);
                    if open.load(Ordering::Relaxed) {
                        let _ = inside.send(&out[..len]).await;
                    }
                }
                Ok(len) = inside.recv(&mut back) => {
                    if let Some(client) = client.filter(|_| open.load(Ordering::Relaxed)) {
                        let _ = outside.send_to(&back[..len], client).await;
                    }
                }
            }
        }
    });
    addr
}

/// A server that says back what it is told.
async fn server() -> (Endpoint, Arc<Identity>) {
    let identity = Arc::new(Identity::generate());
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let endpoint = loop {
        let endpoint = Endpoint::bind(local, identity.clone(), &[Purpose::Rendezvous]).unwrap();
        // Somebody else may have this port for TCP.
        if endpoint.listen_tcp(endpoint.local_addr()).is_ok() {
            break endpoint;
        }
    };
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            tokio::spawn(async move {
                let connection = incoming.establish().await.unwrap();
                while let Ok((mut send, mut receive)) = connection.quic.accept_bi().await {
                    let Ok(said) = receive.read_to_end(1 << 20).await else { continue };
                    let _ = send.write_all(&said).await;
                    let _ = send.finish();
                }
            });
        }
    });
    (endpoint, identity)
}

fn viewer() -> Endpoint {
    let uplink = crate::uplink::Uplink::new(None);
    let identity = Arc::new(Identity::generate());
    Endpoint::bind_behind((Ipv4Addr::LOCALHOST, 0).into(), identity, &[], Some(&uplink)).unwrap().0
}

async fn echo(connection: &Connection, bytes: usize) -> Duration {
    let begun = Instant::now();
    let exchange = async {
        let (mut send, mut receive) = connection.quic.open_bi().await.unwrap();
        send.write_all(&vec![7; bytes]).await.unwrap();
        send.finish().unwrap();
        receive.read_to_end(1 << 20).await.unwrap()
    };
    let back = timeout(PATIENCE, exchange).await.expect("no echo");
    assert_eq!(back.len(), bytes);
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_is_blocked_from_the_start_a_connection_comes_about_by_tcp() {
    let (server, identity) = server().await;
    let addr = wall(server.local_addr(), Arc::default()).await;
    let viewer = viewer();
    let begun = Instant::now();
    let connection = viewer.connect(addr, identity.id(), Purpose::Rendezvous).await.unwrap();
    println!("connected after {:?}", begun.elapsed());
    assert!(viewer.is_tunnelled());
    echo(&connection, 200_000).await;
    viewer.close("the end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_moves_to_tcp_and_back() {
    let (server, identity) = server().await;
    let open = Arc::new(AtomicBool::new(true));
    let addr = wall(server.local_addr(), open.clone()).await;
    let viewer = viewer();
    let connection = viewer.connect(addr, identity.id(), Purpose::Rendezvous).await.unwrap();
    echo(&connection, 100_000).await;
    assert!(!viewer.is_tunnelled());

    open.store(false, Ordering::Relaxed);
    let gap = echo(&connection, 100_000).await;
    println!("moved to TCP within {gap:?}");
    assert!(viewer.is_tunnelled());
    echo(&connection, 100_000).await;

    open.store(true, Ordering::Relaxed);
    let back = async {
        while viewer.is_tunnelled() {
            echo(&connection, 1_000).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, back).await.expect("it does not come back");
    echo(&connection, 100_000).await;
    assert!(connection.quic.close_reason().is_none(), "one connection all along");
    viewer.close("the end").await;
}

/// Who does not prove to be the peer that is looked for gets no datagram.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_at_the_port_is_not_taken() {
    let (server, _) = server().await;
    let addr = wall(server.local_addr(), Arc::default()).await;
    let viewer = viewer();
    let other = Identity::generate().id();
    assert!(viewer.connect(addr, other, Purpose::Rendezvous).await.is_err());
    assert!(!viewer.is_tunnelled());
}

/// The address changes under a connection, over UDP and then through a tunnel.
#[test]
fn a_connection_outlives_a_change_of_address() {
    let mut home = match Home::new("m", 100) {
        Ok(home) => home,
        Err(why) => return eprintln!("skipped: no network namespaces here ({why})"),
    };
    let (tell, told) = std::sync::mpsc::channel();
    let world = home.world.ip;
    home.world.block_on(move || async move {
        let identity = Arc::new(Identity::generate());
        let endpoint =
            Endpoint::bind((world, 0).into(), identity.clone(), &[Purpose::Rendezvous]).unwrap();
        tell.send((endpoint.local_addr(), identity.id())).unwrap();
        // Says ten times a second from where it hears.
        let connection = endpoint.accept().await.unwrap().establish().await.unwrap();
        while let Ok(mut stream) = connection.quic.open_uni().await {
            let from = crate::endpoint::canonical(connection.quic.remote_address());
            let _ = stream.write_all(from.ip().to_string().as_bytes()).await;
            let _ = stream.finish();
            sleep(Duration::from_millis(100)).await;
        }
    });
    let (server, peer) = told.recv().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    let end = over.clone();
    let listening = home.inside.block_on(move || async move {
        let uplink = crate::uplink::Uplink::new(None);
        let identity = Arc::new(Identity::generate());
        let any = (Ipv4Addr::UNSPECIFIED, 0).into();
        let (viewer, _stun) = Endpoint::bind_behind(any, identity, &[], Some(&uplink)).unwrap();
        let connection = viewer.connect(server, peer, Purpose::Rendezvous).await.unwrap();
        let moved = viewer.moved();
        while !end.load(Ordering::Relaxed) {
            let stream = timeout(PATIENCE, connection.quic.accept_uni()).await;
            let Ok(Ok(mut stream)) = stream else { return false };
            let Ok(said) = stream.read_to_end(100).await else { return false };
            tell.send((Instant::now(), String::from_utf8(said).unwrap())).unwrap();
        }
        moved.has_changed().unwrap_or_default()
    });
    let first = told.recv_timeout(PATIENCE).unwrap().1;
    assert_eq!(first, home.inside.ip.to_string());
    std::thread::sleep(Duration::from_millis(1_000));
    let mut last = told.try_iter().last().unwrap().0;
    home.readdress(3);
    let (mut gap, new) = (Duration::ZERO, home.inside.ip.to_string());
    loop {
        let (at, said) = told.recv_timeout(PATIENCE).expect("it is not heard any more");
        gap = gap.max(at - last);
        last = at;
        if said == new {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    println!("the longest gap at a change of address: {gap:?}");
    assert!(listening.join().unwrap(), "the change was not seen");
}

/// Bytes that are no TLS do no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_turned_away() {
    let (server, identity) = server().await;
    let addr = server.local_addr();
    let hung_up = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        std::io::Write::write_all(&mut stream, &[0x47; 4000]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        // An alert, or nothing, and the end.
        stream.read_to_end(&mut rest).is_ok() || rest.is_empty()
    });
    assert!(hung_up.await.unwrap());
    let open = Arc::new(AtomicBool::new(false));
    let addr = wall(addr, open).await;
    let viewer = viewer();
    let connection = viewer.connect(addr, identity.id(), Purpose::Rendezvous).await.unwrap();
    echo(&connection, 1_000).await;
}
