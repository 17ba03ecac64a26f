//! From transport stream to picture and sound, by GStreamer: what the window plays with. It knows nothing of channels,
//! sessions or widgets; it is fed with chunks and gives textures.
//!
//! One [`Deck`](deck) is one pipeline and plays one feed from its beginning. Whatever changes where the stream goes on (a
//! zap, a seek, another track) is a new feed and a new deck: that takes a few milliseconds, and there is no state to carry
//! over. The last picture stays until the new one is there.

mod branch;
mod captions;
mod deck;
mod picture;
pub mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use picture::{Picture, Slot};
use tables::{Kind, Track};

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer lacks an element or refuses to link it.
    #[error("GStreamer cannot show a picture: {0}")]
    Unusable(#[from] gstreamer::glib::BoolError),
    /// The pipeline does not start.
    #[error("the picture cannot be shown: {0}")]
    Start(#[from] gstreamer::StateChangeError),
    /// The pipeline failed.
    #[error("{0}")]
    Failed(String),
}

/// A piece of the stream.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Whole MPEG-TS packets.
    pub ts: Bytes,
    /// When its beginning was captured, microseconds since 1970.
    pub position: u64,
    /// Media time in it.
    pub duration: Duration,
    /// When it is due, if the stream is live; in the past while a start catches up.
    pub due: Option<Instant>,
    /// Whether there is all of it; otherwise sound and no picture.
    pub whole: bool,
    /// Whether another stream begins with it, in time with what was before: other tables, another size of picture.
    pub switched: bool,
}

/// Pieces in order. It ends when the channel is left.
pub type Feed = BoxStream<'static, Chunk>;

/// Which tracks are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// Languages of the sound (ISO 639), or PIDs as `#258`, best first.
    pub sound: Vec<String>,
    /// The same of subtitles, or a service of captions as `cc1`; empty: none are shown.
    pub subtitles: Vec<String>,
    /// Plays no sound at all: there is no device for it.
    pub silent: bool,
}

/// What becomes of a feed.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The tracks there are, and which are played: indices into them.
    Tracks {
        /// All of them.
        all: Vec<Track>,
        /// The sound.
        sound: Option<usize>,
        /// The subtitles.
        subtitles: Option<usize>,
    },
    /// The first picture was given to the screen.
    Pictured,
    /// Sound has a device to go to, or has not.
    Sound(bool),
    /// The picture cannot be decoded.
    Failed(String),
    /// The feed has ended.
    Ended,
}

/// How loud.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Loudness {
    /// 0 to 1, as people hear it.
    pub volume: f64,
    /// Whether nothing is heard whatever the volume.
    pub muted: bool,
}

/// Plays one feed after another.
pub struct Playback {
    runtime: Handle,
    slot: Slot,
    events: mpsc::UnboundedSender<(u64, Event)>,
    loudness: watch::Sender<Loudness>,
    deck: Option<Running>,
}

/// A deck that runs, from outside.
struct Running {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    place: Arc<Mutex<Place>>,
}

/// Where a deck is in its stream.
#[derive(Debug, Default)]
struct Place {
    /// The position of the first chunk.
    first: u64,
    /// When that is shown; `None` as long as nothing is.
    since: Option<Instant>,
    /// When it was paused.
    paused: Option<Instant>,
    /// The end of the last chunk.
    end: u64,
}

impl Playback {
    /// Nothing is played yet. Pictures go to `slot`; what becomes of a feed is told with its generation.
    pub fn new(runtime: Handle, slot: Slot) -> (Self, mpsc::UnboundedReceiver<(u64, Event)>) {
        let (events, told) = mpsc::unbounded();
        let loudness = watch::Sender::new(Loudness { volume: 1.0, muted: false });
        (Self { runtime, slot, events, loudness, deck: None }, told)
    }

    /// Plays `feed` instead of what was played.
    pub fn start(&mut self, generation: u64, feed: Feed, choice: Choice, paused: bool) {
        self.stop();
        let stop = CancellationToken::new();
        let place = Arc::default();
        let (pausing, paused) = watch::channel(paused);
        let order = deck::Order {
            choice,
            slot: self.slot.clone(),
            tell: {
                let events = self.events.clone();
                // Nobody listens any more when the window is closing.
                Arc::new(move |event| drop(events.unbounded_send((generation, event))))
            },
            loudness: self.loudness.subscribe(),
            paused,
            place: Arc::clone(&place),
            stop: stop.clone(),
        };
        self.runtime.spawn(deck::play(order, feed));
        self.deck = Some(Running { stop, paused: pausing, place });
    }

    /// Holds the picture and the sound where they are, or goes on.
    pub fn pause(&self, paused: bool) {
        if let Some(deck) = &self.deck {
            deck.paused.send_if_modified(|now| std::mem::replace(now, paused) != paused);
        }
    }

    /// Plays nothing any more.
    pub fn stop(&mut self) {
        if let Some(deck) = self.deck.take() {
            deck.stop.cancel();
        }
    }

    /// Sets how loud it is.
    pub fn set_loudness(&self, loudness: Loudness) {
        self.loudness.send_if_modified(|now| std::mem::replace(now, loudness) != loudness);
    }

