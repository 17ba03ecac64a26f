//! A connection to a rendezvous server.

use std::time::Duration;

use ticket::PeerId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::auth::Rendezvous;
use crate::node::dial_first;
use crate::protocol::{self, Event, Refusal, Request};
use crate::{Connection, Endpoint, Purpose};

/// A server that does not answer within this is passed over.
const CONNECT: Duration = Duration::from_secs(3);
/// A frame that cannot be written or a welcome that does not come within this ends the connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that wait to be handled; rendezvous waits with the next.
const EVENTS: usize = 64;

/// Why rendezvous does not let the node in.
#[derive(Debug)]
pub(crate) enum Turned {
    /// It cannot be reached, or is not ready.
    Unreachable,
    /// It refused.
    Refused(Refusal, String),
}

/// Connects to the first server that answers.
pub(crate) async fn reach(endpoint: &Endpoint, servers: &[Rendezvous]) -> Option<Connection> {
    for server in servers {
        let addrs = server.addrs();
        let dial = dial_first(endpoint, &addrs, server.peer_id, Purpose::Rendezvous);
        match timeout(CONNECT, dial).await {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error)) => tracing::debug!(server = ?server.peer_id, %error, "no rendezvous"),
            Err(_) => tracing::debug!(server = ?server.peer_id, "rendezvous does not answer"),
        }
    }
    None
}

/// A session at rendezvous.
pub(crate) struct Wire {
    pub(crate) server: PeerId,
    connection: Connection,
    send: quinn::SendStream,
    pub(crate) events: mpsc::Receiver<Event>,
    reader: JoinHandle<()>,
}

impl Wire {
    /// Says hello; gives the welcome.
    pub(crate) async fn open(
        connection: Connection,
        hello: &Request,
    ) -> Result<(Self, Event), Turned> {
        let greet = async {
            let (mut send, mut receive) = connection.quic.open_bi().await.ok()?;
            protocol::write(&mut send, hello).await.ok()?;
            let event = protocol::read::<Event>(&mut receive).await.ok()?;
            Some((send, receive, event))
        };
        let greeted = timeout(PATIENCE, greet).await.ok().flatten();
        let Some((send, mut receive, event)) = greeted else {
            connection.quic.close(0u8.into(), b"no welcome");
            return Err(Turned::Unreachable);
        };
        if let Event::Refused { refusal, reason } = event {
            connection.quic.close(0u8.into(), b"refused");
            let reason = crate::endpoint::reason(reason.as_bytes());
            return Err(Turned::Refused(refusal, reason));
        }
        let (tell, events) = mpsc::channel(EVENTS);
        let reader = tokio::spawn(async move {
            while let Ok(event) = protocol::read::<Event>(&mut receive).await {
                if tell.send(event).await.is_err() {
                    return;
                }
            }
        });
        let server = connection.peer;
        Ok((Self { server, connection, send, events, reader }, event))
    }

    /// Whether rendezvous has let go because it sees this node at another address.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.connection.quic.close_reason(), Some(quinn::ConnectionError::ApplicationClosed(close))
            if close.error_code == protocol::ELSEWHERE.into())
    }

    /// Sends requests; `false` if the connection is of no more use.
    pub(crate) async fn send(&mut self, requests: &mut Vec<Request>) -> bool {
        for request in requests.drain(..) {
            let written = timeout(PATIENCE, protocol::write(&mut self.send, &request)).await;
            if !matches!(written, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reader.abort();
        self.connection.quic.close(0u8.into(), b"bye");
    }
}
