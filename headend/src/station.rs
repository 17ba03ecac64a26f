//! A channel on air: its segments sealed, coded, signed and seeded.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use link::protocol::{
    Condition, EpochKey, MAX_SOURCES, Parameters, Programme, Publication, SourceCondition,
    shortened,
};
use link::{Part, Session, Swarm, SwarmStats};
use segment::{ChannelSecret, Coding, Cut, Sealer};
use tokio::sync::{mpsc, watch};

use crate::config::{Channel, Mode, Source};
use crate::media::Media;
use crate::source::health::Health;
use crate::stats::{Output, Stats};
use crate::ts::eit::Event;

/// How long one content key serves, milliseconds. Viewers hold this epoch's key and the next.
const EPOCH_MS: u64 = 30 * 60 * 1000;
/// Keys are announced as of this long ago, milliseconds: who joins just after an epoch has changed plays segments from
/// before. The next key is still there 29 minutes ahead.
const BEHIND_MS: u64 = 60 * 1000;

/// A channel on air.
pub struct Station {
    channel: Channel,
    media: Mutex<Media>,
    stats: Arc<Stats>,
    renditions: Vec<Rendition>,
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Station({})", self.channel.id)
    }
}

/// One rendition of it: a swarm of its own.
pub struct Rendition {
    /// Its name.
    pub name: String,
    /// What was cut.
    pub output: Arc<Output>,
    part: Part,
    publication: watch::Receiver<Publication>,
    seal: Arc<Seal>,
}

/// What the sealing thread shares.
#[derive(Default)]
struct Seal {
    /// There once rendezvous has taken the rendition, and until the station ends.
    swarm: Mutex<Option<Swarm>>,
    /// The last segment that begins at a random access point.
    entry: Mutex<Option<Bytes>>,
    segments: AtomicU64,
    refused: AtomicU64,
    micros: AtomicU64,
}

/// What a rendition has sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Segments.
    pub segments: u64,
    /// Segments that could not be sealed.
    pub refused: u64,
    /// Time that it took to seal, code and sign them, microseconds.
    pub micros: u64,
}