    /// What is shown now: its capture time, microseconds since 1970.
    pub fn position(&self) -> Option<u64> {
        self.deck.as_ref().and_then(|deck| lock(&deck.place).now())
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Place {
    fn now(&self) -> Option<u64> {
        let (until, since) = (self.paused.unwrap_or_else(Instant::now), self.since?);
        let shown = until.saturating_duration_since(since).as_micros() as u64;
        let before = since.saturating_duration_since(until).as_micros() as u64;
        Some((self.first + shown).saturating_sub(before).min(self.end.max(self.first)))
    }

    /// When what was captured at `position` is shown.
    fn when(&self, position: u64) -> Option<Instant> {
        let after = Duration::from_micros(position.saturating_sub(self.first));
        self.since.map(|since| since + after)
    }
}

/// The track to play: the first of the wanted languages that there is, then the first that is not for the impaired.
fn choose(tracks: &[Track], of: impl Fn(Kind) -> bool, languages: &[String]) -> Option<usize> {
    let find = |fits: &dyn Fn(&Track) -> bool| {
        tracks.iter().position(|track| of(track.kind) && fits(track))
    };
    let spoken = |track: &Track, wanted: &str| match wanted.strip_prefix('#') {
        Some(pid) => pid.parse() == Ok(track.pid),
        None => track.language.as_deref().is_some_and(|language| same_language(language, wanted)),
    };
    languages
        .iter()
        .find_map(|wanted| {
            find(&|track| spoken(track, wanted) && !track.impaired)
                .or_else(|| find(&|track| spoken(track, wanted)))
        })
        .or_else(|| find(&|track| !track.impaired))
        .or_else(|| find(&|_| true))
}

/// Whether two ISO 639 codes mean one language: some have a bibliographic and a terminological code (ISO 639-2), and some
/// sources tell two letters.
pub fn same_language(a: &str, b: &str) -> bool {
    const SAME: [[&str; 3]; 20] = [
        ["de", "deu", "ger"],
        ["fr", "fra", "fre"],
        ["en", "eng", "eng"],
        ["it", "ita", "ita"],
        ["es", "spa", "spa"],
        ["pt", "por", "por"],
        ["nl", "nld", "dut"],
        ["cs", "ces", "cze"],
        ["el", "ell", "gre"],
        ["eu", "eus", "baq"],
        ["fa", "fas", "per"],
        ["hy", "hye", "arm"],
        ["is", "isl", "ice"],
        ["ka", "kat", "geo"],
        ["mk", "mkd", "mac"],
        ["ro", "ron", "rum"],
        ["sk", "slk", "slo"],
        ["sq", "sqi", "alb"],
        ["zh", "zho", "chi"],
        ["rm", "roh", "roh"],
    ];
    a.eq_ignore_ascii_case(b)
        || SAME.iter().any(|codes| {
            let knows = |code: &str| codes.iter().any(|known| known.eq_ignore_ascii_case(code));
            knows(a) && knows(b)
        })
}

/// The service of captions that is wanted, from 1.
fn wanted_captions(subtitles: &[String]) -> Option<u8> {
    let number = subtitles.first()?.strip_prefix(tables::CAPTIONS)?;
    number.parse().ok().filter(|number| (1..=4).contains(number))
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "captioned_tests.rs"]
mod captioned;

#[cfg(test)]
#[path = "subtitled_tests.rs"]
mod subtitled;

#[cfg(test)]
mod tests {
    use super::*;

    fn track(kind: Kind, language: Option<&str>, impaired: bool) -> Track {
        Track { pid: 1, kind, language: language.map(str::to_owned), impaired }
    }

    #[test]
    fn the_wanted_language_goes_first_and_what_is_for_the_impaired_last() {
        let tracks = [
            track(Kind::Picture, None, false),
            track(Kind::Sound, Some("ger"), true),
            track(Kind::Sound, Some("fra"), false),
            track(Kind::Sound, Some("ger"), false),
        ];
        let sound = |languages: &[&str]| {
            let languages: Vec<String> = languages.iter().map(|&code| code.to_owned()).collect();
            choose(&tracks, |kind| kind == Kind::Sound, &languages)
        };
        assert_eq!(sound(&["deu"]), Some(3));
        assert_eq!(sound(&["it", "de"]), Some(3));
        assert_eq!(sound(&["it"]), Some(2));
        assert_eq!(sound(&[]), Some(2));
        assert_eq!(sound(&["#1"]), Some(2), "all of these have PID 1");
        assert_eq!(choose(&tracks, |kind| kind == Kind::Subtitles, &[]), None);
        let captions = |wanted: &str| wanted_captions(&[wanted.to_owned()]);
        assert_eq!((captions("cc3"), captions("cc9"), captions("deu")), (Some(3), None, None));
    }

    #[test]
    fn the_place_follows_the_clock_and_stands_while_paused() {
        let now = Instant::now();
        let mut place = Place { first: 1_000_000, end: 9_000_000, ..Place::default() };
        assert_eq!(place.now(), None);
        place.since = Some(now - Duration::from_secs(5));
        place.paused = Some(now - Duration::from_secs(2));
        assert_eq!(place.now(), Some(4_000_000));
        place.paused = Some(now + Duration::from_secs(60));
        assert_eq!(place.now(), Some(9_000_000), "not beyond what there is");
    }
}
