//! What a game in the same home feels while a viewer sends all it can to others, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use segment::SwarmId;
use swarm::{ShardRef, Time, Urgency};
use ticket::{Identity, PeerId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::home::{Home, Place};
use crate::node::bench::Sender;
use crate::{Endpoint, Purpose};

const MBITS: u32 = 5;
const CHILDREN: usize = 3;
const MS: Duration = Duration::from_millis(1);
/// A scene that the machine disturbed is shown again, so many times at most.
const SHOWINGS: usize = 4;
/// What the game takes of the line, bytes per second: 50 packets of 100 bytes with their heads.
const GAME: f64 = 50.0 * 142.0;

/// How late a program's own timers went off, and when.
type Lateness = Arc<Mutex<Vec<(Instant, Duration)>>>;

/// Writes that down as long as the program runs.
async fn watch(lateness: Lateness) {
    loop {
        let begun = Instant::now();
        tokio::time::sleep(MS * 5).await;
        lateness.lock().unwrap().push((begun, begun.elapsed().saturating_sub(MS * 5)));
    }
}

/// Nodes that take shards and count their bytes.
fn children(
    world: &Place,
    stop: CancellationToken,
    lateness: Lateness,
) -> (Vec<(PeerId, SocketAddr)>, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let (tell, told) = std::sync::mpsc::channel();
    let (ip, count) = (world.ip, taken.clone());
    world.block_on(move || async move {
        tokio::spawn(watch(lateness));
        for _ in 0..CHILDREN {
            let identity = Arc::new(Identity::generate());
            let endpoint =
                Endpoint::bind((ip, 0).into(), identity.clone(), &[Purpose::Peers]).unwrap();
            tell.send((identity.id(), endpoint.local_addr())).unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let connection = endpoint.accept().await.unwrap().establish().await.unwrap();
                while let Ok(mut stream) = connection.quic.accept_uni().await {
                    let count = count.clone();
                    tokio::spawn(async move {
                        while let Ok(Some(chunk)) = stream.read_chunk(1 << 16, false).await {
                            count.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
                        }
                    });
                }
                drop(endpoint);
            });
        }
        drop(tell);
        stop.cancelled().await;
    });
    (told.iter().collect(), taken)
}

/// Sends all it can to them.
fn viewer(
    inside: &Place,
    children: Vec<(PeerId, SocketAddr)>,
    polite: bool,
    stop: CancellationToken,
    lateness: Lateness,
) -> (std::thread::JoinHandle<()>, Arc<Mutex<Option<UplinkState>>>) {
    let told = Arc::<Mutex<Option<UplinkState>>>::default();
    let (ip, tell) = (inside.ip, told.clone());
    let thread = inside.block_on(move || async move {
        tokio::spawn(watch(lateness));
        let uplink = polite.then(|| Uplink::new(None));
        let identity = Arc::new(Identity::generate());
        let (endpoint, _stun) =
            Endpoint::bind_behind((ip, 0).into(), identity, &[], uplink.as_ref()).unwrap();
        let sender = Arc::new(Sender::new(uplink.clone()));
        for (peer, addr) in children {
            let connection = endpoint.connect(addr, peer, Purpose::Peers).await.unwrap();
            tokio::spawn(feed(sender.clone(), connection.quic));
        }
        while !stop.is_cancelled() {
            tokio::time::sleep(MS * 50).await;
            *tell.lock().unwrap() = uplink.as_ref().map(|uplink| uplink.state());
        }
        endpoint.close("the end").await;
    });
    (thread, told)
}

/// Always a few shards of a 4 Mbit/s channel wait.
async fn feed(sender: Arc<Sender>, quic: quinn::Connection) {
    let (tell, mut told) = mpsc::channel(64);
    let outbox = sender.serve(quic, tell);
    let mut number = 0;
    loop {
        while outbox.waiting() < 4 {
            number += 1;
            let deadline = Time(sender.now().0 + 2_000_000);
            let shard = ShardRef { number, index: 0 };
            outbox.shard(sender.waiting(SwarmId([1; 16]), shard, 15_600, deadline, Urgency::Push));
        }
        if told.recv().await.is_none() {
            return;
        }
    }
}

/// 50 packets a second there and back.
struct Game {
    trips: std::thread::JoinHandle<Vec<(Instant, Duration)>>,
    over: Arc<AtomicBool>,
}

