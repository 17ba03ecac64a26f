//! The configuration file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use segment::Coding;
use serde::Deserialize;
use service::config::Secret;
use url::Url;

/// One channel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Channel {
    /// Names it in calls, metrics and logs: lower-case letters, digits, `-`, `_`; at most 64.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The channel's secret: 64 hexadecimal digits. Without it one is made and kept in the state folder.
    pub secret: Option<Secret>,
    /// Sub-streams.
    pub n: u8,
    /// How many of them rebuild the channel.
    pub k: u8,
    /// How many of them rebuild sound and tables; 0 for one layer with everything in it.
    pub essential_k: u8,
    /// Capture to picture, the same for all viewers, milliseconds (D).
    pub delay_ms: u32,
    /// Where the pictures come from.
    pub source: Source,
    /// Sources that stand in while [`source`](Self::source) is away or unfit, the most wanted first.
    pub backups: Vec<Source>,
    /// When another source takes over.
    pub failover: Failover,
    /// Whether the source is encoded or passed through.
    pub mode: Mode,
    /// Duration of a segment, milliseconds, 100 to 2000.
    pub segment_ms: u32,
    /// Distance of random access points, milliseconds; whole segments. Encoding only.
    pub gop_ms: u32,
    /// A source that gives nothing for so long is lost, milliseconds.
    pub lost_after_ms: u32,
    /// Encoding of the picture; in pass-through, that of the slate.
    pub video: Video,
    /// Encoding of the sound.
    pub audio: Audio,
    /// Further renditions, each a swarm of its own beside [`MAIN`]. Encoding only.
    pub renditions: Vec<Rendition>,
}

/// The name of a channel's first rendition.
pub const MAIN: &str = "main";

/// A further rung of the bit-rate ladder: the same pictures smaller, or the sound alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rendition {
    /// Names it: lower-case letters, digits, `-`, `_`; at most 64.
    pub name: String,
    /// Encoding of the picture; none for sound alone.
    pub video: Option<Rung>,
    /// Encoding of the sound.
    pub audio: Audio,
}

/// Encoding of the picture of a further rendition.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Bit rate, kbit/s.
    pub bitrate_kbit: u32,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            secret: None,
            n: 12,
            k: 8,
            essential_k: 4,
            delay_ms: 2000,
            source: Source::Test,
            backups: Vec::new(),
            failover: Failover::default(),
            mode: Mode::Encode,
            segment_ms: 250,
            gop_ms: 1000,
            lost_after_ms: 1000,
            video: Video::default(),
            audio: Audio::default(),
            renditions: Vec::new(),
        }
    }
}

impl Channel {
    /// The code of its rendition.
    ///
    /// # Errors
    /// If N and K do not fit together.
    pub fn coding(&self) -> Result<Coding, segment::CodingError> {
        Coding::new(self.n, self.k, Some(self.essential_k).filter(|&k| k > 0))
    }

    /// All its sources, the most wanted first.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(&self.backups)
    }

    /// All its renditions as they are encoded, the first named [`MAIN`]: name, picture (none for sound alone), sound.
    pub fn ladder(&self) -> Vec<(&str, Option<Video>, &Audio)> {
        let further = self.renditions.iter().map(|rendition| {
            let video = rendition.video.as_ref().map(|rung| Video {
                width: rung.width,
                height: rung.height,
                bitrate_kbit: rung.bitrate_kbit,
                ..self.video.clone()
            });
            (rendition.name.as_str(), video, &rendition.audio)
        });
        std::iter::once((MAIN, Some(self.video.clone()), &self.audio)).chain(further).collect()
    }

    /// The bit rates of all its renditions as configured, bits per second. In pass-through the source decides, and
    /// this is a guess.
    pub fn bitrates(&self) -> Vec<(&str, u64)> {
        let rate = |(name, video, audio): (_, Option<Video>, &Audio)| {
            let kbit = video.map_or(0, |video| video.bitrate_kbit) + audio.bitrate_kbit;
            (name, u64::from(kbit) * 1000)
        };
        self.ladder().into_iter().map(rate).collect()
    }
}

