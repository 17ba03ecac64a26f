//! The real rendezvous on one core: nodes that come in, report, join and come back after a restart, each with its own
//! key, ticket and connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::{Channel, Plan, Source, Stage};
use link::protocol::{self, Event, Request, SwarmReport};
use link::{Connection, Endpoint, Purpose};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use quinn::{RecvStream, SendStream};
use segment::{ChannelSecret, SwarmId};
use serde_json::Value;
use sqlx::Connection as _;
use ticket::{Confirmation, Identity, Issuer, Location, PeerId, Role, UserTicket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::children::channel;
use crate::figure::Figure;
use crate::processor::{self, Look};

/// Sessions that leave and join again.
const JOINERS: usize = 200;
/// Joins of all together, each second.
const JOINS: usize = 1_000;
/// Each viewer reports this often, as nodes do (`REPORT_EVERY` in link).
const REPORT: Duration = Duration::from_secs(2);
/// Until it is steady.
const WARM: Duration = Duration::from_secs(2);
/// A measurement.
const LOOK: Duration = Duration::from_secs(4);
/// Nodes that share a socket, and so an address, as behind a provider's translator: 20,000 sockets are more open files
/// than most systems allow.
const SHARED: usize = 16;
/// Addresses in each /24: as many connections as a prefix may make at once are never reached.
const ADDRESSES: usize = 6;
/// Nodes that come in at one time: more would only wait for the one core that all clients have.
const AT_ONCE: usize = 64;
/// Only a run that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);
/// A node that could not come in tries again after this.
const AGAIN: Duration = Duration::from_millis(300);

/// Where rendezvous is, and who signs its nodes' tickets.
struct Ground {
    issuer: Issuer,
    place: SocketAddr,
    id: PeerId,
    swarm: SwarmId,
    /// Each for so many nodes, in order.
    sockets: Vec<Endpoint>,
    /// Connections that are being made.
    turns: Semaphore,
    /// Nodes that are in.
    present: AtomicUsize,
}

/// A node's side of a session.
struct Session {
    send: SendStream,
    receive: RecvStream,
    _connection: Connection,
}

/// Measures with so many viewers, with a Redis or without.
///
/// # Errors
/// If a program does not start, or nodes are not let in.
pub(crate) async fn measure(viewers: usize, redis: bool, runs: usize) -> Result<Vec<Figure>> {
    let most = getrlimit(Resource::RLIMIT_NOFILE)?.1;
    let sockets = (viewers + JOINERS).div_ceil(SHARED);
    let needed = sockets as u64 * 2 + 1_000;
    setrlimit(Resource::RLIMIT_NOFILE, needed.max(most), needed.max(most))
        .with_context(|| format!("{needed} open files (ulimit -n) are needed"))?;
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, 4).await?;
    let shared = if redis { Some(Redis::start(folder.path()).await?) } else { None };
    let more = shared.as_ref().map(Redis::configuration).unwrap_or_default();
    let channels = vec![Channel::pass_through(&channel(0), Source::File(clip))];
    let plan = Plan { channels, ..Plan::default() };
    let mut stage = Stage::set_with(plan, &more).await?;
    let ground = Arc::new(Ground::read(stage.folder(), sockets).await?);
    processor::pin(stage.rendezvous.pid().context("rendezvous runs")?, 0)?;

    let mut nodes = JoinSet::new();
    let mut figures = Vec::new();
    let at = format!("rendezvous{}, {viewers} viewers: ", if redis { " with Redis" } else { "" });
    let of = |what: &str| format!("{at}{what}");
    let pid = stage.rendezvous.pid().context("rendezvous runs")?;
    let look = Look::begin(&[pid])?;
    for place in 0..viewers {
        nodes.spawn(stay(ground.clone(), place));
    }
    all_in(&ground, viewers).await?;
    let came = look.seconds()?;
    figures.push(Figure::new(
        of("tickets checked and nodes let in"),
        "/s/core",
        vec![viewers as f64 / came],
    ));

    let took = Arc::new(Mutex::new(Vec::new()));
    let mut joiners = JoinSet::new();
    for place in viewers..viewers + JOINERS {
        joiners.spawn(zap(ground.clone(), place, took.clone()));
    }
    sleep(WARM).await;
    let [mut rate, mut median, mut most, mut busy] = [const { Vec::new() }; 4];
    let take = || std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner));
    for _ in 0..runs {
        take();
        let look = Look::begin(&[pid])?;
        sleep(LOOK).await;
        let mut took: Vec<Duration> = take();
        took.sort_unstable();
        let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied();
        let at = |share| at(share).map(|took| took.as_secs_f64() * 1e3).context("no joins");
        rate.push(took.len() as f64 / look.wall());
        median.push(at(0.5)?);
        most.push(at(0.99)?);
        busy.push(look.share()?);
    }
    joiners.shutdown().await;
    let resident = processor::resident(pid)? as f64 / 1e6;
    let goal = if redis { 50.0 } else { 20.0 };
    figures.extend([
        Figure::new(of("joins"), "/s", rate).at_least(0.97 * JOINS as f64),
        Figure::new(of("join, median"), "ms", median),
        Figure::new(of("join, 99 %"), "ms", most).below(goal),
        Figure::new(of("processor meanwhile"), "% core", busy),
        Figure::new(of("memory"), "MB", vec![resident]),
    ]);

    stage.rendezvous.kill().await;
    let begun = Instant::now();
    stage.rendezvous.restart().await?;
    let pid = stage.rendezvous.pid().context("rendezvous runs")?;
    processor::pin(pid, 0)?;
    // Those who have not noticed yet are not back.
    while ground.present.load(Ordering::Relaxed) > viewers / 2 {
        sleep(Duration::from_millis(20)).await;
    }
    all_in(&ground, viewers).await?;
    let (wall, time) = (begun.elapsed().as_secs_f64(), processor::seconds(pid)?);
    figures.extend([
        Figure::new(of("all back after a restart, its processor's time"), "s", vec![time])
            .below(30.0),
        Figure::new(of("all back after a restart, clients on one core"), "s", vec![wall]),
    ]);
    nodes.shutdown().await;
    stage.strike().await?;
    Ok(figures)
}