impl Game {
    fn start(at: &Place, with: &Place) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (tell, told) = std::sync::mpsc::channel();
        let (ip, end) = (with.ip, over.clone());
        with.run(move || {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.set_read_timeout(Some(MS * 200)).unwrap();
            tell.send(socket.local_addr().unwrap()).unwrap();
            let mut buffer = [0; 200];
            while !end.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..len], from);
                }
            }
        });
        let (server, ip, end) = (told.recv().unwrap(), at.ip, over.clone());
        let trips = at.run(move || {
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            socket.connect(server).unwrap();
            let (begun, echoes) = (Instant::now(), socket.try_clone().unwrap());
            let over = end.clone();
            let reader = std::thread::spawn(move || {
                echoes.set_read_timeout(Some(MS * 200)).unwrap();
                let (mut buffer, mut trips) = ([0; 200], Vec::new());
                while !over.load(Ordering::Relaxed) {
                    if echoes.recv(&mut buffer).is_ok() {
                        let sent = u64::from_be_bytes(buffer[..8].try_into().unwrap());
                        let sent = begun + Duration::from_micros(sent);
                        trips.push((sent, sent.elapsed()));
                    }
                }
                trips
            });
            let mut next = begun;
            while !end.load(Ordering::Relaxed) {
                let mut packet = [0; 100];
                let sent = begun.elapsed().as_micros() as u64;
                packet[..8].copy_from_slice(&sent.to_be_bytes());
                let _ = socket.send(&packet);
                next += MS * 20;
                sleep(next.saturating_duration_since(Instant::now()));
            }
            reader.join().unwrap()
        });
        Self { trips, over }
    }

    /// Round trips of packets that were sent in each of these spans.
    fn stop<const N: usize>(self, spans: [(Instant, Instant); N]) -> [Trips; N] {
        sleep(MS * 300);
        self.over.store(true, Ordering::Relaxed);
        let all = self.trips.join().unwrap();
        spans.map(|(from, to)| {
            let within = |sent: &Instant| from <= *sent && *sent < to;
            Trips::of(all.iter().filter(|(sent, _)| within(sent)).map(|(_, trip)| *trip).collect())
        })
    }
}

struct Trips(Vec<Duration>);

