//! What is simulated: a scenario file.

use service::config::{Check, Duration, Problems, Rate};

/// A scenario. Every key has a default; the files in `sim/scenarios/` say what they change.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario shows, for the report.
    pub about: String,
    /// All chance follows from it.
    pub seed: u64,
    /// Virtual time.
    pub duration: Duration,
    /// Time between two points of the report's curves.
    pub sample: Duration,
    /// The channel.
    pub channel: Channel,
    /// Networks.
    pub places: Places,
    /// Kinds of access lines.
    pub access: Vec<Access>,
    /// The audience.
    pub viewers: Viewers,
    /// Crowds that come beside it.
    pub crowd: Vec<Crowd>,
    /// The operator's repeaters.
    pub repeaters: Repeaters,
    /// Latency and loss.
    pub network: Network,
    /// The ways between autonomous systems.
    pub transit: Transit,
    /// Rendezvous.
    pub rendezvous: Rendezvous,
    /// What fails.
    pub outage: Vec<Outage>,
}

/// The rendition that is simulated.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// Media.
    pub bitrate: Rate,
    /// Sub-streams.
    pub n: u8,
    /// How many rebuild everything.
    pub k: u8,
    /// How many rebuild sound and tables.
    pub essential_k: u8,
    /// Duration of a segment (T).
    pub segment: Duration,
    /// Capture to playout (D).
    pub delay: Duration,
    /// Segments from one random access point to the next.
    pub access_every: u64,
    /// How much larger than the mean a segment is that begins with a random access point.
    pub access_weight: f64,
    /// How much slower than true the source's clock (PCR) runs, millionths: segments last so much longer.
    pub drift: f64,
}

/// Where viewers live.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Places {
    /// Countries; autonomous systems are dealt out to them in turn.
    pub countries: Vec<ticket::Country>,
    /// Autonomous systems; number i has a share in proportion to 1/i^zipf of the audience.
    pub systems: u32,
    /// How uneven the systems are: 0 for equal ones.
    pub zipf: f64,
    /// Subsets of equal size in each system.
    pub subsets: u32,
}

/// One kind of access line.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Its name.
    pub name: String,
    /// Its share, relative to the others.
    pub share: f64,
    /// Uplink, from and to; even on a logarithmic scale between.
    pub up: [Rate; 2],
    /// Downlink, likewise.
    pub down: [Rate; 2],
    /// One-way delay of the line.
    pub latency: Duration,
    /// Mean of what is added by chance.
    pub jitter: Duration,
    /// Packets lost, share.
    pub loss: f64,
    /// Share of time in which the line loses packets in bursts (bad radio).
    pub burst_time: f64,
    /// Packets lost then, share.
    pub burst_loss: f64,
}

/// The audience.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Viewers {
    /// How many watch when all are there.
    pub count: u32,
    /// When the first come: the headend and repeaters begin at 0.
    pub from: Duration,
    /// They come evenly within this time.
    pub ramp: Duration,
    /// The audience over time instead of `ramp`: [seconds after `from`, share of `count`], straight between.
    pub curve: Vec<[f64; 2]>,
    /// How long one stays on average; those who go are replaced. 0: to the end.
    pub life: Duration,
    /// Shape of the log-normal distribution of that.
    pub life_sigma: f64,
    /// Share of those who go that say good-bye; the others just stop.
    pub good_bye: f64,
    /// Share of the measured uplink that a viewer lends.
    pub lends: f64,
    /// The most that a viewer lends.
    pub lends_most: Rate,
    /// Share of viewers who lend nothing.
    pub free_riders: f64,
    /// Share of viewers whose every shard fails its proof.
    pub polluters: f64,
    /// Share of viewers who grant sub-streams and never push them.
    pub promise_breakers: f64,
    /// Shares of viewers behind a symmetric NAT, and without any NAT; the others are behind a cone.
    pub strict_nat: f64,
    /// Without NAT.
    pub open_nat: f64,
    /// Spare sub-streams that a viewer may take.
    pub max_spares: u8,
    /// The connection to one repeater is open already, from the channel before.
    pub warm: bool,
    /// Share of viewers who watch behind the same line as another one, and so share its uplink and downlink.
    pub households: f64,
    /// A viewer's own clock is wrong by at most so many millionths; some run fast, some slow.
    pub clock_drift: f64,
    /// Share of viewers whose clock stands still once for `clock_jump`, as when a machine sleeps.
    pub clock_jumps: f64,
    /// For how long.
    pub clock_jump: Duration,
}

