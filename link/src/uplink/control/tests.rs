//! The controller before a simulated uplink: one queue, as deep as they are in homes, on a virtual clock.

use std::collections::VecDeque;

use super::*;
use crate::uplink::pacer::Bucket;

const MS: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_micros(250);
const PACKET: usize = 1_250;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Polite(u64),
    Game,
    Tcp,
}

struct Packet {
    of: Of,
    bytes: usize,
    sent: Instant,
}

/// A home: an uplink with a queue, a viewer that serves children, a game and, at times, a TCP upload.
struct Home {
    start: Instant,
    now: Instant,
    control: Control,
    bucket: Bucket,
    /// Bytes per second.
    uplink: f64,
    /// The deepest queue, as time at the full rate.
    depth: Duration,
    queue: VecDeque<Packet>,
    queued: usize,
    /// When the link is free again.
    free: Instant,
    /// What is on its way there and back, by when it is acknowledged.
    flying: Vec<(Instant, Packet)>,
    children: Vec<Duration>,
    next_child: usize,
    /// Packets of each child since its last acknowledgement, and when the first came.
    unacked: Vec<(u32, Instant)>,
    /// What the viewer has to send, bytes; `None`: all it can.
    backlog: Option<usize>,
    waited: bool,
    game_at: Instant,
    tcp: Option<Tcp>,
    /// Round trips of the game, and bytes delivered to children and by TCP, since last asked.
    pings: Vec<Duration>,
    served: usize,
    tcp_served: usize,
    noise: u32,
}

/// A TCP of the plain kind (RFC 5681).
struct Tcp {
    window: f64,
    threshold: f64,
    flying: usize,
    recover: Instant,
}

