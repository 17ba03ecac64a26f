//! The first words on a connection: both sides show their tickets.

use std::sync::Arc;
use std::time::Duration;

use segment::SwarmId;

use ticket::ChannelTicket;
use tokio::time::timeout;

use super::clock::Clock;
use super::policy::Policy;
use super::wire::{Close, MAX_FRAME, PeerFrame, VERSION};
use crate::endpoint::{Connection, ConnectionError, LEAVING, canonical};
use crate::protocol;
use crate::protocol::frame::read_within;

/// Who has not shown a ticket by then is cut off.
const PATIENCE: Duration = Duration::from_secs(4);

/// A connection with both tickets checked.
pub(crate) struct Met {
    pub(crate) connection: Connection,
    pub(crate) ticket: ChannelTicket,
    pub(crate) send: quinn::SendStream,
    pub(crate) receive: quinn::RecvStream,
    /// Whether this node dialled.
    pub(crate) dialled: bool,
    /// Swarms that the other was asked for along with the hello.
    pub(crate) asked: Vec<SwarmId>,
}

/// Why there is no meeting.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The other side closed, refused, or fell silent.
    Theirs(ConnectionError),
    /// This side refused, with this reason.
    Ours(String),
}

/// What is said besides.
pub(crate) struct Words {
    /// Swarms that are asked for.
    pub(crate) swarms: Vec<SwarmId>,
    /// Nobody is to be told where this node is.
    pub(crate) unlisted: bool,
}

/// Speaks first, and asks for these swarms in the same breath: it saves a round trip.
pub(crate) async fn dial(
    connection: Connection,
    words: Words,
    policy: &Policy,
    clock: &Clock,
) -> Result<Met, Failure> {
    let token = own_token(&connection, policy)?;
    let quic = connection.quic.clone();
    let exchange = async {
        let (mut send, mut receive) = quic.open_bi().await.map_err(ConnectionError::from)?;
        say(&quic, &mut send, token).await?;
        if words.unlisted {
            protocol::write(&mut send, &PeerFrame::Unlisted).await.map_err(|_| why(&quic))?;
        }
        for swarm in &words.swarms {
            let enter = PeerFrame::Enter { swarm: swarm.0 };
            protocol::write(&mut send, &enter).await.map_err(|_| why(&quic))?;
        }
        let theirs = listen(&quic, &mut receive).await?;
        Ok((send, receive, theirs))
    };
    let mut met = finish(connection, exchange, true, policy, clock).await?;
    met.asked = words.swarms;
    Ok(met)
}

/// Answers; nothing is said to somebody whose ticket does not pass.
pub(crate) async fn answer(
    connection: Connection,
    policy: &Policy,
    clock: &Clock,
) -> Result<Met, Failure> {
    let token = own_token(&connection, policy)?;
    let quic = connection.quic.clone();
    let exchange = async {
        let (send, mut receive) = quic.accept_bi().await.map_err(ConnectionError::from)?;
        let theirs = listen(&quic, &mut receive).await?;
        Ok((send, receive, theirs))
    };
    let mut met = finish(connection, exchange, false, policy, clock).await?;
    timeout(PATIENCE, say(&quic, &mut met.send, token))
        .await
        .map_err(|_| Failure::Theirs(ConnectionError::Unreachable))?
        .map_err(Failure::Theirs)?;
    Ok(met)
}

fn own_token(connection: &Connection, policy: &Policy) -> Result<Arc<str>, Failure> {
    policy.token().ok_or_else(|| {
        let reason = "this node has no ticket yet";
        connection.quic.close(Close::Refused.code(), reason.as_bytes());
        Failure::Ours(reason.into())
    })
}

async fn say(
    quic: &quinn::Connection,
    send: &mut quinn::SendStream,
    token: Arc<str>,
) -> Result<(), ConnectionError> {
    // Control goes before shards.
    let _ = send.set_priority(100);
    let hello = PeerFrame::Hello { version: VERSION, ticket: token.to_string() };
    protocol::write(send, &hello).await.map_err(|_| why(quic))
}

async fn listen(
    quic: &quinn::Connection,
    receive: &mut quinn::RecvStream,
) -> Result<PeerFrame, ConnectionError> {
    read_within(receive, MAX_FRAME).await.map_err(|_| why(quic))
}

/// Why the connection ended, as the other side told it. Who is leaving refuses nobody.
fn why(quic: &quinn::Connection) -> ConnectionError {
    match quic.close_reason() {
        None => ConnectionError::Unreachable,
        Some(quinn::ConnectionError::ApplicationClosed(close)) if close.error_code == LEAVING => {
            ConnectionError::Unreachable
        }
        Some(error) => error.into(),
    }
}

async fn finish(
    connection: Connection,
    exchange: impl Future<
        Output = Result<(quinn::SendStream, quinn::RecvStream, PeerFrame), ConnectionError>,
    >,
    dialled: bool,
    policy: &Policy,
    clock: &Clock,
) -> Result<Met, Failure> {
    let (send, receive, hello) = timeout(PATIENCE, exchange)
        .await
        .map_err(|_| {
            connection.quic.close(Close::Protocol.code(), b"no hello");
            Failure::Theirs(ConnectionError::Unreachable)
        })?
        .map_err(Failure::Theirs)?;
    let checked = match hello {
        PeerFrame::Hello { version: VERSION, ticket } => {
            let addr = canonical(connection.quic.remote_address());
            policy.check(&ticket, connection.peer, addr, clock)
        }
        PeerFrame::Hello { version, .. } => Err(format!("version {version} is not spoken here")),
        _ => Err("no hello".into()),
    };
    match checked {
        Ok(ticket) => Ok(Met { connection, ticket, send, receive, dialled, asked: Vec::new() }),
        Err(reason) => {
            connection.quic.close(Close::Refused.code(), reason.as_bytes());
            Err(Failure::Ours(reason))
        }
    }
}
