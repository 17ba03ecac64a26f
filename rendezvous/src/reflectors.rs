//! Sockets that tell who asks at what address it is seen. What they say is `link::nat::reflect`'s.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use link::nat::reflect::{MOST, Reflector, Voice, reflect};
use service::Stop;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::Config;
use crate::metrics::Metrics;

/// STUN's port (RFC 8489).
const PORT: u16 = 3478;
/// The longest datagram that is looked at, bytes.
const LONGEST: usize = 512;
/// Questions of one address that are answered in each [`WINDOW`]: a viewer asks some twenty times when it comes, and a
/// provider puts many homes behind one address.
const MOST_ASKED: u32 = 2_000;
const WINDOW: Duration = Duration::from_secs(10);
/// Addresses that are counted in one window; of others nothing is answered until it is over.
const MOST_ASKERS: usize = 100_000;

/// Three sockets of one address: two are asked, one is silent.
struct Trio {
    seen_as: Reflector,
    asked: [Arc<UdpSocket>; 2],
    silent: Arc<UdpSocket>,
}

/// What is bound, and not serving yet.
pub(crate) struct Reflectors(Vec<Trio>);

/// Where reflectors belong, and how nodes see them.
fn places(config: &Config) -> Vec<(SocketAddr, Option<SocketAddr>)> {
    let told = &config.reflect;
    if !told.listen.is_empty() {
        let seen = told.advertise.iter().copied().map(Some).chain(std::iter::repeat(None));
        return told.listen.iter().copied().zip(seen).collect();
    }
    let quic = config.quic.listen.ip();
    let ips: Vec<IpAddr> = match quic.is_unspecified() {
        true => config.advertise.quic.iter().map(SocketAddr::ip).collect(),
        false => vec![quic],
    };
    let port = if config.quic.listen.port() == 0 { 0 } else { PORT };
    let mut ips: Vec<_> = ips.into_iter().filter(|ip| !ip.is_loopback()).take(MOST).collect();
    ips.dedup();
    ips.into_iter().map(|ip| (SocketAddr::new(ip, port), None)).collect()
}

impl Reflectors {
    /// Binds what can be bound; `None` where there are to be none.
    pub(crate) async fn bind(config: &Config) -> Option<Self> {
        let places = places(config);
        if places.is_empty() {
            return None;
        }
        let mut trios = Vec::new();
        for (listen, seen) in places {
            match Trio::bind(listen, seen).await {
                Ok(trio) => trios.push(trio),
                Err(error) => tracing::warn!(
                    %listen, %error,
                    "no reflector here: viewers behind routers meet less often"
                ),
            }
        }
        Some(Self(trios))
    }

    /// As nodes see them.
    pub(crate) fn seen_as(&self) -> Vec<Reflector> {
        self.0.iter().map(|trio| trio.seen_as).collect()
    }

    /// Answers until the stop.
    pub(crate) async fn run(self, metrics: Metrics, stop: Stop) {
        let mut tasks = JoinSet::new();
        for (at, trio) in self.0.iter().enumerate() {
            let family = trio.seen_as.first.is_ipv4();
            let other = self.0.iter().enumerate().find(|(place, other)| {
                *place != at
                    && other.seen_as.first.is_ipv4() == family
                    && other.seen_as.first.ip() != trio.seen_as.first.ip()
            });
            let other = other.map(|(_, other)| other.silent.clone());
            for socket in &trio.asked {
                let ear = Ear {
                    socket: socket.clone(),
                    silent: trio.silent.clone(),
                    other: other.clone(),
                    metrics: metrics.clone(),
                };
                tasks.spawn(ear.listen());
            }
        }
        stop.requested().await;
    }
}

impl Trio {
    async fn bind(listen: SocketAddr, seen: Option<SocketAddr>) -> io::Result<Self> {
        let at = |offset: u16| {
            let port = if listen.port() == 0 { 0 } else { listen.port().saturating_add(offset) };
            UdpSocket::bind(SocketAddr::new(listen.ip(), port))
        };
        let asked = [Arc::new(at(0).await?), Arc::new(at(1).await?)];
        let silent = Arc::new(at(2).await?);
        let seen_as = match seen {
            Some(first) => {
                let second = SocketAddr::new(first.ip(), first.port().saturating_add(1));
                Reflector { first, second }
            }
            None => Reflector { first: asked[0].local_addr()?, second: asked[1].local_addr()? },
        };
        Ok(Self { seen_as, asked, silent })
    }
}

/// One socket that is asked, and those that may answer for it.
struct Ear {
    socket: Arc<UdpSocket>,
    silent: Arc<UdpSocket>,
    other: Option<Arc<UdpSocket>>,
    metrics: Metrics,
}

impl Ear {
    async fn listen(self) {
        let mut bytes = [0; LONGEST];
        let mut asked = Asked::default();
        loop {
            let Ok((len, from)) = self.socket.recv_from(&mut bytes).await else {
                // The system has no room for a moment.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let Some((voice, answer)) = reflect(from, &bytes[..len]) else { continue };
            if !asked.may(from.ip(), Instant::now()) {
                continue;
            }
            let voice = match voice {
                Voice::Same => Some(&self.socket),
                Voice::Silent => Some(&self.silent),
                Voice::Other => self.other.as_ref(),
            };
            if let Some(voice) = voice
                // What cannot be sent is asked again.
                && voice.try_send_to(&answer, from).is_ok()
            {
                self.metrics.reflected.inc();
            }
        }
    }
}

/// How often each address has asked lately.
#[derive(Default)]
struct Asked {
    since: Option<Instant>,
    by: HashMap<IpAddr, u32>,
}

impl Asked {
    fn may(&mut self, from: IpAddr, now: Instant) -> bool {
        if self.since.is_none_or(|since| now - since >= WINDOW) {
            self.since = Some(now);
            self.by.clear();
        }
        if self.by.len() >= MOST_ASKERS && !self.by.contains_key(&from) {
            return false;
        }
        let count = self.by.entry(from).or_default();
        *count += 1;
        *count <= MOST_ASKED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stand_where_nodes_find_them() {
        let at = |text: &str| {
            let text = format!("auth = {{ credential = {{ env = 'X' }} }}\n{text}");
            places(&service::config::parse("x".as_ref(), &text).unwrap())
        };
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(at(""), [], "none on loopback");
        let beside = at("[quic]\nlisten = '192.0.2.1:7881'");
        assert_eq!(beside, [(addr("192.0.2.1:3478"), None)]);
        let wild = at("[quic]\nlisten = '0.0.0.0:7881'\n[advertise]\nquic = ['192.0.2.1:7881']");
        assert_eq!(wild, [(addr("192.0.2.1:3478"), None)]);
        let told = at("[reflect]\nlisten = ['10.0.0.1:9']\nadvertise = ['192.0.2.1:9']");
        assert_eq!(told, [(addr("10.0.0.1:9"), Some(addr("192.0.2.1:9")))]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_answered_without_end() {
        let mut asked = Asked::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let answered = (0..3 * MOST_ASKED).filter(|_| asked.may(one, Instant::now())).count();
        assert_eq!(answered, MOST_ASKED as usize);
        assert!(asked.may(other, Instant::now()));
        tokio::time::advance(WINDOW).await;
        assert!(asked.may(one, Instant::now()));
    }
}
