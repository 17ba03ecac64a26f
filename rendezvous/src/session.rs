//! One node's QUIC session: frames in, frames out, the end.

use std::sync::Arc;
use std::time::Duration;

use link::protocol::{self, Event, Request};
use link::{Connection, Incoming};
use quinn::{RecvStream, SendStream, VarInt};
use ticket::Role;
use tokio::time::{Instant, sleep, timeout};

use crate::hub::{Caller, Denied, Hub, Inbox, Outbox};

/// A node that does not say who it is within this is let go.
const HELLO: Duration = Duration::from_secs(5);
/// An event that cannot be written within this ends the session.
const WRITE: Duration = Duration::from_secs(10);
const ELSEWHERE: &str = "seen at another address: say hello again";
/// How long the last word may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How fast a viewer may send frames: so many at once, and then so many each second. Beyond it they
/// are read later; QUIC's flow control holds the sender back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// At once.
    pub burst: u32,
    /// Each second.
    pub per_second: u32,
}

/// Headends and repeaters take part in many swarms, and say so all at once when they come back.
const SERVERS: u32 = 20;

impl Pace {
    /// That of a node in this role: `self` is a viewer's.
    fn of(self, role: Role) -> Self {
        match role {
            Role::Viewer => self,
            Role::Headend | Role::Repeater | Role::Rendezvous => Self {
                burst: self.burst.saturating_mul(SERVERS),
                per_second: self.per_second.saturating_mul(SERVERS),
            },
        }
    }
}

/// Serves one inbound connection until it ends.
pub async fn serve(hub: Arc<Hub>, incoming: Incoming, pace: Pace) {
    let Ok(connection) = incoming.establish().await else { return };
    let reason = match timeout(HELLO, connection.quic.accept_bi()).await {
        Ok(Ok((send, recv))) => run(&hub, &connection, send, recv, pace).await,
        Ok(Err(_)) | Err(_) => "no hello",
    };
    let code = if reason == ELSEWHERE { protocol::ELSEWHERE } else { 0 };
    connection.quic.close(VarInt::from_u32(code), reason.as_bytes());
}

async fn run(
    hub: &Hub,
    connection: &Connection,
    mut send: SendStream,
    mut recv: RecvStream,
    pace: Pace,
) -> &'static str {
    let Ok(Ok(hello)) = timeout(HELLO, protocol::read::<Request>(&mut recv)).await else {
        return "no hello";
    };
    let (outbox, inbox) = Outbox::new();
    let caller = match enter(hub, connection, &hello, &outbox).await {
        Ok(caller) => caller,
        Err(Denied::NotReady) => return "not ready: auth was not reached yet",
        Err(denied) => {
            let (refusal, reason) = match denied {
                Denied::Refused(refusal, reason) => (refusal, reason),
                Denied::UnknownKey | Denied::NotReady => {
                    (protocol::Refusal::Ticket, ticket::Error::UnknownKey.to_string())
                }
            };
            tracing::debug!(peer = ?connection.peer, ?refusal, %reason, "refused");
            hub.metrics().refused(refusal);
            farewell(&mut send, Some(Event::Refused { refusal, reason })).await;
            return "refused";
        }
    };
    drop(hello);
    tracing::debug!(peer = ?caller.peer, role = ?caller.role, "session begins");
    let reason = tokio::select! {
        reason = listen(hub, &caller, connection, &mut recv, &outbox, pace) => reason,
        reason = talk(&mut send, inbox) => reason,
    };
    hub.depart(&caller);
    tracing::debug!(peer = ?caller.peer, role = ?caller.role, reason, "session ends");
    reason
}

/// Lets the node in; if its ticket names an unknown key, after another look at auth's key set.
async fn enter(
    hub: &Hub,
    connection: &Connection,
    hello: &Request,
    outbox: &Outbox,
) -> Result<Caller, Denied> {
    let observed = connection.quic.remote_address();
    match hub.hello(connection.peer, observed, hello, outbox) {
        Err(Denied::UnknownKey) => {
            hub.fresh_key_set().await;
            hub.hello(connection.peer, observed, hello, outbox)
        }
        outcome => outcome,
    }
}

async fn listen(
    hub: &Hub,
    caller: &Caller,
    connection: &Connection,
    recv: &mut RecvStream,
    outbox: &Outbox,
    pace: Pace,
) -> &'static str {
    let mut metre = Metre::new(pace.of(caller.role));
    let (seen, begun) = (connection.quic.remote_address(), Instant::now());
    loop {
        outbox.room().await;
        let Ok(request) = protocol::read::<Request>(recv).await else { return "bye" };
        // The home's router has another address, or UDP is blocked now, or no longer. A viewer cannot know; others would be
        // told where it was.
        let moved = caller.role == Role::Viewer && connection.quic.remote_address() != seen;
        if moved && hub.is_to_come_again(caller.peer, begun.elapsed()) {
            return ELSEWHERE;
        }
        metre.wait().await;
        if let Request::Renew { ticket: Some(token) } = &request
            && hub.unknown_signer(caller.peer, token)
        {
            hub.fresh_key_set().await;
        }
        if !hub.answer(caller, request) {
            return "out of turn";
        }
    }
}

async fn talk(send: &mut SendStream, mut inbox: Inbox) -> &'static str {
    loop {
        let event = tokio::select! {
            biased;
            last = inbox.end.requested() => {
                farewell(send, last).await;
                return "ended";
            }
            event = inbox.events.recv() => event,
        };
        let Some(event) = event else { return "ended" };
        let hurry = async {
            inbox.end.requested().await;
            sleep(FAREWELL).await;
        };
        tokio::select! {
            written = timeout(WRITE, protocol::write(send, &event)) => match written {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return "bye",
                Err(_) => return "too slow",
            },
            // Half an event is out: there is no place for a last word.
            () = hurry => return "ended",
        }
    }
}

/// Says the last word, and waits a little until it has arrived.
async fn farewell(send: &mut SendStream, last: Option<Event>) {
    let said = async {
        if let Some(event) = last {
            protocol::write(send, &event).await.ok()?;
        }
        send.finish().ok()?;
        send.stopped().await.ok()
    };
    let _ = timeout(FAREWELL, said).await;
}

/// Spaces frames out: each takes a place in time, and may be early by what the burst takes.
struct Metre {
    spacing: Duration,
    ahead: Duration,
    next: Instant,
}

impl Metre {
    fn new(pace: Pace) -> Self {
        let spacing = Duration::from_secs(1) / pace.per_second.max(1);
        Self { spacing, ahead: spacing * pace.burst, next: Instant::now() }
    }

    async fn wait(&mut self) {
        let now = Instant::now();
        self.next = self.next.max(now) + self.spacing;
        let early = self.next.saturating_duration_since(now + self.ahead);
        if !early.is_zero() {
            sleep(early).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_frames_are_spaced() {
        let mut metre = Metre::new(Pace { burst: 10, per_second: 20 });
        let start = Instant::now();
        for _ in 0..10 {
            metre.wait().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            metre.wait().await;
        }
        let spaced = start.elapsed();
        assert!(spaced >= Duration::from_secs(1), "{spaced:?}");
        assert!(spaced < Duration::from_millis(1100), "{spaced:?}");
        sleep(Duration::from_secs(60)).await;
        let later = Instant::now();
        for _ in 0..10 {
            metre.wait().await;
        }
        assert_eq!(later.elapsed(), Duration::ZERO);
    }
}
