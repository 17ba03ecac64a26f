//! One rendezvous of a large platform: viewers report, viewers join, and another server shares the
//! map through a real Redis. Prints how long joins take, and what the server needs.
//!
//! Joins go over QUIC and back, from 200 sessions that leave and join again. The many viewers who
//! only report do so at the hub, behind QUIC: their sockets would be the load, not the server. So
//! the processor time holds the map, the sharing, and QUIC of the joins on both of its sides.
//!
//!     cargo bench -p rendezvous --bench load
//!     VIEWERS=20000 JOINS=1000 SECONDS=20 cargo bench -p rendezvous --bench load

#![allow(dead_code, clippy::unwrap_used, reason = "what the behaviour tests use, and no more")]

#[path = "../tests/behaviour/auth.rs"]
mod auth;
#[path = "../tests/behaviour/redis.rs"]
mod redis;
#[path = "../tests/behaviour/stage.rs"]
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use link::protocol::{Request, SwarmReport, VERSION};
use rendezvous::hub::{Caller, Inbox, Outbox};
use stage::{Stage, publication, swarm_of};
use ticket::{Identity, Role};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Sessions over QUIC that join.
const JOINERS: usize = 200;
/// Each viewer reports this often.
const REPORT: Duration = Duration::from_secs(3);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A viewer at the hub.
struct Seated {
    caller: Caller,
    _inbox: Inbox,
}

fn main() {
    // `cargo test --benches` wants to know whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let Some(redis) = redis::Redis::start() else { return };
        redis::MAP.scope(Some(redis.url()), Box::pin(run())).await;
    });
}

async fn run() {
    let (viewers, joins, seconds) =
        (setting("VIEWERS", 20_000), setting("JOINS", 1000), setting("SECONDS", 20));
    let many = |config: &mut rendezvous::Config| {
        config.limits.prefix_burst = 100_000;
        config.limits.prefix_per_second = 100_000;
        config.limits.frames_burst = 1000;
        config.limits.frames_per_second = 1000;
    };
    let stage = Stage::with(many).await;
    let other = stage.beside().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();

    let began = Instant::now();
    let seated = Arc::new((0..viewers).map(|i| seat(&stage, i)).collect::<Vec<_>>());
    println!("{viewers} viewers came in {:.1} s", began.elapsed().as_secs_f64());

    let mut joiners = JoinSet::new();
    for _ in 0..JOINERS {
        let mut guest = stage.node(Role::Viewer, &["*"]).await;
        let every = Duration::from_secs_f64(JOINERS as f64 / joins.max(1) as f64);
        joiners.spawn(async move {
            let mut took = Vec::new();
            let mut turns = interval(every);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let end = Instant::now() + Duration::from_secs(seconds as u64);
            while Instant::now() < end {
                turns.tick().await;
                let asked = Instant::now();
                guest.join("one").await.unwrap();
                took.push(asked.elapsed());
                guest.tell(Request::Leave { swarm: swarm_of(1).0 }).await;
            }
            took
        });
    }
    let reporting = tokio::spawn(report(stage.server().hub().clone(), seated.clone()));
    let (cpu, began) = (cpu_seconds(), Instant::now());
    let mut took: Vec<Duration> = joiners.join_all().await.into_iter().flatten().collect();
    let (cpu, wall) = (cpu_seconds() - cpu, began.elapsed().as_secs_f64());
    reporting.abort();

    let known = other.server().hub().look(|map, now| map.summaries(now)[0].nodes.viewer);
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{:.0} joins/s for {wall:.0} s beside {:.0} reports/s",
        took.len() as f64 / wall,
        viewers as f64 / REPORT.as_secs_f64()
    );
    println!("join: median {:.2} ms, p99 {:.2} ms, longest {:.2} ms", at(0.5), at(0.99), at(1.0));
    println!(
        "processor: {:.0} % of a core (two servers and {JOINERS} clients in one process)",
        cpu / wall * 100.0
    );
    println!("memory: {} MiB (the same)", resident_mib());
    println!("the other server knows {known} viewers");
    assert!(known >= viewers as u64, "the map is not shared");
}

fn seat(stage: &Stage, number: usize) -> Seated {
    let id = Identity::generate().id();
    let hub = stage.server().hub();
    let ticket = stage.auth.sign(&stage.auth.user(id, Role::Viewer, &["*"]));
    let (outbox, inbox) = Outbox::new();
    let [a, b] = (number as u16).to_be_bytes();
    let from = ([127, 1, a, b], 7000).into();
    let software = "load".into();
    let hello = Request::Hello { version: VERSION, ticket, advertise: vec![from], software };
    let caller = hub.hello(id, from, &hello, &outbox).unwrap();
    hub.answer(&caller, Request::Join { channel: "one".into(), rendition: None });
    Seated { caller, _inbox: inbox }
}

/// Every viewer in its turn, evenly spread.
async fn report(hub: Arc<rendezvous::hub::Hub>, seated: Arc<Vec<Seated>>) {
    const TICK: Duration = Duration::from_millis(10);
    let share = seated.len() as f64 * TICK.as_secs_f64() / REPORT.as_secs_f64();
    let (mut due, mut next, mut round) = (0.0, 0, 1);
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        due += share;
        while due >= 1.0 {
            due -= 1.0;
            let report = SwarmReport {
                swarm: swarm_of(1).0,
                free: (next % 4) as u16,
                bytes_in: [0, round * 100_000, round * 1_000_000],
                lag_ms: 300,
                ..SwarmReport::default()
            };
            hub.answer(&seated[next].caller, Request::Report(vec![report]));
            next += 1;
            if next == seated.len() {
                (next, round) = (0, round + 1);
            }
        }
    }
}

/// Of this process, in user and system mode (`USER_HZ` is 100 on Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
}
