//! The controller before a simulated uplink: one queue, as deep as they are in homes, on a virtual clock.

use std::collections::VecDeque;

use super::*;
use crate::uplink::pacer::Bucket;
use crate::uplink::sense;

const MS: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_micros(250);
const PACKET: usize = 1_250;
/// Packets of one.
const SHARD: usize = 12;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Polite(u64),
    Game,
    /// Traffic that does not yield, as of a call.
    Call,
    Tcp,
}

struct Packet {
    of: Of,
    bytes: usize,
    sent: Instant,
}

/// What is heard of one child, as QUIC lets it be heard: a packet that comes alone is acknowledged late.
struct Ear {
    trips: sense::Trips,
    smoothed: Duration,
    least: Duration,
    /// When the packets were sent that are not acknowledged yet, and when they are at the latest.
    pending: Vec<Instant>,
    bytes: u64,
    due: Instant,
}

impl Ear {
    fn new(now: Instant, way: Duration) -> Self {
        // The handshake was slower than any packet after it.
        let least = way + MS * 3;
        let smoothed = way + MS * 3;
        Self {
            trips: sense::Trips::default(),
            smoothed,
            least,
            pending: vec![],
            bytes: 0,
            due: now,
        }
    }

    /// An acknowledgement is read, that was held back by so long; gives what it says.
    fn read(&mut self, now: Instant, held: Duration) -> (u64, Option<sense::Trip>) {
        for sent in &self.pending {
            self.trips.acked(now, *sent, self.smoothed, self.least);
        }
        let newest = self.pending.drain(..).max().map_or(self.least, |sent| now - sent);
        // As quinn does it.
        self.least = self.least.min(newest);
        let sample = if self.least + held <= newest { newest - held } else { newest };
        self.smoothed = (7 * self.smoothed + sample) / 8;
        (std::mem::take(&mut self.bytes), self.trips.end())
    }
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
    packets: usize,
    ears: Vec<Ear>,
    /// The uplink is Wi-Fi: others are on the air now and then, and what comes back is late by up to 6 ms.
    air: bool,
    /// Bytes per second of a call, and when its next packet goes.
    call: f64,
    call_at: Instant,
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
            packets: 0,
            ears: children.iter().map(|ms| Ear::new(start, MS * *ms as u32)).collect(),
            air: false,
            call: 0.0,
            call_at: start,
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

    /// From 0 to 1, always the same.
    fn chance(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.noise >> 16) / 65_536.0
    }

    /// Up to a millisecond.
    fn jitter(&mut self) -> Duration {
        let most = if self.air { MS * 6 } else { MS };
        most.mul_f64(self.chance())
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
        self.bucket.set_depth(PACKET as f64, MS * 3 / 2);
        while self.backlog.is_none_or(|bytes| bytes > 0) {
            if self.bucket.take(self.now, PACKET).is_err() {
                self.waited = true;
                break;
            }
            if let Some(bytes) = &mut self.backlog {
                *bytes = bytes.saturating_sub(PACKET);
            }
            // One shard after the other.
            let child = self.packets / SHARD % self.children.len();
            self.packets += 1;
            self.control.sent(self.now, PACKET as u64, self.waited);
            self.waited = false;
            self.enqueue(Of::Polite(child as u64), PACKET);
        }
        if self.now >= self.game_at {
            self.game_at += MS * 20;
            self.enqueue(Of::Game, 120);
        }
        while self.call > 0.0 && self.now >= self.call_at {
            self.call_at =
                self.call_at.max(self.now - MS * 20) + Duration::from_secs_f64(1_200.0 / self.call);
            self.enqueue(Of::Call, 1_200);
        }
        // Somebody else is on the air: for some milliseconds 25 times a second, and for long now and then.
        if self.air && self.chance() < 25.0 * STEP.as_secs_f64() {
            let long = if self.chance() < 0.03 { 10.0 } else { 1.0 };
            let busy = MS.mul_f64(long * 5.0 * self.chance());
            self.free = self.free.max(self.now) + busy;
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
                Of::Game | Of::Call => MS * 20,
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
                Of::Call => {}
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
                    let ear = &mut self.ears[child as usize];
                    if ear.pending.is_empty() {
                        // Timers are late, and not told to be.
                        ear.due = self.now + sense::LATER + MS * 5 / 4;
                    }
                    ear.pending.push(packet.sent);
                    ear.bytes += packet.bytes as u64;
                    if ear.pending.len() >= sense::AT_ONCE as usize {
                        self.hear(child as usize, Duration::ZERO);
                    }
                }
            }
        }
        for child in 0..self.ears.len() {
            let ear = &self.ears[child];
            if !ear.pending.is_empty() && self.now >= ear.due {
                self.hear(child, sense::LATER);
            }
        }
    }

    fn hear(&mut self, child: usize, held: Duration) {
        let (bytes, trip) = self.ears[child].read(self.now, held);
        if let Some(trip) = trip {
            self.control.trip(child as u64, self.now, trip.took);
        }
        self.control.acked(self.now, bytes);
    }

    fn child_comes(&mut self, way: Duration) {
        self.children.push(way);
        self.ears.push(Ear::new(self.now, way));
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
        assert!(
            first < MS * if mbits < 2.0 { 100 } else { 60 },
            "{mbits} Mbit/s to {children:?} at first: {first:?}"
        );
        assert!(share > 0.8, "{mbits} Mbit/s to {children:?}: {share}");
    }
}

/// Wi-Fi delays packets by itself, with no queue at all: that is no reason to send less. What stands up while others are
/// on the air for long is gone soon.
#[test]
fn jitter_of_wi_fi_is_no_queue() {
    for children in [&[20][..], &[20, 45, 80]] {
        let mut idle = Home::new(5.0, children);
        (idle.air, idle.backlog) = (true, Some(0));
        let (usual, ..) = idle.pass(40.0);
        let mut home = Home::new(5.0, children);
        home.air = true;
        home.pass(10.0);
        let (p95, share, _) = home.pass(40.0);
        println!("Wi-Fi {children:?}: {share:.3}, {p95:?} instead of {usual:?}");
        // The air is somebody else's for a twelfth of the time.
        assert!(share > 0.5, "{share}");
        assert!(p95 < usual + MS * 30, "{p95:?} instead of {usual:?}");
    }
}

/// A call that takes a part of the uplink and does not yield: the rest is used, and neither it nor the game feels that.
#[test]
fn what_a_call_leaves_is_used() {
    let mut home = Home::new(5.0, &[20, 45, 80]);
    home.pass(15.0);
    for mbits in [2.0, 3.5, 1.0, 0.0] {
        home.call = mbits * 125_000.0;
        home.call_at = home.now;
        home.pass(4.0);
        let (p95, share, _) = home.pass(20.0);
        let free = 1.0 - mbits / 5.0;
        println!("beside {mbits} Mbit/s: {share:.3} of {free:.3}, {p95:?}");
        assert!(share > 0.8 * free, "beside {mbits}: {share} of {free}");
        assert!(p95 < MS * 10, "beside {mbits}: {p95:?}");
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
    home.child_comes(MS * 60);
    home.pass(5.0);
    home.child_comes(MS * 25);
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
        assert!(home.now - home.start < PROBE_TIME * 2, "it never ends");
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
        assert!((mbits * 0.7..mbits * 1.2).contains(&carried), "{carried} Mbit/s were seen");
    }
    // A new one begins as ever.
    let mut home = Home::new(5.0, &[20]);
    home.control.reset(home.now, None);
    assert!(home.control.rate() <= FIRST && home.control.starting);
}