impl Trips {
    fn of(mut trips: Vec<Duration>) -> Self {
        trips.sort();
        Self(trips)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0.get(self.0.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// An upload by TCP of all that goes, until told to stop; gives the bytes that arrived.
fn tcp(home: &Home, over: Arc<AtomicBool>) -> Arc<AtomicU64> {
    let arrived = Arc::new(AtomicU64::new(0));
    let (tell, told) = std::sync::mpsc::channel();
    let (ip, count) = (home.world.ip, arrived.clone());
    home.world.run(move || {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        tell.send(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = stream.read(&mut buffer) {
            if len == 0 {
                return;
            }
            count.fetch_add(len as u64, Ordering::Relaxed);
        }
    });
    let to = told.recv().unwrap();
    home.inside.run(move || {
        let mut stream = TcpStream::connect(to).unwrap();
        let bytes = vec![0; 1 << 14];
        while !over.load(Ordering::Relaxed) && stream.write_all(&bytes).is_ok() {}
    });
    arrived
}

/// Counts over a span.
fn span(counters: [&AtomicU64; 2], lasting: Duration) -> (Instant, Instant, [f64; 2]) {
    let before = counters.map(|count| count.load(Ordering::Relaxed));
    let from = Instant::now();
    sleep(lasting);
    let to = Instant::now();
    let after = counters.map(|count| count.load(Ordering::Relaxed));
    let whole = f64::from(MBITS) * 125_000.0 * (to - from).as_secs_f64();
    (from, to, [0, 1].map(|i| (after[i] - before[i]) as f64 / whole))
}

/// What everybody felt in one scene.
struct Felt {
    /// The game while nothing is sent, and while all is sent that can be.
    idle: Trips,
    alone: Trips,
    /// What a game within the machine felt meanwhile, whose packets pass no line: how busy the machine is.
    witness: Trips,
    /// How late the timers of viewer and children were.
    late: Trips,
    /// Of what the game leaves of the line, what was delivered to the children.
    share: f64,
    /// Of the line, what children and TCP got from one second after it began.
    beside: [f64; 2],
    state: Option<UplinkState>,
}

impl Felt {
    /// By how much the game's 95th percentile rose, but for what the machine itself was late.
    fn rise(&self) -> Duration {
        self.alone.at(95).saturating_sub(self.idle.at(95).max(self.witness.at(95)))
    }

    /// What is asked of a polite upload.
    fn is_polite(&self) -> bool {
        self.rise() < MS * 10 && self.share >= 0.8 && self.beside[0] < 0.1 && self.beside[1] > 0.75
    }

    /// Whether the machine was too busy to tell.
    fn is_disturbed(&self) -> bool {
        self.witness.at(95) > MS * 2 || self.late.at(98) > MS * 4
    }

    fn say(&self, name: &str) {
        println!(
            "{name:<8} {:>8.1?} {:>6.1?} | {:>8.1?} {:>8.1?} {:>5.0} % | {:>14.0} % {:>4.0} % | {:>6.1?} {:>6.1?}",
            self.idle.at(50),
            self.idle.at(95),
            self.alone.at(50),
            self.alone.at(95),
            self.share * 100.0,
            self.beside[0] * 100.0,
            self.beside[1] * 100.0,
            self.witness.at(95),
            self.late.at(98),
        );
    }
}

fn feel(home: &Home, polite: bool) -> Felt {
    let stop = CancellationToken::new();
    let none = AtomicU64::new(0);
    let game = Game::start(&home.inside, &home.world);
    let witness = Game::start(&home.inside, &home.inside);
    let (from, to, _) = span([&none, &none], MS * 1_500);
    let lateness = Lateness::default();
    let (peers, taken) = children(&home.world, stop.clone(), lateness.clone());
    let (viewer, told) = viewer(&home.inside, peers, polite, stop.clone(), lateness.clone());
    // Until the queue has shown, or what would be enough time for that.
    let begun = Instant::now();
    while begun.elapsed() < MS * if polite { 12_000 } else { 2_000 }
        && told.lock().unwrap().is_none_or(|state| state.carried.is_none())
    {
        sleep(MS * 100);
    }
    // And until it has settled.
    sleep(MS * if polite { 4_000 } else { 1_500 });
    let (from1, to1, [share, _]) = span([&taken, &none], MS * 5_000);
    let over = Arc::new(AtomicBool::new(false));
    let arrived = tcp(home, over.clone());
    // So long it may take until it has given way.
    sleep(MS * 1_000);
    let (_, _, beside) = span([&taken, &arrived], MS * 3_000);
    over.store(true, Ordering::Relaxed);
    let [idle, alone] = game.stop([(from, to), (from1, to1)]);
    let [witness] = witness.stop([(from1, to1)]);
    stop.cancel();
    viewer.join().unwrap();
    let state = *told.lock().unwrap();
    // What still stands in the queue is not for the next scene.
    sleep(MS * 1_500);
    let share = share / (1.0 - GAME / (f64::from(MBITS) * 125_000.0));
    let late = lateness.lock().unwrap();
    let late = late.iter().filter(|(at, _)| (from1..to1).contains(at)).map(|(_, late)| *late);
    let late = Trips::of(late.collect());
    Felt { idle, alone, witness, late, share, beside, state }
}

/// What is asked for, felt in a real home. A scene that the machine disturbed is shown again; one that it did not is judged.
#[test]
fn a_game_in_the_same_home_hardly_feels_an_upload() {
    let home = match Home::new("f", MBITS) {
        Ok(home) => home,
        Err(why) => return eprintln!("skipped: no network namespaces here ({why})"),
    };
    println!(
        "uplink of {MBITS} Mbit/s with a queue of 1 s; a game's round trips, upload to {CHILDREN} children"
    );
    println!(
        "          idle p50    p95 | upload p50      p95   share | beside TCP: upload   TCP | machine"
    );
    let mut judged = false;
    for _ in 0..SHOWINGS {
        let felt = feel(&home, true);
        felt.say("polite");
        println!("{:?}", felt.state);
        if felt.is_polite() {
            judged = true;
            break;
        }
        assert!(
            felt.is_disturbed(),
            "not polite: rise {:?} (under 10 ms), {:.2} of what is free (at least 0.8), beside TCP {:?} (under 0.1, above 0.75)",
            felt.rise(),
            felt.share,
            felt.beside
        );
        println!("the machine was busy: shown again");
    }
    if !judged {
        println!("not judged: the machine is too busy");
    }
    // The comparison shows that the queue is there to be filled.
    let usual = feel(&home, false);
    usual.say("CUBIC");
    assert!(usual.alone.at(50) > MS * 200, "the queue is not deep");
    assert!(usual.beside[0] > 0.2, "CUBIC gives way: {:?}", usual.beside);
}