async fn all_in(ground: &Ground, viewers: usize) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while ground.present.load(Ordering::Relaxed) < viewers {
        if Instant::now() > until {
            bail!("only {} of {viewers} nodes are in", ground.present.load(Ordering::Relaxed));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A viewer that watches, reports, and comes back when rendezvous was gone.
async fn stay(ground: Arc<Ground>, place: usize) {
    let Ok(node) = Node::new(&ground, place) else { return };
    loop {
        let _ = node.visit(&ground, place).await;
        sleep(AGAIN).await;
    }
}

/// A viewer that leaves and joins again, and notes how long each join takes.
async fn zap(ground: Arc<Ground>, place: usize, took: Arc<Mutex<Vec<Duration>>>) {
    let Ok(node) = Node::new(&ground, place) else { return };
    let Ok(mut session) = node.come_in(&ground).await else { return };
    let mut turns = interval(Duration::from_secs_f64(JOINERS as f64 / JOINS as f64));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sleep(Duration::from_millis((place % JOINERS) as u64)).await;
    loop {
        turns.tick().await;
        let asked = Instant::now();
        if session.join().await.is_err() {
            return;
        }
        took.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed());
        let swarm = ground.swarm.0;
        if protocol::write(&mut session.send, &Request::Leave { swarm }).await.is_err() {
            return;
        }
    }
}

/// A node: its key, on a socket that it shares, and its ticket.
struct Node {
    endpoint: Endpoint,
    hello: Request,
}

impl Node {
    fn new(ground: &Ground, place: usize) -> Result<Self> {
        let identity = Identity::generate();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let ticket = ground.issuer.user(&UserTicket {
            iss: "stage".into(),
            aud: "stage".into(),
            sub: format!("account {place}"),
            jti: format!("session {place}"),
            iat: now,
            exp: now + 590,
            cnf: Confirmation::new(identity.id()),
            role: Role::Viewer,
            channels: vec!["*".into()],
            loc: Location {
                subset: Some(place as u32 % 50),
                asn: Some(64_500 + place as u32 % 20),
                country: None,
            },
        });
        let socket = ground.sockets.get(place / SHARED).context("a socket")?;
        let endpoint = socket.with_identity(Arc::new(identity))?;
        let software = "bench".into();
        let version = protocol::VERSION;
        Ok(Self {
            endpoint,
            hello: Request::Hello { version, ticket, advertise: Vec::new(), software },
        })
    }

    async fn come_in(&self, ground: &Ground) -> Result<Session> {
        let _turn = ground.turns.acquire().await?;
        let connection =
            self.endpoint.connect(ground.place, ground.id, Purpose::Rendezvous).await?;
        let (mut send, mut receive) = connection.quic.open_bi().await?;
        protocol::write(&mut send, &self.hello).await?;
        match timeout(PATIENCE, protocol::read(&mut receive)).await?? {
            Event::Welcome { .. } => Ok(Session { send, receive, _connection: connection }),
            other => bail!("not welcome: {other:?}"),
        }
    }

    /// Comes in, joins and reports until the session ends.
    async fn visit(&self, ground: &Ground, place: usize) -> Result<()> {
        let mut session = self.come_in(ground).await?;
        session.join().await?;
        ground.present.fetch_add(1, Ordering::Relaxed);
        let ended = async { while protocol::read::<Event>(&mut session.receive).await.is_ok() {} };
        let report = async {
            // Evenly spread.
            sleep(REPORT.mul_f64((place % 997) as f64 / 997.0)).await;
            let mut round = 0;
            loop {
                round += 1;
                let report = SwarmReport {
                    swarm: ground.swarm.0,
                    free: (place % 4) as u16,
                    bytes_in: [0, round * 100_000, round * 1_000_000],
                    lag_ms: 300,
                    ..SwarmReport::default()
                };
                if protocol::write(&mut session.send, &Request::Report(vec![report])).await.is_err()
                {
                    return;
                }
                sleep(REPORT).await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = report => {}
        }
        ground.present.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A socket of its own address.
fn socket(place: usize) -> Result<Endpoint> {
    let [_, _, b, c] = (256 + (place / ADDRESSES) as u32).to_be_bytes();
    let ip = Ipv4Addr::new(127, 16 + b, c, 1 + (place % ADDRESSES) as u8);
    Ok(Endpoint::bind((ip, 0).into(), Arc::new(Identity::generate()), &[])?)
}

impl Session {
    async fn join(&mut self) -> Result<()> {
        let request = Request::Join { channel: channel(0), rendition: None };
        protocol::write(&mut self.send, &request).await?;
        loop {
            match protocol::read(&mut self.receive).await? {
                Event::Channel { .. } => return Ok(()),
                Event::NoChannel { reason, .. } => bail!("{reason}"),
                _ => {}
            }
        }
    }
}

impl Ground {
    async fn read(folder: &Path, sockets: usize) -> Result<Self> {
        let said = std::fs::read_to_string(folder.join("rendezvous.json"))?;
        let said: Value = serde_json::from_str(&said)?;
        // Who signs user tickets is auth; a sign-in for each node would measure argon2.
        let file = format!("sqlite:{}", folder.join("auth.db").display());
        let mut database = sqlx::SqliteConnection::connect(&file).await?;
        let (kid, seed): (String, String) =
            sqlx::query_as("SELECT kid, seed FROM signing_keys WHERE retired_at IS NULL")
                .fetch_one(&mut database)
                .await?;
        let seed = URL_SAFE_NO_PAD.decode(seed)?.try_into().ok().context("a key of 32 bytes")?;
        let secret = ChannelSecret::of_channel(demo::CHANNEL_SECRET, &channel(0));
        Ok(Self {
            issuer: Issuer::new(kid, &Identity::from_seed(seed)),
            place: said["quic"].as_str().context("an address")?.parse()?,
            id: said["peer_id"].as_str().context("a peer id")?.parse()?,
            swarm: SwarmId::new(&secret.channel_key(), "main"),
            sockets: (0..sockets).map(socket).collect::<Result<_>>()?,
            turns: Semaphore::new(AT_ONCE),
            present: AtomicUsize::new(0),
        })
    }
}

/// A Redis of its own.
struct Redis {
    _process: tokio::process::Child,
    port: u16,
    secret: std::path::PathBuf,
}

impl Redis {
    async fn start(folder: &Path) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let text = port.to_string();
        let process = tokio::process::Command::new("redis-server")
            .args(["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(folder)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start redis-server")?;
        let until = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            anyhow::ensure!(Instant::now() < until, "redis-server does not answer");
            sleep(Duration::from_millis(20)).await;
        }
        let secret = folder.join("shared-secret");
        std::fs::write(&secret, "what the servers have in common")?;
        Ok(Self { _process: process, port, secret })
    }

    fn configuration(&self) -> String {
        format!(
            "[shared]\nredis = \"redis://127.0.0.1:{}\"\nsecret = {{ file = \"{}\" }}\n",
            self.port,
            self.secret.display()
        )
    }
}
