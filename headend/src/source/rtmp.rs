//! A server of RTMP for encoders such as OBS: one that shows the stream key may publish, and what it publishes comes out
//! of an `appsrc` as FLV.
//!
//! What a stranger may send before it has shown the key is bounded in bytes and time. The protocol itself is
//! `rml_rtmp`'s (Adobe's RTMP 1.0 and AMF0).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer_app::AppSrc;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
};
use service::config::SecretText;

use crate::cancel::Cancel;
use crate::pipeline::Error;

/// Connections at one time; more are closed at once.
const CONNECTIONS: usize = 8;
/// What may come before the key was shown, bytes. A handshake is 3 kB, what follows a few hundred.
const STRANGER: usize = 16 * 1024;
/// How long the key may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a connection looks whether it should end.
const NAP: Duration = Duration::from_millis(100);
/// Values within values are read by recursion: what [`STRANGER`] bytes can nest fits in here.
const STACK: usize = 32 << 20;
/// What waits for GStreamer, bytes; while it is full, the encoder waits.
const QUEUE: u64 = 4 << 20;

/// A running server. Dropping it ends it and all its connections.
pub(super) struct Server {
    cancel: Cancel,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

/// What connections share.
struct Shared {
    app: String,
    key: SecretText,
    out: AppSrc,
    cancel: Cancel,
    connections: AtomicUsize,
    /// Whether one publishes.
    taken: AtomicBool,
}

impl Server {
    /// Listens on an address for who publishes to `app` with `key`.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub(super) fn start(
        address: SocketAddr,
        app: &str,
        key: SecretText,
    ) -> Result<(Self, AppSrc), Error> {
        let cannot = |error| Error::Build(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let out = AppSrc::builder()
            .caps(&gst::Caps::builder("video/x-flv").build())
            .format(gst::Format::Time)
            .is_live(true)
            .max_bytes(QUEUE)
            .build();
        out.set_block(true);
        let cancel = Cancel::new();
        let shared = Arc::new(Shared {
            app: app.to_owned(),
            key,
            out: out.clone(),
            cancel: cancel.clone(),
            connections: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
        });
        let span = tracing::Span::current();
        thread::Builder::new()
            .name("rtmp".into())
            .spawn(move || span.in_scope(|| accept(&listener, &shared)))
            .map_err(cannot)?;
        Ok((Self { cancel }, out))
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.cancel.is_set() {
        let Ok((stream, _)) = listener.accept() else {
            shared.cancel.sleep(NAP);
            continue;
        };
        if shared.connections.fetch_add(1, Relaxed) >= CONNECTIONS {
            shared.connections.fetch_sub(1, Relaxed);
            continue;
        }
        let (mine, span) = (shared.clone(), tracing::Span::current());
        let spawned =
            thread::Builder::new().name("rtmp".into()).stack_size(STACK).spawn(move || {
                let mut connection = Connection { shared: &mine, published: false };
                span.in_scope(|| match connection.serve(stream) {
                    Ok(()) => tracing::info!("the encoder has gone"),
                    Err(why) => tracing::info!(%why, "an RTMP connection has ended"),
                });
                if connection.published {
                    // The next run listens again.
                    let _ = mine.out.end_of_stream();
                }
                mine.connections.fetch_sub(1, Relaxed);
            });
        if spawned.is_err() {
            shared.connections.fetch_sub(1, Relaxed);
        }
    }
}

/// Why a connection ended before its stream did. Holds nothing that the other side sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Ended {
    #[error("it broke off")]
    Broken,
    #[error("it did not show the stream key in time")]
    Slow,
    #[error("it sent too much before it showed the stream key")]
    TooMuch,
    #[error("it does not speak RTMP")]
    Protocol,
    #[error("it showed a wrong application or stream key")]
    Key,
    #[error("another encoder is publishing")]
    Taken,
}

/// One connection.
struct Connection<'a> {
    shared: &'a Shared,
    /// Whether it was let in.
    published: bool,
}

