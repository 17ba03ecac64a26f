//! One tunnel: datagrams in a TLS stream.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::LONGEST;
use super::table::Arrived;

/// Datagrams that wait to be written; more are lost, as QUIC expects of a full queue.
pub(super) const OUTBOX: usize = 128;
/// What the system may hold of us that is not sent, bytes: a queue that QUIC does not see.
const SEND_BUFFER: usize = 128 << 10;
/// Written at one time, bytes: one TLS record.
const BATCH: usize = 16_000;
/// A tunnel through which nothing came for so long is dead: QUIC says every 2 s that it lives.
const IDLE: Duration = Duration::from_secs(20);
/// What cannot be written within this never will be.
const STUCK: Duration = Duration::from_secs(10);

/// Settings of the TCP connection under it.
pub(crate) fn tune(stream: &TcpStream) {
    // What is not granted still works.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
}

/// Carries datagrams both ways until one side ends. What comes is `from` this address, in QUIC's eyes.
pub(super) async fn run(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    from: impl Fn() -> SocketAddr,
    inbox: mpsc::Sender<Arrived>,
    outbox: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        result = read(reader, from, inbox) => result,
        result = write(writer, outbox) => result,
    }
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    from: impl Fn() -> SocketAddr,
    inbox: mpsc::Sender<Arrived>,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(BATCH);
    loop {
        let read = timeout(IDLE, stream.read_buf(&mut buffer)).await;
        if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
            return Ok(());
        }
        while let Some(head) = buffer.first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes(*head));
            if len == 0 || len > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if buffer.len() < 2 + len {
                break;
            }
            let bytes = buffer.split_to(2 + len).freeze().slice(2..);
            if inbox.send(Arrived { from: from(), bytes }).await.is_err() {
                return Ok(());
            }
        }
        buffer.reserve(BATCH);
    }
}

async fn write(
    mut stream: impl AsyncWrite + Unpin,
    mut outbox: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let mut batch = BytesMut::with_capacity(BATCH + LONGEST);
    while let Some(first) = outbox.recv().await {
        push(&mut batch, &first);
        while batch.len() < BATCH
            && let Ok(next) = outbox.try_recv()
        {
            push(&mut batch, &next);
        }
        let written = async {
            stream.write_all(&batch).await?;
            stream.flush().await
        };
        timeout(STUCK, written).await.map_err(|_| io::ErrorKind::TimedOut)??;
        batch.clear();
    }
    Ok(())
}

fn push(batch: &mut BytesMut, datagram: &[u8]) {
    if !datagram.is_empty() && datagram.len() <= LONGEST {
        batch.extend_from_slice(&(datagram.len() as u16).to_be_bytes());
        batch.extend_from_slice(datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: ([u8; 4], u16) = ([192, 0, 2, 1], 7);

    #[tokio::test]
    async fn datagrams_come_out_as_they_went_in() {
        let (one, other) = tokio::io::duplex(3000);
        let (tell, mut told) = mpsc::channel(4);
        let (send, outbox) = mpsc::channel(OUTBOX);
        let (_keep, silent) = mpsc::channel(1);
        let there = tokio::spawn(run(one, || FROM.into(), tell.clone(), silent));
        let here = tokio::spawn(run(other, || FROM.into(), tell, outbox));
        let sizes = [1, 1200, 1452, 20, 1500, 1501, 0, 3];
        for size in sizes {
            send.send(vec![size as u8; size].into()).await.unwrap();
        }
        for size in sizes.into_iter().filter(|size| (1..=LONGEST).contains(size)) {
            let arrived = told.recv().await.unwrap();
            assert_eq!((arrived.bytes.len(), arrived.from), (size, FROM.into()));
        }
        drop(send);
        assert!(here.await.unwrap().is_ok());
        assert!(there.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn nonsense_ends_it() {
        for nonsense in [&[0, 0][..], &[0xff, 0xff], b"GET / HTTP/1.1\r\n"] {
            let (one, mut other) = tokio::io::duplex(3000);
            let (tell, _told) = mpsc::channel(4);
            let (_keep, outbox) = mpsc::channel(1);
            let line = tokio::spawn(run(one, || FROM.into(), tell, outbox));
            other.write_all(nonsense).await.unwrap();
            assert!(line.await.unwrap().is_err());
        }
    }
}