impl Home {
    fn new(mbits: f64, children: &[u64]) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            control: Control::new(start),
            bucket: Bucket::new(start, FIRST, 2.0 * PACKET as f64),
            uplink: mbits * 125_000.0,
            depth: MS * 1000,
            queue: VecDeque::new(),
            queued: 0,
            free: start,
            flying: Vec::new(),
            children: children.iter().map(|ms| MS * *ms as u32).collect(),
            next_child: 0,
            unacked: vec![(0, start); children.len()],
            backlog: None,
            waited: false,
            game_at: start,
            tcp: None,
            pings: Vec::new(),
            served: 0,
            tcp_served: 0,
            noise: 1,
        }
    }

    /// Up to a millisecond, always the same.
    fn jitter(&mut self) -> Duration {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        MS * (self.noise >> 16) / 65_536
    }

    fn enqueue(&mut self, of: Of, bytes: usize) {
        let wait = self.queued as f64 / self.uplink;
        if wait > self.depth.as_secs_f64() {
            match (of, &mut self.tcp) {
                (Of::Tcp, Some(tcp)) if self.now > tcp.recover => {
                    tcp.threshold = (tcp.window / 2.0).max(2.0);
                    tcp.window = tcp.threshold;
                    tcp.recover = self.now + MS * 50 + Duration::from_secs_f64(wait);
                }
                (Of::Polite(_), _) => self.control.lost(self.now, bytes as u64),
                _ => {}
            }
            return;
        }
        if let (Of::Tcp, Some(tcp)) = (of, &mut self.tcp) {
            tcp.flying += 1;
        }
        self.queued += bytes;
        self.queue.push_back(Packet { of, bytes, sent: self.now });
    }

    fn step(&mut self) {
        self.now += STEP;
        // The viewer, as much as the pacer lets go.
        self.bucket.set_rate(self.now, self.control.rate());
        while self.backlog.is_none_or(|bytes| bytes > 0) {
            if self.bucket.take(self.now, PACKET).is_err() {
                self.waited = true;
                break;
            }
            if let Some(bytes) = &mut self.backlog {
                *bytes = bytes.saturating_sub(PACKET);
            }
            let child = self.next_child % self.children.len();
            self.next_child += 1;
            self.control.sent(self.now, PACKET as u64, self.waited);
            self.waited = false;
            self.enqueue(Of::Polite(child as u64), PACKET);
        }
        if self.now >= self.game_at {
            self.game_at += MS * 20;
            self.enqueue(Of::Game, 120);
        }
        while self
            .tcp
            .as_ref()
            .is_some_and(|tcp| (tcp.flying as f64) < tcp.window && self.now > tcp.recover)
        {
            let before = self.queue.len();
            self.enqueue(Of::Tcp, 1500);
            if self.queue.len() == before {
                break;
            }
        }
        // The uplink.
        while self.free <= self.now
            && let Some(packet) = self.queue.pop_front()
        {
            self.queued -= packet.bytes;
            let took = Duration::from_secs_f64(packet.bytes as f64 / self.uplink);
            self.free = self.free.max(self.now - STEP) + took;
            let way = match packet.of {
                Of::Polite(child) => self.children[child as usize] + self.jitter(),
                Of::Game => MS * 20,
                Of::Tcp => MS * 40,
            };
            self.flying.push((self.free + way, packet));
        }
        let (now, mut back) = (self.now, Vec::new());
        self.flying.retain_mut(|(at, packet)| {
            let there = *at <= now;
            if there {
                back.push(Packet { ..*packet });
            }
            !there
        });
        for packet in back {
            let trip = self.now - packet.sent;
            match packet.of {
                Of::Game => self.pings.push(trip),
                Of::Tcp => {
                    self.tcp_served += packet.bytes;
                    if let Some(tcp) = &mut self.tcp {
                        tcp.flying = tcp.flying.saturating_sub(1);
                        tcp.window +=
                            if tcp.window < tcp.threshold { 1.0 } else { 1.0 / tcp.window };
                    }
                }
                Of::Polite(child) => {
                    self.served += packet.bytes;
                    self.control.acked(self.now, packet.bytes as u64);
                    // One acknowledgement for four packets, or after 10 ms; what it has waited is known.
                    let (count, first) = &mut self.unacked[child as usize];
                    if *count == 0 {
                        *first = self.now;
                    }
                    *count += 1;
                    if *count >= 4 || self.now - *first >= MS * 10 {
                        *count = 0;
                        self.control.trip(child, self.now, trip);
                    } else if self.control.rate() < 125_000.0 {
                        *count = 0;
                        self.control.trip(child, self.now + MS * 10, trip);
                    }
                }
            }
        }
    }

    /// Lets time pass; gives the 95th percentile of what the game's round trips rose by, and the shares of the uplink
    /// that went to children and to TCP.
    fn pass(&mut self, seconds: f64) -> (Duration, f64, f64) {
        self.pings.clear();
        (self.served, self.tcp_served) = (0, 0);
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.step();
        }
        self.pings.sort();
        let p95 = self.pings.get(self.pings.len() * 95 / 100).copied().unwrap_or_default();
        let whole = self.uplink * seconds;
        (p95.saturating_sub(MS * 20), self.served as f64 / whole, self.tcp_served as f64 / whole)
    }
}

/// 95th percentile of the added delay under 10 ms (at 1 Mbit/s that is one packet), at least four fifths of the uplink used: for slow and fast uplinks,
/// near and far children.
#[test]
fn all_it_can_is_not_felt() {
    for (mbits, children) in [
        (1.0, &[20][..]),
        (5.0, &[12]),
        (5.0, &[20, 45, 80]),
        (5.0, &[150, 200]),
        (20.0, &[10, 30, 60, 90]),
        (50.0, &[40]),
    ] {
        let mut home = Home::new(mbits, children);
        let (first, ..) = home.pass(5.0);
        let (p95, share, _) = home.pass(60.0);
        println!("{mbits} Mbit/s {children:?}: first 5 s {first:?}, then {p95:?}, {share:.3}");
        let limit = MS * if mbits < 2.0 { 20 } else { 10 };
        assert!(p95 < limit, "{mbits} Mbit/s to {children:?}: {p95:?}");
        assert!(first < MS * 60, "{mbits} Mbit/s to {children:?} at first: {first:?}");
        assert!(share > 0.8, "{mbits} Mbit/s to {children:?}: {share}");
    }
}