impl Connection<'_> {
    fn serve(&mut self, mut stream: TcpStream) -> Result<(), Ended> {
        let broken = |_| Ended::Broken;
        stream.set_nonblocking(false).map_err(broken)?;
        stream.set_read_timeout(Some(NAP)).map_err(broken)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
        let until = Instant::now() + PATIENCE;
        let (mut received, mut buffer) = (0, vec![0; 64 * 1024]);
        let mut handshake = Handshake::new(PeerType::Server);
        let mut session = None;
        while !self.shared.cancel.is_set() {
            if !self.published && Instant::now() > until {
                return Err(Ended::Slow);
            }
            let most = if self.published { buffer.len() } else { STRANGER - received };
            let count = match stream.read(&mut buffer[..most]) {
                Ok(0) if most == 0 => return Err(Ended::TooMuch),
                Ok(0) => return if self.published { Ok(()) } else { Err(Ended::Broken) },
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == ErrorKind::TimedOut => continue,
                Err(_) => return Err(Ended::Broken),
            };
            received = (received + count).min(STRANGER);
            let mut bytes = buffer[..count].to_vec();
            if session.is_none() {
                let done = handshake.process_bytes(&bytes).map_err(|_| Ended::Protocol)?;
                bytes = match done {
                    HandshakeProcessResult::InProgress { response_bytes } => {
                        stream.write_all(&response_bytes).map_err(broken)?;
                        continue;
                    }
                    HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                        stream.write_all(&response_bytes).map_err(broken)?;
                        remaining_bytes
                    }
                };
                let begun = ServerSession::new(ServerSessionConfig::new());
                let (begun, results) = begun.map_err(|_| Ended::Protocol)?;
                session = Some(begun);
                answer(&mut stream, &results)?;
            }
            let Some(session) = &mut session else { continue };
            let results = session.handle_input(&bytes).map_err(|_| Ended::Protocol)?;
            answer(&mut stream, &results)?;
            for result in results {
                let ServerSessionResult::RaisedEvent(event) = result else { continue };
                if self.event(session, event, &mut stream)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the stream has ended.
    fn event(
        &mut self,
        session: &mut ServerSession,
        event: ServerSessionEvent,
        stream: &mut TcpStream,
    ) -> Result<bool, Ended> {
        use ServerSessionEvent as Event;
        let accept = |session: &mut ServerSession, request, stream: &mut TcpStream| {
            answer(stream, &session.accept_request(request).map_err(|_| Ended::Protocol)?)
        };
        match event {
            Event::ConnectionRequested { request_id, app_name } => {
                if app_name.trim_matches('/') != self.shared.app {
                    return Err(Ended::Key);
                }
                accept(session, request_id, stream)?;
            }
            Event::ReleaseStreamRequested { request_id, .. } => {
                accept(session, request_id, stream)?
            }
            Event::PublishStreamRequested { request_id, stream_key, .. } => {
                let (shown, key) = (stream_key.as_bytes(), self.shared.key.expose().as_bytes());
                let equal = aws_lc_rs::constant_time::verify_slices_are_equal(shown, key).is_ok();
                let why = if !equal {
                    Some(Ended::Key)
                } else if !self.published && self.shared.taken.swap(true, Relaxed) {
                    Some(Ended::Taken)
                } else {
                    None
                };
                if let Some(why) = why {
                    let code = "NetStream.Publish.BadName";
                    let refusal = session.reject_request(request_id, code, "refused");
                    answer(stream, &refusal.map_err(|_| Ended::Protocol)?)?;
                    return Err(why);
                }
                accept(session, request_id, stream)?;
                if !self.published {
                    self.published = true;
                    tracing::info!("an encoder publishes");
                    // Sound and pictures may be there.
                    self.out(vec![b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0])?;
                }
            }
            Event::VideoDataReceived { data, timestamp, .. } if self.published => {
                self.out(tag(9, timestamp.value, &data))?;
            }
            Event::AudioDataReceived { data, timestamp, .. } if self.published => {
                self.out(tag(8, timestamp.value, &data))?;
            }
            Event::PublishStreamFinished { .. } => return Ok(self.published),
            _ => {}
        }
        Ok(false)
    }

    fn out(&self, bytes: Vec<u8>) -> Result<(), Ended> {
        let pushed = self.shared.out.push_buffer(gst::Buffer::from_mut_slice(bytes));
        pushed.map(drop).map_err(|_| Ended::Broken)
    }
}

fn answer(stream: &mut TcpStream, results: &[ServerSessionResult]) -> Result<(), Ended> {
    for result in results {
        if let ServerSessionResult::OutboundResponse(packet) = result {
            stream.write_all(&packet.bytes).map_err(|_| Ended::Broken)?;
        }
    }
    Ok(())
}

/// A tag of FLV (Adobe Flash Video File Format 10.1, annex E.4.1), and its size behind it.
fn tag(kind: u8, ms: u32, data: &Bytes) -> Vec<u8> {
    let size = (data.len() as u32).to_be_bytes();
    let time = ms.to_be_bytes();
    let mut out = Vec::with_capacity(15 + data.len());
    out.extend([kind, size[1], size[2], size[3], time[1], time[2], time[3], time[0], 0, 0, 0]);
    out.extend(data);
    out.extend((11 + data.len() as u32).to_be_bytes());
    out
}
