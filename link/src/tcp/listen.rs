//! Tunnels that others open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::line;
use super::table::{Table, marked};

/// Tunnels at one time; who comes then waits in the system's queue.
const MOST: usize = 4_096;
/// Handshakes under way at one time.
const HANDSHAKES: usize = 64;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(4);

/// Takes tunnels until the end. Who may talk through them is decided by QUIC.
pub(crate) async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    table: Arc<Table>,
    end: CancellationToken,
) {
    let (tunnels, handshakes) =
        (Arc::new(Semaphore::new(MOST)), Arc::new(Semaphore::new(HANDSHAKES)));
    loop {
        let accept = async {
            let room = tunnels.clone().acquire_owned().await.ok()?;
            let turn = handshakes.clone().acquire_owned().await.ok()?;
            Some((room, turn, listener.accept().await))
        };
        let Some(Some((room, turn, accepted))) = end.run_until_cancelled(accept).await else {
            return;
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            // No files left: they come back.
            Err(error) => {
                tracing::debug!(%error, "no tunnel");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, table, end) = (acceptor.clone(), table.clone(), end.clone());
        tokio::spawn(async move {
            let greeted = timeout(HANDSHAKE, greet(acceptor, stream)).await;
            drop(turn);
            let Ok(Ok(stream)) = greeted else { return };
            let from = marked(crate::endpoint::canonical(from));
            let ended = end.run_until_cancelled(serve(stream, from, &table)).await;
            if let Some(Err(error)) = ended {
                tracing::debug!(%error, "a tunnel breaks");
            }
            drop(room);
        });
    }
}

async fn greet(
    acceptor: TlsAcceptor,
    stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    line::tune(&stream);
    acceptor.accept(stream).await
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    from: SocketAddr,
    table: &Table,
) -> io::Result<()> {
    let (tunnel, outbox) = mpsc::channel(line::OUTBOX);
    let _open = Open::new(table, from, tunnel);
    line::run(stream, || from, table.inbox(), outbox).await
}

/// A tunnel in the table, as long as it lives.
pub(super) struct Open<'a> {
    table: &'a Table,
    addr: SocketAddr,
    tunnel: mpsc::Sender<bytes::Bytes>,
}

impl<'a> Open<'a> {
    pub(super) fn new(
        table: &'a Table,
        addr: SocketAddr,
        tunnel: mpsc::Sender<bytes::Bytes>,
    ) -> Self {
        table.open(addr, tunnel.clone());
        Self { table, addr, tunnel }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.table.close(self.addr, &self.tunnel);
    }
}