#[test]
fn it_gives_way_to_an_upload_within_a_second_and_comes_back() {
    let mut home = Home::new(5.0, &[20, 45]);
    home.pass(20.0);
    home.tcp = Some(Tcp { window: 10.0, threshold: 1e9, flying: 0, recover: home.start });
    home.pass(1.0);
    let (_, share, tcp) = home.pass(10.0);
    println!("beside TCP {share:.3}, TCP {tcp:.3}");
    assert!(share < 0.12, "{share}");
    assert!(tcp > 0.8, "{tcp}");
    home.tcp = None;
    home.pass(6.0);
    let (p95, share, _) = home.pass(10.0);
    println!("after TCP {share:.3} {p95:?}");
    assert!(share > 0.7, "{share}");
    assert!(p95 < MS * 10, "{p95:?}");
}

/// A live stream sends in bursts, four a second, less than the uplink carries: it need not wait for long.
#[test]
fn what_fits_is_sent() {
    let mut home = Home::new(5.0, &[20, 45, 80]);
    home.backlog = Some(0);
    let (mut waited, mut worst) = (0, Duration::ZERO);
    for segment in 0..120 {
        home.backlog = Some(home.backlog.unwrap_or(0) + 62_500);
        let (p95, ..) = home.pass(0.25);
        if segment > 20 {
            waited += usize::from(home.backlog.unwrap_or(0) > 0);
            worst = worst.max(p95);
        }
    }
    println!("{waited} of 100 segments waited; worst p95 of a segment {worst:?}");
    assert!(waited < 10, "{waited}");
}

/// A faster uplink is found, a slower one is not overrun.
#[test]
fn it_follows_the_uplink() {
    let mut home = Home::new(5.0, &[20, 45]);
    home.pass(20.0);
    home.uplink *= 2.0;
    home.pass(10.0);
    let (p95, share, _) = home.pass(20.0);
    println!("twice as fast: {share:.3} {p95:?}");
    assert!(share > 0.75 && p95 < MS * 10, "{share} {p95:?}");
    home.uplink /= 4.0;
    home.pass(30.0);
    let (p95, share, _) = home.pass(20.0);
    println!("a quarter: {share:.3} {p95:?}");
    assert!(share > 0.75 && p95 < MS * 20, "{share} {p95:?}");
}

/// A queue that is shorter than the target shows by what is lost.
#[test]
fn a_short_queue_is_not_flooded() {
    let mut home = Home::new(5.0, &[20, 45]);
    home.depth = MS * 3;
    home.pass(10.0);
    let before = home.served;
    let (_, share, _) = home.pass(20.0);
    println!("short queue: {share:.3} ({before})");
    assert!(share > 0.6, "{share}");
}

/// Who comes late finds a queue, and does not take it for the way.
#[test]
fn a_child_that_comes_late_hides_nothing() {
    let mut home = Home::new(5.0, &[30]);
    home.pass(15.0);
    home.children.push(MS * 60);
    home.unacked.push((0, home.now));
    home.pass(5.0);
    home.children.push(MS * 25);
    home.unacked.push((0, home.now));
    home.pass(5.0);
    let (p95, share, _) = home.pass(40.0);
    println!("latecomers: {share:.3} {p95:?}");
    assert!(share > 0.8 && p95 < MS * 10, "{share} {p95:?}");
}

/// One child's own queue is not the home's.
#[test]
fn a_slow_child_does_not_slow_the_others() {
    let start = Instant::now();
    let mut control = Control::new(start);
    let mut now = start;
    for i in 0..400u32 {
        now += MS * 10;
        control.sent(now, 2_000, true);
        control.acked(now, 2_000);
        control.trip(1, now, MS * 30);
        control.trip(2, now, MS * (40 + i.min(200)));
    }
    assert!(control.rate() > 4.0 * FIRST, "{}", control.rate());
    assert!(control.queue().is_some_and(|queue| queue < MS));
}

/// Nothing comes back: the rate falls to the least, and silence of who has nothing to send means nothing.
#[test]
fn silence_is_heard() {
    let start = Instant::now();
    let mut control = Control::new(start);
    for i in 0..100u32 {
        control.sent(start + MS * 50 * i, 3_000, true);
    }
    assert!(control.rate() <= LEAST * 1.5, "{}", control.rate());
    let mut idle = Control::new(start);
    idle.sent(start, 3_000, false);
    for i in 1..100u32 {
        idle.trip(1, start + MS * 2_000 * i, MS * 30);
        idle.acked(start + MS * 2_000 * i, 50);
    }
    assert!(idle.rate() >= FIRST);
}