/// When another source takes over, beside the case that one gives nothing any more
/// ([`Channel::lost_after_ms`]). Times in milliseconds; 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Failover {
    /// A picture that stands still for so long is frozen.
    pub frozen_after_ms: u32,
    /// A picture that is black for so long is no picture.
    pub black_after_ms: u32,
    /// Sound that is silent for so long is no sound.
    pub silent_after_ms: u32,
    /// A source that is preferred comes back once it has been well for so long.
    pub back_after_ms: u32,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            frozen_after_ms: 10_000,
            black_after_ms: 10_000,
            silent_after_ms: 20_000,
            back_after_ms: 10_000,
        }
    }
}

/// Where pictures come from.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// A test picture with a running clock, and a tone.
    Test,
    /// A file, over and over.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// MPEG-TS over UDP.
    Udp {
        /// Where to receive: a multicast group, or an own address (`0.0.0.0` for all).
        address: SocketAddr,
        /// For a multicast group: the network interface, such as `eth0`.
        #[serde(default)]
        interface: Option<String>,
    },
    /// MPEG-TS over SRT; the sender calls.
    SrtListener {
        /// Where to listen.
        address: SocketAddr,
        /// Time to repair losses, milliseconds.
        #[serde(default = "srt_latency")]
        latency_ms: u32,
        /// 10 to 79 characters; none for no encryption.
        #[serde(default)]
        passphrase: Option<Secret>,
    },
    /// MPEG-TS over SRT; this end calls.
    SrtCaller {
        /// `HOST:PORT` of the sender.
        address: String,
        /// Time to repair losses, milliseconds.
        #[serde(default = "srt_latency")]
        latency_ms: u32,
        /// 10 to 79 characters; none for no encryption.
        #[serde(default)]
        passphrase: Option<Secret>,
        /// `streamid` to ask for.
        #[serde(default)]
        stream_id: Option<String>,
    },
    /// RTMP; an encoder such as OBS calls and publishes.
    RtmpListener {
        /// Where to listen; no other source's.
        address: SocketAddr,
        /// The application: in `rtmp://HOST/live`, that is `live`.
        #[serde(default = "rtmp_app")]
        app: String,
        /// The stream key that the encoder has to show.
        key: Secret,
    },
    /// RTMP; this end calls and plays.
    Rtmp {
        /// `rtmp://` or `rtmps://`, host, application, and the stream unless it is a secret `key`.
        url: Url,
        /// The stream, if it is secret.
        #[serde(default)]
        key: Option<Secret>,
        /// Who asks, if the server wants to know.
        #[serde(default)]
        user: Option<String>,
        /// The user's password.
        #[serde(default)]
        password: Option<Secret>,
    },
    /// RTSP: cameras and encoders.
    Rtsp {
        /// `rtsp://` or `rtsps://`.
        url: Url,
        /// Who asks.
        #[serde(default)]
        user: Option<String>,
        /// The user's password.
        #[serde(default)]
        password: Option<Secret>,
        /// How media travels.
        #[serde(default)]
        transport: Transport,
        /// Time to put packets in order, milliseconds.
        #[serde(default = "rtsp_latency")]
        latency_ms: u32,
    },
    /// HLS: a live playlist somewhere else.
    Hls {
        /// `http://` or `https://`.
        url: Url,
        /// Who asks.
        #[serde(default)]
        user: Option<String>,
        /// The user's password.
        #[serde(default)]
        password: Option<Secret>,
    },
    /// A DVB card.
    Dvb(Dvb),
}

/// How RTSP's media travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Within the connection.
    #[default]
    Tcp,
    /// As packets beside it.
    Udp,
}

/// A DVB card and what it is tuned to.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dvb {
    /// Number of the card.
    #[serde(default)]
    pub adapter: u32,
    /// Number of the tuner on it.
    #[serde(default)]
    pub frontend: u32,
    /// The kind of transmission.
    pub system: DvbSystem,
    /// Hz; from a satellite kHz.
    pub frequency: u32,
    /// Bandwidth, Hz (terrestrial).
    #[serde(default)]
    pub bandwidth_hz: Option<u32>,
    /// Symbols a second, in thousands (satellite and cable).
    #[serde(default)]
    pub symbol_rate: Option<u32>,
    /// Polarisation (satellite).
    #[serde(default)]
    pub polarization: Option<Polarization>,
    /// Position of the DiSEqC switch, 0 to 7 (satellite).
    #[serde(default)]
    pub diseqc: Option<u32>,
    /// Modulation, such as `qpsk`, `8psk`, `qam-64`, `qam-256`; else found out.
    #[serde(default)]
    pub modulation: Option<String>,
    /// The stream within a multiplex that has several (DVB-T2, DVB-S2).
    #[serde(default)]
    pub stream_id: Option<u32>,
    /// Number of the programme (service id); without it the first.
    #[serde(default)]
    pub programme: Option<u16>,
}