/// More viewers at once.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Crowd {
    /// When.
    pub at: Duration,
    /// How many.
    pub count: u32,
    /// Joins per second.
    pub rate: f64,
}

/// The operator's repeaters.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repeaters {
    /// They could feed this share of the audience alone.
    pub audience_share: f64,
    /// The most sub-streams that one pushes, on the mean if they are `inside`.
    pub substreams: u32,
    /// As many repeaters at least.
    pub at_least: u32,
    /// And so many sub-streams each.
    pub substreams_at_least: u32,
    /// Uplink beyond what its sub-streams need, for starts and repairs: 0.5 is half more.
    pub headroom: f64,
    /// In the viewers' networks, one after the other, each as large as its network's audience asks for; otherwise in a
    /// network of the operator, all of one size.
    pub inside: bool,
}

/// Latency and loss of the networks between access lines.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// One way, without the lines at both ends: within a subset.
    pub subset: Duration,
    /// Within an autonomous system.
    pub system: Duration,
    /// Within a country.
    pub country: Duration,
    /// Further.
    pub far: Duration,
    /// A pair of nodes has up to this share more, always the same.
    pub spread: f64,
    /// Packets lost on the way, share.
    pub loss: f64,
}

/// The ways between autonomous systems. Each system has one way out and one way in.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transit {
    /// What each of the two carries; grows with `--viewers`. Without it there is no limit.
    pub capacity: Option<Rate>,
}

/// The servers of rendezvous: they share one map, and each has a clock.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rendezvous {
    /// How many there are; a node goes to the next one when its own is away.
    pub servers: u8,
    /// One way to them, without the node's line.
    pub latency: Duration,
    /// The way there is longer than the way back by up to this share, or shorter.
    pub asymmetry: f64,
    /// Their clocks differ by this from one to the next.
    pub clocks_apart: Duration,
}

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fails {
    /// Some repeaters stop without notice and are started again.
    Repeaters,
    /// An autonomous system is cut off from all others.
    System,
    /// Some servers of rendezvous stop; if it is all of them, they forget everything.
    Rendezvous,
}

/// A failure.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outage {
    /// What fails.
    pub fails: Fails,
    /// When.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// Which share of the repeaters, or of the servers of rendezvous.
    pub share: f64,
    /// Which autonomous system; 1 is the largest.
    pub system: u32,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn kbit(kbit: u64) -> Rate {
    Rate::from_kbits_per_second(kbit)
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            about: String::new(),
            seed: 1,
            duration: Duration::from_secs(120),
            sample: Duration::from_secs(5),
            channel: Channel::default(),
            places: Places::default(),
            access: lines(),
            viewers: Viewers::default(),
            crowd: Vec::new(),
            repeaters: Repeaters::default(),
            network: Network::default(),
            transit: Transit::default(),
            rendezvous: Rendezvous::default(),
            outage: Vec::new(),
        }
    }
}

/// The mix of lines if a scenario names none; see docs/simulator.md for where the figures come from.
fn lines() -> Vec<Access> {
    let line = |name: &str, share, up: [u64; 2], down: [u64; 2], latency, jitter| Access {
        name: name.into(),
        share,
        up: up.map(kbit),
        down: down.map(kbit),
        latency: ms(latency),
        jitter: ms(jitter),
        ..Access::default()
    };
    let mobile = line("mobile", 0.10, [3_000, 15_000], [20_000, 100_000], 20, 6);
    vec![
        line("adsl", 0.10, [600, 1_200], [8_000, 20_000], 12, 2),
        line("vdsl", 0.35, [4_000, 12_000], [30_000, 100_000], 8, 1),
        line("cable", 0.25, [5_000, 25_000], [100_000, 400_000], 6, 2),
        line("fibre", 0.20, [50_000, 500_000], [100_000, 1_000_000], 2, 1),
        Access { loss: 0.001, burst_time: 0.005, burst_loss: 0.3, ..mobile },
    ]
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            bitrate: kbit(4_000),
            n: 12,
            k: 8,
            essential_k: 4,
            segment: ms(250),
            delay: Duration::from_secs(2),
            access_every: 4,
            access_weight: 1.6,
            drift: 30.0,
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        let country = |name: &str| name.parse().ok();
        Self {
            countries: ["CH", "DE"].into_iter().filter_map(country).collect(),
            systems: 8,
            zipf: 0.9,
            subsets: 4,
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            name: "line".into(),
            share: 1.0,
            up: [kbit(5_000); 2],
            down: [kbit(50_000); 2],
            latency: ms(8),
            jitter: ms(1),
            loss: 0.0002,
            burst_time: 0.0,
            burst_loss: 0.0,
        }
    }
}