impl Station {
    /// Starts a channel's sources and sealers. `state`: the folder of segment numbers and secrets.
    ///
    /// # Errors
    /// If its secret cannot be had, or the system gives no thread.
    pub fn start(channel: Channel, state: &Path, serve: swarm::Serve) -> Result<Self> {
        let secret = secret(&channel, state)?;
        let epoch_segments = (EPOCH_MS / u64::from(channel.segment_ms)).max(1);
        let now = crate::clock::wall_micros().unsigned_abs() / 1000 / u64::from(channel.segment_ms);
        let behind = BEHIND_MS / u64::from(channel.segment_ms);
        let coding = channel.coding()?;
        let mut media = Media::start(channel.clone(), Some(state.to_owned()))?;
        let stats = media.stats.clone();
        // The receivers move to the sealing threads; what is left behind is closed.
        let first = std::mem::replace(&mut media.cuts, mpsc::channel(1).1);
        let cuts = std::iter::once(first).chain(media.further.drain(..)).collect::<Vec<_>>();
        let mut renditions = Vec::new();
        let rates = channel.bitrates();
        for (((name, bitrate), cuts), output) in rates.into_iter().zip(cuts).zip(&stats.outputs) {
            let sealer = Sealer::new(secret.clone(), name, coding, epoch_segments);
            let epoch = sealer.epoch_of(now.saturating_sub(behind));
            let (announce, publication) = watch::channel(Publication {
                name: channel.name.clone(),
                parameters: parameters(&channel, coding, &secret, name, bitrate),
                epoch_segments,
                keys: keys(&sealer, epoch),
            });
            let seal = Arc::new(Seal::default());
            let shared = seal.clone();
            let span = tracing::info_span!("channel", id = %channel.id, rendition = name);
            let thread = thread::Builder::new().name(format!("seal {} {name}", channel.id));
            thread.spawn(move || {
                span.in_scope(|| shared.run(cuts, sealer, &announce, epoch, behind));
            })?;
            let part = Part { serve, ..Part::default() };
            let (name, output) = (name.to_owned(), output.clone());
            renditions.push(Rendition { name, output, part, publication, seal });
        }
        Ok(Self { channel, media: Mutex::new(media), stats, renditions })
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The media part's figures.
    pub fn media(&self) -> &Stats {
        &self.stats
    }

    /// Its renditions, the first first.
    pub fn renditions(&self) -> &[Rendition] {
        &self.renditions
    }

    /// Whether rendezvous has taken its first rendition.
    pub fn on_air(&self) -> bool {
        self.renditions.first().is_some_and(|rendition| rendition.swarm().is_some())
    }

    /// How it fares, for the operator.
    pub fn condition(&self) -> Condition {
        let stats = &self.stats;
        let source = |(source, health): (&Source, &Arc<Health>)| SourceCondition {
            kind: source.kind().to_owned(),
            state: health.state(),
            playing: health.is_active(),
        };
        let sources = self.channel.sources().zip(&stats.sources).take(MAX_SOURCES);
        Condition {
            channel: self.channel.id.clone(),
            sources: sources.map(source).collect(),
            up: stats.source_up.load(Relaxed),
            encoded: self.channel.mode == Mode::Encode,
            behind_ms: u32::try_from(stats.lag_us.load(Relaxed).max(0) / 1000).unwrap_or(u32::MAX),
            losses: stats.losses.load(Relaxed),
            switches: stats.switches.load(Relaxed),
            trouble: stats.trouble().map(shortened),
        }
    }

    /// What the source that plays says is on, now and next; nothing while the slate stands in.
    pub fn programmes(&self) -> Vec<Programme> {
        let playing = self.stats.sources.get(self.stats.active());
        let up = self.stats.source_up.load(Relaxed);
        let events = playing.filter(|_| up).map(|health| health.on()).unwrap_or_default();
        let programme = |event: Event| {
            let start = u64::try_from(event.start).ok()?;
            Some(Programme {
                start,
                end: start + u64::from(event.duration),
                title: shortened(event.title),
                about: shortened(event.about),
            })
        };
        events.into_iter().filter_map(programme).collect()
    }

    /// The last segment of its first rendition at which decoding can begin.
    pub fn entry(&self) -> Option<Bytes> {
        let seal = &self.renditions.first()?.seal;
        seal.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes it off air; returns when its threads are gone. Blocks for a moment.
    pub fn stop(&self) {
        for rendition in &self.renditions {
            rendition.seal.swarm().take();
        }
        self.media.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }
}

/// Whether the channel's secret can be had; makes one if none is configured.
///
/// # Errors
/// If it cannot.
pub fn check_secret(channel: &Channel, state: &Path) -> Result<()> {
    secret(channel, state).map(drop)
}

impl Rendition {
    /// Puts it on air; waits for rendezvous if it is away.
    ///
    /// # Errors
    /// If rendezvous refuses it.
    pub async fn publish(&self, session: &Session) -> Result<()> {
        let swarm = session.publish(self.publication.clone(), self.part).await?;
        *self.seal.swarm() = Some(swarm);
        Ok(())
    }

    /// What was sealed.
    pub fn sealed(&self) -> Sealed {
        Sealed {
            segments: self.seal.segments.load(Relaxed),
            refused: self.seal.refused.load(Relaxed),
            micros: self.seal.micros.load(Relaxed),
        }
    }

    /// The swarm's figures, once it is on air.
    pub fn swarm(&self) -> Option<SwarmStats> {
        self.seal.swarm().as_ref().map(Swarm::stats)
    }
}

impl Seal {
    fn swarm(&self) -> MutexGuard<'_, Option<Swarm>> {
        self.swarm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(
        &self,
        mut cuts: mpsc::Receiver<Cut>,
        mut sealer: Sealer,
        announce: &watch::Sender<Publication>,
        mut epoch: u32,
        behind: u64,
    ) {
        while let Some(cut) = cuts.blocking_recv() {
            let from = Instant::now();
            if cut.random_access {
                *self.entry.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut.ts.clone());
            }
            match sealer.seal(&cut) {
                Ok(shards) => {
                    if let Some(swarm) = &*self.swarm() {
                        swarm.publish(shards);
                    }
                    self.segments.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    tracing::error!(%error, number = cut.number, "segment cannot be sealed");
                    self.refused.fetch_add(1, Relaxed);
                }
            }
            self.micros.fetch_add(from.elapsed().as_micros() as u64, Relaxed);
            let now = sealer.epoch_of(cut.number.saturating_sub(behind));
            if now != epoch {
                epoch = now;
                announce.send_modify(|publication| publication.keys = keys(&sealer, epoch));
            }
        }
    }
}

/// How to take part in a rendition.
fn parameters(
    channel: &Channel,
    coding: Coding,
    secret: &ChannelSecret,
    rendition: &str,
    bitrate: u64,
) -> Parameters {
    Parameters {
        channel: channel.id.clone(),
        rendition: rendition.into(),
        key: secret.channel_key().0,
        n: coding.n(),
        k: coding.full(),
        essential_k: coding.essential(),
        // The configuration allows at most two seconds.
        segment_ms: channel.segment_ms as u16,
        delay_ms: channel.delay_ms,
        bitrate,
    }
}

/// The content keys of an epoch and the next.
fn keys(sealer: &Sealer, epoch: u32) -> Vec<EpochKey> {
    [epoch, epoch.wrapping_add(1)]
        .map(|epoch| EpochKey { epoch, key: sealer.content_key(epoch).key })
        .to_vec()
}

/// The channel's secret: as configured, or made once and kept in the state folder.
fn secret(channel: &Channel, state: &Path) -> Result<ChannelSecret> {
    let text = match &channel.secret {
        Some(secret) => secret.read()?.expose().to_owned(),
        None => kept(&state.join(format!("{}.secret", channel.id)))?,
    };
    let bytes = from_hex(text.trim()).with_context(|| {
        format!("the secret of channel {} is not 64 hexadecimal digits", channel.id)
    })?;
    Ok(ChannelSecret::of_channel(bytes, &channel.id))
}

/// Reads a secret file, or makes one that only its owner can read. It appears whole or not at all, and never replaces
/// another.
fn kept(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    }
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok().context("the system gives no random numbers")?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let beside = path.with_extension(format!("secret.{}", std::process::id()));
    let made = make(path, &beside, &text);
    let _gone = std::fs::remove_file(&beside);
    match made {
        // Somebody else was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
        }
        made => made.map(|()| text).with_context(|| format!("create {}", path.display())),
    }
}

/// Writes a draft and links it to its place once it is on the disk: a link replaces nothing.
fn make(path: &Path, beside: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // What a run with the same process id left when it was cut off.
    let _gone = std::fs::remove_file(beside);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::hard_link(beside, path)?;
    // The name must outlive a crash too.
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let channel = Channel { id: "one".into(), ..Channel::default() };
        let first = secret(&channel, folder.path()).unwrap().channel_key();
        assert_eq!(secret(&channel, folder.path()).unwrap().channel_key(), first);
        let other = Channel { id: "two".into(), ..Channel::default() };
        assert_ne!(secret(&other, folder.path()).unwrap().channel_key(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no drafts are left");
    }

    #[test]
    fn a_secret_replaces_nothing_and_drafts_do_no_harm() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("one.secret"), folder.path().join("draft"));
        std::fs::write(&beside, "5e").unwrap();
        make(&path, &beside, "first").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = make(&path, &beside, "second").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn a_secret_has_64_hexadecimal_digits() {
        assert_eq!(from_hex(&"5e".repeat(32)), Some([0x5e; 32]));
        for text in ["", "5e", &"g0".repeat(32), &"5e".repeat(33)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