/// A kind of DVB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum DvbSystem {
    /// Terrestrial.
    #[serde(rename = "dvb-t")]
    T,
    /// Terrestrial, second generation.
    #[serde(rename = "dvb-t2")]
    T2,
    /// Satellite.
    #[serde(rename = "dvb-s")]
    S,
    /// Satellite, second generation.
    #[serde(rename = "dvb-s2")]
    S2,
    /// Cable.
    #[serde(rename = "dvb-c")]
    C,
}

impl DvbSystem {
    /// Whether it comes from a satellite.
    pub fn is_satellite(self) -> bool {
        matches!(self, Self::S | Self::S2)
    }
}

/// How a satellite's waves swing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Polarization {
    /// Horizontal, or left.
    H,
    /// Vertical, or right.
    V,
}

fn rtmp_app() -> String {
    "live".into()
}

fn rtsp_latency() -> u32 {
    200
}

fn srt_latency() -> u32 {
    120
}

impl Source {
    /// Its kind, as the configuration names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::File { .. } => "file",
            Self::Udp { .. } => "udp",
            Self::SrtListener { .. } => "srt-listener",
            Self::SrtCaller { .. } => "srt-caller",
            Self::RtmpListener { .. } => "rtmp-listener",
            Self::Rtmp { .. } => "rtmp",
            Self::Rtsp { .. } => "rtsp",
            Self::Hls { .. } => "hls",
            Self::Dvb(_) => "dvb",
        }
    }

    /// The secrets that it names, each with the key that names it.
    pub fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        fn some<'a>(
            key: &'static str,
            secret: &'a Option<Secret>,
        ) -> Option<(&'static str, &'a Secret)> {
            secret.as_ref().map(|secret| (key, secret))
        }
        match self {
            Self::SrtListener { passphrase, .. } | Self::SrtCaller { passphrase, .. } => {
                some("passphrase", passphrase).into_iter().collect()
            }
            Self::RtmpListener { key, .. } => vec![("key", key)],
            Self::Rtmp { key, password, .. } => {
                some("key", key).into_iter().chain(some("password", password)).collect()
            }
            Self::Rtsp { password, .. } | Self::Hls { password, .. } => {
                some("password", password).into_iter().collect()
            }
            Self::Test | Self::File { .. } | Self::Udp { .. } | Self::Dvb(_) => Vec::new(),
        }
    }

    /// The number of its programme, if it is not the first.
    pub fn programme(&self) -> Option<u16> {
        match self {
            Self::Dvb(dvb) => dvb.programme,
            _ => None,
        }
    }

    /// Whether its bytes are a transport stream, packet by packet.
    pub fn is_transport_stream(&self) -> bool {
        matches!(
            self,
            Self::Udp { .. } | Self::SrtListener { .. } | Self::SrtCaller { .. } | Self::Dvb(_)
        )
    }

    /// Whether it runs in its own time, rather than as fast as it is read.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File { .. })
    }
}

/// What happens to a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decoded and encoded anew: H.264 and AAC, random access points on the segments' grid.
    Encode,
    /// Its own H.264 or H.265, sound tracks and subtitles.
    PassThrough,
}

/// Encoding of the picture.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Video {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Pictures a second; whole, and a whole number between random access points.
    pub fps: u32,
    /// Bit rate, kbit/s.
    pub bitrate_kbit: u32,
    /// Name of a GStreamer encoder to use; otherwise the best that works.
    pub encoder: Option<String>,
    /// How hard x264 tries: `ultrafast` to `slow`.
    pub preset: String,
}

impl Default for Video {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            fps: 25,
            bitrate_kbit: 3000,
            encoder: None,
            preset: "veryfast".into(),
        }
    }
}

/// Encoding of the sound: AAC, 48 kHz, two channels.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Bit rate, kbit/s.
    pub bitrate_kbit: u32,
}

impl Default for Audio {
    fn default() -> Self {
        Self { bitrate_kbit: 128 }
    }
}

/// An address that a socket is bound to, or asked for.
pub(crate) fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