impl Default for Viewers {
    fn default() -> Self {
        Self {
            count: 200,
            from: Duration::from_secs(5),
            ramp: Duration::from_secs(20),
            curve: Vec::new(),
            life: Duration::from_secs(0),
            life_sigma: 1.5,
            good_bye: 0.8,
            lends: 0.8,
            lends_most: kbit(20_000),
            free_riders: 0.0,
            polluters: 0.0,
            promise_breakers: 0.0,
            strict_nat: 0.10,
            open_nat: 0.15,
            max_spares: 2,
            warm: true,
            households: 0.05,
            clock_drift: 30.0,
            clock_jumps: 0.0,
            clock_jump: ms(300),
        }
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self { at: Duration::from_secs(60), count: 100, rate: 100.0 }
    }
}

impl Default for Repeaters {
    fn default() -> Self {
        Self {
            audience_share: 0.05,
            substreams: 1_000,
            at_least: 2,
            substreams_at_least: 36,
            headroom: 0.5,
            inside: false,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            subset: ms(1),
            system: ms(3),
            country: ms(7),
            far: ms(15),
            spread: 0.5,
            loss: 0.0001,
        }
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self { servers: 2, latency: ms(10), asymmetry: 0.5, clocks_apart: ms(5) }
    }
}

impl Default for Outage {
    fn default() -> Self {
        Self {
            fails: Fails::Repeaters,
            at: Duration::from_secs(60),
            lasts: Duration::from_secs(30),
            share: 1.0,
            system: 1,
        }
    }
}

impl Check for Scenario {
    fn check(&self, problems: &mut Problems) {
        let mut share = |key: String, value: f64| {
            if !(0.0..=1.0).contains(&value) {
                problems.add(key, "must be a share, 0 to 1");
            }
        };
        let viewers = &self.viewers;
        share("viewers.good_bye".into(), viewers.good_bye);
        share("viewers.lends".into(), viewers.lends);
        share("viewers.free_riders".into(), viewers.free_riders);
        share("viewers.polluters".into(), viewers.polluters);
        share("viewers.promise_breakers".into(), viewers.promise_breakers);
        share("viewers.strict_nat".into(), viewers.strict_nat);
        share("viewers.open_nat".into(), viewers.open_nat);
        share("viewers.households".into(), viewers.households);
        share("viewers.clock_jumps".into(), viewers.clock_jumps);
        share("rendezvous.asymmetry".into(), self.rendezvous.asymmetry);
        share("network.loss".into(), self.network.loss);
        for (i, line) in self.access.iter().enumerate() {
            share(format!("access.{i}.loss"), line.loss);
            share(format!("access.{i}.burst_time"), line.burst_time);
            share(format!("access.{i}.burst_loss"), line.burst_loss);
        }
        for (i, outage) in self.outage.iter().enumerate() {
            share(format!("outage.{i}.share"), outage.share);
        }
        self.check_sizes(problems);
    }
}

