//! Both ends of a connection know whom they talk to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use link::{Connection, ConnectionError, Endpoint, Purpose, protocol};
use ticket::Identity;
use tokio::time::timeout;

fn bind(identity: &Arc<Identity>, accept: &[Purpose]) -> Endpoint {
    Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), identity.clone(), accept).unwrap()
}

fn identity() -> Arc<Identity> {
    Arc::new(Identity::generate())
}

async fn accept_one(endpoint: &Endpoint) -> Connection {
    endpoint.accept().await.unwrap().establish().await.unwrap()
}

/// Two nodes that are connected: the one that was dialled and its end, the one that dials and its end.
async fn connected(purpose: Purpose) -> [(Endpoint, Connection); 2] {
    let b = identity();
    let server = bind(&b, &[purpose]);
    let client = bind(&identity(), &[]);
    let (out, inward) =
        tokio::join!(client.connect(server.local_addr(), b.id(), purpose), accept_one(&server));
    [(server, inward), (client, out.unwrap())]
}

#[tokio::test]
async fn each_learns_the_others_key_and_purpose() {
    let (a, b) = (identity(), identity());
    let server = bind(&b, &[Purpose::Peers, Purpose::Rendezvous]);
    let client = bind(&a, &[]);
    for purpose in [Purpose::Peers, Purpose::Rendezvous] {
        let (out, inward) =
            tokio::join!(client.connect(server.local_addr(), b.id(), purpose), accept_one(&server));
        assert_eq!(out.unwrap().peer, b.id());
        assert_eq!(inward.peer, a.id());
        assert_eq!(inward.purpose, purpose);
        assert_eq!(inward.quic.remote_address(), client.local_addr());
    }
    let (received, sent) = client.wire_bytes();
    assert!(received > 1000 && sent > 1000);
}

/// Rendezvous pings nobody: a node that says nothing for longer than a connection lives without a packet must do so itself.
#[tokio::test]
async fn who_is_silent_at_rendezvous_stays() {
    let ends = connected(Purpose::Rendezvous).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    for (_, connection) in &ends {
        assert_eq!(connection.quic.close_reason(), None);
    }
}

#[tokio::test]
async fn another_node_at_the_address_is_not_taken() {
    let server = bind(&identity(), &[Purpose::Peers]);
    let client = bind(&identity(), &[]);
    let accepting = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.unwrap().establish().await.map(|_| ()) }
    });
    let addr = server.local_addr();
    let error = client.connect(addr, identity().id(), Purpose::Peers).await.unwrap_err();
    assert_eq!(error, ConnectionError::OtherPeer);
    assert!(accepting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_purpose_that_is_not_served_is_refused() {
    let b = identity();
    let server = bind(&b, &[Purpose::Peers]);
    let client = bind(&identity(), &[]);
    let accepting = tokio::spawn({
        let server = server.clone();
        async move { server.accept().await.unwrap().establish().await.map(|_| ()) }
    });
    let error = client.connect(server.local_addr(), b.id(), Purpose::Rendezvous).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Refused(_)), "{error}");
    assert!(accepting.await.unwrap().is_err());
}

#[tokio::test]
async fn nobody_there() {
    let vacant: SocketAddr = bind(&identity(), &[]).local_addr();
    let client = bind(&identity(), &[]);
    let error = client.connect(vacant, identity().id(), Purpose::Peers).await.unwrap_err();
    assert_eq!(error, ConnectionError::Unreachable);
}

#[tokio::test]
async fn closing_tells_the_reason() {
    let [(server, _inward), (_client, out)] = connected(Purpose::Peers).await;
    server.close("going home\n").await;
    let error = ConnectionError::from(out.quic.closed().await);
    assert_eq!(error, ConnectionError::Refused("going home ".into()));
    assert!(server.accept().await.is_none());
}

/// Who restarts under the same identity and address disowns the connections of its former life:
/// the other end notices at its next packet and need not wait for silence.
#[tokio::test]
async fn a_restarted_node_is_noticed_at_once() {
    let b = identity();
    let client = bind(&identity(), &[]);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = {
        let _inside = runtime.enter();
        bind(&b, &[Purpose::Rendezvous])
    };
    let addr = first.local_addr();
    let serving = runtime.spawn(async move {
        let connection = accept_one(&first).await;
        connection.quic.closed().await;
    });
    let before = client.connect(addr, b.id(), Purpose::Rendezvous).await.unwrap();
    // The process dies: nothing is said.
    runtime.shutdown_background();
    let _ = serving.await;
    let second = loop {
        match Endpoint::bind(addr, b.clone(), &[Purpose::Rendezvous]) {
            Ok(endpoint) => break endpoint,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let (mut send, _) = before.quic.open_bi().await.unwrap();
    protocol::write(&mut send, &protocol::Request::Clock { sent: 1 }).await.unwrap();
    let closed = timeout(Duration::from_secs(3), before.quic.closed()).await.unwrap();
    assert!(matches!(closed, quinn::ConnectionError::Reset), "{closed}");
    let (out, _inward) =
        tokio::join!(client.connect(addr, b.id(), Purpose::Rendezvous), accept_one(&second));
    out.unwrap();
}

#[tokio::test]
async fn frames_travel_and_unknown_ones_are_skipped() {
    let b = identity();
    let server = bind(&b, &[Purpose::Rendezvous]);
    let client = bind(&identity(), &[]);
    let (out, inward) = tokio::join!(
        client.connect(server.local_addr(), b.id(), Purpose::Rendezvous),
        accept_one(&server)
    );
    let (mut send, _) = out.unwrap().quic.open_bi().await.unwrap();
    // From a newer side: type 99, three bytes.
    send.write_all(&[99, 0, 0, 0, 3, 1, 2, 3]).await.unwrap();
    protocol::write(&mut send, &protocol::Request::Clock { sent: 5 }).await.unwrap();
    send.write_all(&[7, 1, 0, 0, 0]).await.unwrap();
    let (_, mut receive) = inward.quic.accept_bi().await.unwrap();
    let frame: protocol::Request = protocol::read(&mut receive).await.unwrap();
    assert_eq!(frame, protocol::Request::Clock { sent: 5 });
    let error = protocol::read::<protocol::Request>(&mut receive).await.unwrap_err();
    assert_eq!(error, protocol::FrameError::TooLong(1 << 24));
}

#[tokio::test]
async fn several_identities_share_a_socket() {
    let b = identity();
    let server = bind(&b, &[Purpose::Rendezvous]);
    let socket = bind(&identity(), &[]);
    let mut kept = Vec::new();
    for _ in 0..3 {
        let own = identity();
        let node = socket.with_identity(own.clone()).unwrap();
        assert_eq!(node.id(), own.id());
        let (out, inward) = tokio::join!(
            node.connect(server.local_addr(), b.id(), Purpose::Rendezvous),
            accept_one(&server)
        );
        assert_eq!(inward.peer, own.id());
        assert_eq!(inward.quic.remote_address(), socket.local_addr());
        // The handle goes, the connection stays.
        kept.push((out.unwrap(), inward));
    }
    for (number, (out, inward)) in kept.iter().enumerate() {
        let (mut send, _) = out.quic.open_bi().await.unwrap();
        send.write_all(&[number as u8]).await.unwrap();
        let (_, mut receive) = inward.quic.accept_bi().await.unwrap();
        let mut read = [0];
        receive.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [number as u8]);
    }
}
