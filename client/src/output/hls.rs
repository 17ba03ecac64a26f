//! HTTP Live Streaming (RFC 8216): the last seconds of a channel as media segments and their playlist.
//!
//! A media segment is made of pieces and begins at a random access point, about a second long. Where pieces were lost,
//! the one under way is closed, what follows up to the next random access point is left out, and the next one is told as
//! a discontinuity. A channel with random access points further apart than the target duration, once that is told, is
//! cut at the target (4.3.3.1 forbids longer segments, and that the target changes).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use super::Piece;
use crate::ts::Splicer;

/// Media segments in the playlist.
const LISTED: usize = 8;
/// Media segments that can still be fetched: one that leaves the playlist stays as long again (6.2.2).
const KEPT: usize = 2 * LISTED;
/// All of them together, bytes, whatever the bit rate.
const MOST: usize = 64 << 20;
/// A media segment is closed at the first random access point from here on.
const LEAST: Duration = Duration::from_millis(900);
/// Before the target is known a media segment is closed here at the latest.
const LONGEST: Duration = Duration::from_secs(10);
/// The playlist is told from so many media segments on: then the target is known, and players find the three targets'
/// worth of media that they begin behind the end (6.3.3); Chromium refuses to play less.
const FIRST: usize = 3;

/// The window of one channel.
#[derive(Debug)]
pub struct Window {
    state: Mutex<State>,
    /// Counts the media segments that were closed.
    closed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    segments: VecDeque<Media>,
    bytes: usize,
    open: Option<Open>,
    next: u64,
    /// Whether the next one follows a loss.
    discontinuity: bool,
    splicer: Splicer,
    /// Rounded seconds (4.3.3.1); fixed when the playlist is first told.
    target: Option<u64>,
    /// Discontinuities that have left the kept segments.
    forgotten: u64,
}

#[derive(Debug)]
struct Media {
    sequence: u64,
    ts: Bytes,
    duration: Duration,
    discontinuity: bool,
}