impl Scenario {
    fn check_sizes(&self, problems: &mut Problems) {
        let mut must = |good: bool, key: &str, what: &str| {
            if !good {
                problems.add(key, what);
            }
        };
        let Channel { n, k, essential_k, segment, delay, .. } = self.channel;
        let rate = self.channel.bitrate.bits_per_second();
        must((1..=32).contains(&k) && k <= n && n <= 64, "channel.k", "must be 1 to 32, n k to 64");
        must((1..=k).contains(&essential_k), "channel.essential_k", "must be 1 to k");
        must((50..=2_000).contains(&segment.get().as_millis()), "channel.segment", "50ms to 2s");
        must((200..=60_000).contains(&delay.get().as_millis()), "channel.delay", "200ms to 60s");
        must(
            (100_000..=200_000_000).contains(&rate),
            "channel.bitrate",
            "100 kbit/s to 200 Mbit/s",
        );
        must(self.channel.access_every >= 1, "channel.access_every", "must be at least 1");
        let weight = self.channel.access_weight;
        let most = self.channel.access_every as f64;
        must((1.0..=most.max(1.0)).contains(&weight), "channel.access_weight", "1 to access_every");
        must((1..=86_400).contains(&self.duration.get().as_secs()), "duration", "1s to 24h");
        must((1..=3_600).contains(&self.sample.get().as_secs()), "sample", "1s to 1h");
        must((1..=10_000).contains(&self.places.systems), "places.systems", "1 to 10000");
        must((1..=1_000).contains(&self.places.subsets), "places.subsets", "1 to 1000");
        must(!self.places.countries.is_empty(), "places.countries", "at least one is needed");
        must((0.0..=5.0).contains(&self.places.zipf), "places.zipf", "0 to 5");
        must((1..=2_000_000).contains(&self.viewers.count), "viewers.count", "1 to 2000000");
        must((0.0..=4.0).contains(&self.viewers.life_sigma), "viewers.life_sigma", "0 to 4");
        must(self.viewers.max_spares <= 2, "viewers.max_spares", "0 to 2");
        let jump = self.viewers.clock_jump.get().as_millis();
        must(jump <= 10_000, "viewers.clock_jump", "0 to 10s");
        let drift = self.viewers.clock_drift;
        must((0.0..=1_000.0).contains(&drift), "viewers.clock_drift", "0 to 1000");
        let drift = self.channel.drift;
        must((-1_000.0..=1_000.0).contains(&drift), "channel.drift", "-1000 to 1000");
        must((1..=16).contains(&self.rendezvous.servers), "rendezvous.servers", "1 to 16");
        let carries = self.transit.capacity.is_none_or(|rate| rate.bits_per_second() >= 1_000_000);
        must(carries, "transit.capacity", "at least 1 Mbit/s");
        let curve = &self.viewers.curve;
        let rising = curve.windows(2).all(|pair| pair[0][0] < pair[1][0]);
        let sound = curve.iter().flatten().all(|value| (0.0..=1e6).contains(value));
        must(rising && sound, "viewers.curve", "times must rise, nothing may be negative");
        must(self.repeaters.at_least <= 10_000, "repeaters.at_least", "0 to 10000");
        must(self.repeaters.substreams >= 1, "repeaters.substreams", "must be at least 1");
        must(
            (0.0..=10.0).contains(&self.repeaters.audience_share),
            "repeaters.audience_share",
            "0 to 10",
        );
        must((0.0..=100.0).contains(&self.repeaters.headroom), "repeaters.headroom", "0 to 100");
        must((0.0..=10.0).contains(&self.network.spread), "network.spread", "0 to 10");
        let shares: f64 = self.access.iter().map(|line| line.share.max(0.0)).sum();
        must(shares > 0.0, "access", "at least one line needs a share");
        for (i, line) in self.access.iter().enumerate() {
            let rates = |[from, to]: [Rate; 2]| {
                (1..=to.bits_per_second()).contains(&from.bits_per_second())
            };
            must(rates(line.up), &format!("access.{i}.up"), "from, to: positive and in order");
            must(rates(line.down), &format!("access.{i}.down"), "from, to: positive and in order");
        }
        for (i, crowd) in self.crowd.iter().enumerate() {
            must(crowd.rate > 0.0, &format!("crowd.{i}.rate"), "must be above 0");
            must(crowd.count <= 2_000_000, &format!("crowd.{i}.count"), "at most 2000000");
        }
    }
}

impl Scenario {
    /// The same with an audience of another size: crowds are scaled alike.
    pub fn scale(&mut self, viewers: u32) {
        let factor = f64::from(viewers) / f64::from(self.viewers.count.max(1));
        for crowd in &mut self.crowd {
            crowd.count = (f64::from(crowd.count) * factor).round() as u32;
            crowd.rate *= factor;
        }
        let scaled = |rate: Rate| (rate.bits_per_second() as f64 * factor) as u64;
        let capacity = self.transit.capacity.map(scaled);
        self.transit.capacity =
            capacity.map(|rate| Rate::from_bits_per_second(rate.max(1_000_000)));
        self.viewers.count = viewers;
    }

    /// All uplinks times a factor.
    pub fn scale_uplinks(&mut self, factor: f64) {
        for line in &mut self.access {
            let scaled = |rate: Rate| (rate.bits_per_second() as f64 * factor) as u64;
            line.up = line.up.map(|rate| Rate::from_bits_per_second(scaled(rate)));
        }
    }
}