/// The way became longer for good.
#[test]
fn a_longer_way_is_not_taken_for_a_queue_for_ever() {
    let mut home = Home::new(5.0, &[20]);
    home.pass(10.0);
    home.children[0] = MS * 60;
    home.pass(30.0);
    let (p95, share, _) = home.pass(10.0);
    println!("longer way: {share:.3} {p95:?}");
    assert!(share > 0.7 && p95 < MS * 10, "{share} {p95:?}");
}

/// The probe of a new viewer has an end, in bytes and in time, however fast and far the others are; and it is made of what
/// is sent anyway.
#[test]
fn the_probe_is_bounded_in_bytes_and_in_time() {
    // An uplink without a queue, whose acknowledgements come after so long.
    let probe = |trip: Duration| {
        let start = Instant::now();
        let mut control = Control::new(start);
        let (mut now, mut sent) = (start, 0.0);
        while control.starting {
            let bytes = control.rate() * 0.01;
            now += MS * 10;
            sent += bytes;
            control.sent(now, bytes as u64, true);
            control.acked(now, bytes as u64);
            control.trip(1, now, trip);
            assert!(now - start < PROBE_TIME * 2, "it never ends");
        }
        (sent, now - start, control.rate())
    };
    for trip in [MS * 5, MS * 40, MS * 150, MS * 600] {
        let (bytes, time, rate) = probe(trip);
        println!("{trip:?}: {bytes:.0} bytes in {time:?}, then {:.1} Mbit/s", rate * 8e-6);
        assert!(bytes < 1.3 * PROBE_BYTES as f64, "{trip:?}: {bytes}");
        assert!(time <= PROBE_TIME + SLICE, "{trip:?}: {time:?}");
    }
    // At homes a queue shows long before.
    let mut home = Home::new(5.0, &[20, 45]);
    while home.control.starting {
        home.step();
    }
    println!("5 Mbit/s: {} bytes in {:?}", home.control.probed.0, home.now - home.start);
    assert!(home.control.probed.0 < 600_000 && home.now - home.start < MS * 3000);
}

/// Who has nothing to send does not use the probe up.
#[test]
fn idle_time_is_no_probe() {
    let start = Instant::now();
    let mut control = Control::new(start);
    for i in 0..600u32 {
        let now = start + MS * 50 * i;
        control.sent(now, 500, false);
        control.acked(now, 500);
        control.trip(1, now, MS * 30);
    }
    assert!(control.starting && control.probed.1 == Duration::ZERO);
}

/// In a network that is known one starts from what it carried, without a probe, and is not felt even if it has become slower.
#[test]
fn a_known_network_is_not_probed_again() {
    for (mbits, least) in [(5.0, 0.6), (3.0, 0.6)] {
        let mut home = Home::new(mbits, &[20, 45]);
        home.control.reset(home.now, Some(5.0 * 125_000.0));
        assert_eq!(home.control.carried(), None, "it was not seen this time");
        assert!((home.control.rate() - 0.7 * 5.0 * 125_000.0).abs() < 1.0);
        let (p95, share, _) = home.pass(3.0);
        println!("{mbits} Mbit/s known as 5: first 3 s {share:.3} {p95:?}");
        assert!(share > least, "{share}");
        assert_eq!(home.control.probed, (0, Duration::ZERO));
        let (p95, share, _) = home.pass(30.0);
        println!("then {share:.3} {p95:?}");
        assert!(share > 0.75 && p95 < MS * 15, "{share} {p95:?}");
        let carried = home.control.carried().unwrap_or_default() * 8e-6;
        assert!((mbits * 0.7..mbits * 1.1).contains(&carried), "{carried} Mbit/s were seen");
    }
    // A new one begins as ever.
    let mut home = Home::new(5.0, &[20]);
    home.control.reset(home.now, None);
    assert!(home.control.rate() <= FIRST && home.control.starting);
}