#[derive(Debug, Default)]
struct Open {
    ts: BytesMut,
    duration: Duration,
    discontinuity: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// An empty window. Sequence numbers begin at the seconds since 1970: a window that is made anew for the same channel
    /// goes on above the old one, and players that come back are not confused.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = State {
            segments: VecDeque::new(),
            bytes: 0,
            open: None,
            next: now.as_secs(),
            discontinuity: false,
            splicer: Splicer::default(),
            target: None,
            forgotten: 0,
        };
        Self { state: Mutex::new(state), closed: watch::Sender::new(0) }
    }

    /// Takes the next piece in.
    pub fn publish(&self, piece: &Piece) {
        if self.lock().take(piece) {
            self.closed.send_modify(|closed| *closed += 1);
        }
    }

    /// The playlist, or `None` as long as there is too little.
    pub fn playlist(&self) -> Option<String> {
        self.lock().playlist()
    }

    /// The playlist, as soon as there is enough.
    pub async fn first_playlist(&self) -> String {
        let mut closed = self.closed.subscribe();
        loop {
            if let Some(playlist) = self.playlist() {
                return playlist;
            }
            if closed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// A media segment.
    pub fn segment(&self, sequence: u64) -> Option<Bytes> {
        let state = self.lock();
        state.segments.iter().find(|media| media.sequence == sequence).map(|media| media.ts.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a piece. Whether a media segment was closed.
    fn take(&mut self, piece: &Piece) -> bool {
        let mut closed = false;
        if piece.gap {
            closed |= self.close();
            self.discontinuity |= self.next_follows();
        }
        let long = self.open.as_ref().is_some_and(|open| open.duration >= LEAST);
        if piece.random_access && long {
            closed |= self.close();
        }
        // Half a second less one millisecond rounds down (4.3.3.1).
        let most = self.target.map_or(LONGEST, |target| Duration::from_millis(target * 1000 + 499));
        if self.open.as_ref().is_some_and(|open| open.duration + piece.duration > most) {
            closed |= self.close();
            self.open = Some(Open::default());
        }
        if self.open.is_none() && piece.random_access {
            let discontinuity = std::mem::take(&mut self.discontinuity);
            self.open = Some(Open { discontinuity, ..Open::default() });
        }
        let ts = self.splicer.splice(&piece.ts, piece.gap, piece.whole);
        if let Some(open) = &mut self.open {
            open.ts.extend_from_slice(&ts);
            open.duration += piece.duration;
        }
        closed
    }

    fn next_follows(&self) -> bool {
        !self.segments.is_empty()
    }

    fn close(&mut self) -> bool {
        let Some(open) = self.open.take().filter(|open| !open.duration.is_zero()) else {
            return false;
        };
        self.bytes += open.ts.len();
        self.segments.push_back(Media {
            sequence: self.next,
            ts: open.ts.freeze(),
            duration: open.duration,
            discontinuity: open.discontinuity,
        });
        self.next += 1;
        while self.segments.len() > KEPT || (self.bytes > MOST && self.segments.len() > 1) {
            if let Some(old) = self.segments.pop_front() {
                self.bytes -= old.ts.len();
                self.forgotten += u64::from(old.discontinuity);
            }
        }
        true
    }

    fn playlist(&mut self) -> Option<String> {
        if self.segments.len() < FIRST {
            return None;
        }
        let round = |duration: Duration| (duration.as_millis() as u64 + 500) / 1000;
        let longest = || self.segments.iter().map(|media| round(media.duration)).max().unwrap_or(1);
        let target = *self.target.get_or_insert_with(|| longest().max(1));
        let first = self.segments.len().saturating_sub(LISTED);
        // Discontinuities before the first that is listed (6.2.2); that of the first itself is listed.
        let before = self.segments.iter().take(first).filter(|media| media.discontinuity).count();
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            self.segments[first].sequence
        );
        let before = self.forgotten + before as u64;
        if before > 0 {
            let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{before}");
        }
        for media in self.segments.iter().skip(first) {
            if media.discontinuity {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            let seconds = media.duration.as_secs_f64();
            let _ = writeln!(out, "#EXTINF:{seconds:.3},\n{}.ts", media.sequence);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::piece;

    /// Sequence (from 0), duration in ms, and whether it is a discontinuity; as a client reads the playlist.
    fn read(playlist: &str, window: &Window) -> Vec<(u64, u64, bool)> {
        let mut found: Vec<(u64, u64, bool)> = Vec::new();
        let (mut duration, mut discontinuity, mut target, mut base) = (0, false, 0, 0);
        for line in playlist.lines() {
            if let Some(value) = line.strip_prefix("#EXTINF:") {
                duration = (value.trim_end_matches(',').parse::<f64>().unwrap() * 1000.0) as u64;
                assert!((duration + 500) / 1000 <= target, "{duration} ms with target {target} s");
            } else if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
                target = value.parse().unwrap();
            } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                base = value.parse().unwrap();
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if let Some(name) = line.strip_suffix(".ts") {
                let sequence = name.parse::<u64>().unwrap();
                assert_eq!(sequence, base + found.len() as u64, "numbers without holes");
                assert!(window.segment(sequence).is_some());
                found.push((sequence, duration, std::mem::take(&mut discontinuity)));
            }
        }
        found
    }

    fn feed(window: &Window, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| window.publish(&piece(number)));
    }

    fn list(window: &Window) -> Vec<(u64, u64, bool)> {
        read(&window.playlist().unwrap(), window)
    }

    #[test]
    fn segments_of_a_second_begin_at_random_access_points() {
        let window = Window::new();
        feed(&window, 2..16);
        assert_eq!(window.playlist(), None, "two are closed, the third is under way");
        feed(&window, 16..17);
        let listed = list(&window);
        assert_eq!(listed.iter().map(|s| (s.1, s.2)).collect::<Vec<_>>(), [(1000, false); 3]);
        let first = window.segment(listed[0].0).unwrap();
        assert_eq!(first[187], 4, "2 and 3 came before the first random access point");
        assert_eq!(first.len(), 16 * 188);
        assert!(window.playlist().unwrap().contains("#EXT-X-TARGETDURATION:1\n"));
    }

    #[test]
    fn the_window_slides_and_its_memory_is_bounded() {
        let window = Window::new();
        feed(&window, 0..400);
        let listed = list(&window);
        assert_eq!(listed.len(), LISTED);
        let newest = listed.last().unwrap().0;
        let kept = (newest - 50..=newest).filter(|&n| window.segment(n).is_some()).count();
        assert_eq!(kept, KEPT);
    }

    #[test]
    fn a_loss_is_a_discontinuity_that_is_counted_when_it_has_left() {
        let window = Window::new();
        feed(&window, 0..12);
        // 12 is lost: the next begins at 16.
        window.publish(&Piece { gap: true, ..piece(13) });
        feed(&window, 14..24);
        let listed = list(&window);
        let shape: Vec<_> = listed.iter().map(|s| (s.1, s.2)).collect();
        assert_eq!(shape, [(1000, false), (1000, false), (1000, false), (1000, true)]);
        let after = window.segment(listed[3].0).unwrap();
        assert_eq!(after[187], 16, "it begins at the random access point");
        assert!(!window.playlist().unwrap().contains("DISCONTINUITY-SEQUENCE"));
        feed(&window, 24..64);
        assert!(window.playlist().unwrap().contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
        feed(&window, 64..164);
        assert!(window.playlist().unwrap().contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    }

    #[test]
    fn a_short_segment_before_a_loss_is_kept() {
        let window = Window::new();
        feed(&window, 0..10);
        window.publish(&Piece { gap: true, ..piece(12) });
        feed(&window, 13..17);
        let shape: Vec<_> = list(&window).iter().map(|s| (s.1, s.2)).collect();
        assert_eq!(shape, [(1000, false), (1000, false), (500, false), (1000, true)]);
    }

    #[test]
    fn far_apart_random_access_points_set_the_target_which_then_holds() {
        let window = Window::new();
        let every = |period: u64, numbers: std::ops::Range<u64>| {
            for number in numbers {
                let random_access = number.is_multiple_of(period);
                window.publish(&Piece { random_access, ..piece(number) });
            }
        };
        every(12, 0..37);
        assert!(window.playlist().unwrap().contains("#EXT-X-TARGETDURATION:3\n"));
        assert_eq!(list(&window).len(), 3);
        // Now none for 20 s: no segment is longer than the target allows.
        every(1000, 37..117);
        assert!(window.playlist().unwrap().contains("#EXT-X-TARGETDURATION:3\n"));
        assert!(list(&window).iter().all(|segment| segment.1 <= 3499));
        assert!(list(&window).len() >= 6, "it goes on");
    }

    #[test]
    fn sound_alone_does_not_interrupt() {
        let window = Window::new();
        feed(&window, 0..8);
        for number in 8..12 {
            window.publish(&Piece { whole: false, random_access: false, ..piece(number) });
        }
        feed(&window, 12..20);
        let total: u64 = list(&window).iter().map(|segment| segment.1).sum();
        assert_eq!(total, 4000);
        assert!(list(&window).iter().all(|segment| !segment.2));
    }

    #[tokio::test]
    async fn who_comes_early_waits_for_the_first_playlist() {
        let window = std::sync::Arc::new(Window::new());
        let waiting = tokio::spawn({
            let window = window.clone();
            async move { window.first_playlist().await }
        });
        tokio::task::yield_now().await;
        feed(&window, 0..13);
        assert!(waiting.await.unwrap().contains(".ts"));
    }
}
