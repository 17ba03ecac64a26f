//! The splicer of a channel that is passed through: the source while it is there, else the slate, as
//! one stream.
//!
//! Every run of the source is entered at a random access point and laid on the output's timeline there;
//! everything of it then keeps its distance. PES packets go through whole or not at all, so a decoder
//! never sees half a picture. What decides is the input and its times alone: no clock is read here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cut::Item;
use crate::slate::{Maker, Slate};
use crate::ts::adts;
use crate::ts::demux::{Demuxer, Event};
use crate::ts::pes;
use crate::ts::psi::Map;
use crate::unit::{AAC, AC3, H264, H265, Kind, MPEG1_AUDIO, MPEG2_AUDIO, PRIVATE, Track, Unit};

/// A step of decoding times that is a jump, ticks: one second.
const JUMP: i64 = 90_000;
/// Identifiers of a generation of tracks lie between its multiples of this.
const GENERATION: u16 = 0x100;
/// After so many the first comes again, long after all decoders have forgotten it.
const GENERATIONS: u16 = 8;
/// How long a unit lasts before that is known, ticks: 20 ms.
const USUAL_STEP: i64 = 1_800;
/// PES packets kept from before an entry.
const HELD: usize = 32;
/// What the step from one frame of sound to the next may vary by, ticks.
const ROUNDING: i64 = 2;
/// Sound or subtitles further from their pictures are strays, ticks: ten seconds.
const STRAY: i64 = 900_000;

/// The last that went out on a track.
#[derive(Clone, Copy, Debug)]
struct Tail {
    pid: u16,
    dts: i64,
    pts: i64,
    step: i64,
}

/// Makes one stream of runs of a source and of the slate.
#[derive(Debug)]
pub struct Splicer<'a> {
    maker: &'a Maker,
    segment: i64,
    run: Run,
    tracks: Arc<[Track]>,
    tails: Vec<Tail>,
    slate: Option<Slate>,
    earliest: i64,
    generation: u16,
    out: Vec<Item>,
}

/// Where a run was entered.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// From its times to media time.
    offset: i64,
    /// Decoding time of its first picture, media time.
    dts: i64,
    /// Presentation time of the same.
    pts: i64,
}

/// One run of the source.
#[derive(Debug)]
struct Run {
    /// The programme that is wanted; none: the first.
    programme: Option<u16>,
    demuxer: Demuxer,
    /// Its tracks as they go out, beside the identifiers that they came under.
    tracks: Vec<(u16, Track)>,
    lead: Option<u16>,
    /// The newest time of the lead track, unwrapped.
    newest: Option<i64>,
    entered: Option<Entry>,
    /// What came before the entry, newest last: sound may be whole before the picture that it goes with.
    held: VecDeque<(u16, Vec<u8>)>,
    /// The newest decoding time of each track, and its step from the one before.
    steps: Vec<(u16, i64, i64)>,
}

impl Run {
    fn new(programme: Option<u16>) -> Self {
        let demuxer = Demuxer::new(programme);
        Self {
            programme,
            demuxer,
            tracks: Vec::new(),
            lead: None,
            newest: None,
            entered: None,
            held: VecDeque::new(),
            steps: Vec::new(),
        }
    }

    /// Notes a unit's decoding time; how long the units of its track last, whichever go out.
    fn step(&mut self, pid: u16, dts: i64) -> i64 {
        let Some((_, last, step)) = self.steps.iter_mut().find(|(known, ..)| *known == pid) else {
            self.steps.push((pid, dts, USUAL_STEP));
            return USUAL_STEP;
        };
        if (1..JUMP).contains(&(dts - *last)) {
            *step = dts - *last;
        }
        *last = dts;
        *step
    }
}

impl<'a> Splicer<'a> {
    /// Output begins at `start`, ticks. `segment`: ticks; slates begin and end on that grid.
    pub fn new(maker: &'a Maker, segment: i64, start: i64) -> Self {
        let tail = Tail { pid: 0x1fff, dts: start - 1, pts: start - 1, step: 1 };
        Self {
            maker,
            segment,
            run: Run::new(None),
            tracks: Arc::new([]),
            tails: vec![tail],
            slate: None,
            earliest: start,
            generation: 0,
            out: Vec::new(),
        }
    }

    /// The stream that has not begun begins no earlier than this.
    pub fn not_before(&mut self, ticks: i64) {
        self.earliest = self.earliest.max(ticks);
    }

    /// Whether the slate is on.
    pub fn on_slate(&self) -> bool {
        self.slate.is_some()
    }

    /// The tracks of the source as last seen.
    pub fn tracks(&self) -> Vec<Track> {
        self.run.tracks.iter().map(|(_, track)| track.clone()).collect()
    }

    /// The identifier of the track that goes ahead: the picture, or the first sound.
    pub fn lead_pid(&self) -> u16 {
        self.lead() + self.shift()
    }

    /// Tracks that the source is expected to have: those of its last run.
    pub fn expect(&mut self, map: &Map) {
        self.run.tracks = assign(map);
    }

    /// The decoding time that the next picture may have at the earliest.
    pub fn next(&self) -> i64 {
        match &self.slate {
            Some(slate) => slate.next(),
            None => self.tail(self.lead()).map_or(0, |tail| tail.dts + tail.step),
        }
    }

    /// What is ready, in order.
    pub fn take(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.out)
    }

    /// Bytes of the source.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        self.run.demuxer.push(bytes, &mut events);
        self.events(events);
    }

    /// Bytes of the source from before those that are wanted: only their tables count.
    pub fn prime(&mut self, bytes: &[u8]) {
        let mut events = Vec::new();
        self.run.demuxer.push(bytes, &mut events);
        events.retain(|event| matches!(event, Event::Map(_)));
        self.events(events);
    }

    /// The run has ended: what follows is another one. `complete`: it ended by itself, so what came
    /// last is whole.
    pub fn end_run(&mut self, complete: bool) {
        self.end_run_before(complete, self.run.programme);
    }

    /// As [`end_run`](Self::end_run), before one of another source; of that, this programme, or the first.
    pub fn end_run_before(&mut self, complete: bool, programme: Option<u16>) {
        if complete {
            let mut events = Vec::new();
            self.run.demuxer.flush(&mut events);
            self.events(events);
        }
        self.run = Run { tracks: std::mem::take(&mut self.run.tracks), ..Run::new(programme) };
    }

    /// The source is lost: the slate begins, if there is one.
    pub fn lose(&mut self) {
        if self.slate.is_some() {
            return;
        }
        self.run.entered = None;
        self.run.held.clear();
        // After the last picture shown and the last decoded.
        let tail = self.tail(self.lead());
        let from = tail.map_or(0, |tail| tail.dts.max(tail.pts) + tail.step);
        let earliest = if self.tracks.is_empty() { self.earliest } else { from };
        let start = self.grid(from.max(earliest));
        let tracks = if self.run.tracks.is_empty() { self.tracks.to_vec() } else { self.tracks() };
        let Some(mut slate) = self.maker.slate(&tracks, start) else { return };
        for tail in &self.tails {
            // Silence closes the gap, unless it would have to reach far back.
            if start - tail.pts < JUMP {
                slate.silence_from(tail.pid, tail.pts + tail.step);
            }
        }
        self.set_tracks(&slate.tracks.clone());
        self.slate = Some(slate);
    }

    /// Lets the slate go on until `until`.
    pub fn show(&mut self, until: i64) {
        let units = self.slate.as_mut().map(|slate| slate.units(until)).unwrap_or_default();
        for unit in units {
            let tail = self.tails.iter().find(|tail| tail.pid == unit.pid);
            let step = tail.map_or(USUAL_STEP, |tail| unit.dts - tail.dts);
            self.send(unit, if (1..JUMP).contains(&step) { step } else { USUAL_STEP });
        }
    }

    fn grid(&self, ticks: i64) -> i64 {
        ticks.div_euclid(self.segment) * self.segment
            + if ticks.rem_euclid(self.segment) == 0 { 0 } else { self.segment }
    }

    fn lead(&self) -> u16 {
        let video = self.tracks.iter().find(|track| track.kind == Kind::Video);
        video.or(self.tracks.first()).map_or(0x1fff, |track| track.pid)
    }

    fn tail(&self, pid: u16) -> Option<Tail> {
        self.tails.iter().find(|tail| tail.pid == pid).copied().or(self.tails.first().copied())
    }

    /// From the identifiers used here to those that go out. Every change of tracks moves all of them,
    /// the clock's among them: a decoder then drops the old programme and begins the new, where one
    /// that is given a track more, or another codec, would wait for the others to end.
    fn shift(&self) -> u16 {
        self.generation % GENERATIONS * GENERATION
    }

    fn set_tracks(&mut self, tracks: &Arc<[Track]>) {
        if self.tracks != *tracks {
            // A new picture track goes on where the old one stopped.
            if let Some(tail) = self.tail(self.lead()) {
                self.tails[0] = Tail { pid: 0x1fff, ..tail };
            }
            if !self.tracks.is_empty() {
                self.generation = self.generation.wrapping_add(1);
            }
            self.tracks = tracks.clone();
            let shift = self.shift();
            let moved =
                tracks.iter().map(|track| Track { pid: track.pid + shift, ..track.clone() });
            self.out.push(Item::Tracks(moved.collect()));
        }
    }

    /// `step`: how long it lasts, ticks.
    fn send(&mut self, unit: Unit, step: i64) {
        match self.tails.iter_mut().find(|tail| tail.pid == unit.pid) {
            Some(tail) => {
                let pts = tail.pts.max(unit.pts);
                *tail = Tail { pid: unit.pid, dts: unit.dts, pts, step };
            }
            None => self.tails.push(Tail { pid: unit.pid, dts: unit.dts, pts: unit.pts, step }),
        }
        let pid = unit.pid + self.shift();
        self.out.push(Item::Unit(Unit { pid, ..unit }));
    }

    fn events(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Map(map) => self.map(&map),
                Event::Pes { pid, pes, random_access } => self.pes(pid, pes, random_access),
            }
        }
    }

    fn map(&mut self, map: &Map) {
        let before = self.tracks();
        self.run.tracks = assign(map);
        let video = self.run.tracks.iter().find(|(_, track)| track.kind == Kind::Video);
        let lead = video.or(self.run.tracks.first()).map(|(pid, _)| *pid);
        if self.run.lead != lead || before.first() != self.tracks().first() {
            self.run.entered = None;
        }
        self.run.lead = lead;
        if self.run.entered.is_some() {
            self.set_tracks(&self.tracks().into());
        }
    }

    fn pes(&mut self, from: u16, mut pes: Vec<u8>, marked: bool) {
        let Some((_, track)) = self.run.tracks.iter().find(|(pid, _)| *pid == from) else { return };
        let (pid, kind, stream_type) = (track.pid, track.kind, track.stream_type);
        let Some(header) = pes::parse(&pes) else { return };
        let is_lead = self.run.lead == Some(from);
        let Some(stamp) = header.dts.or(header.pts) else { return };
        let dts = unwrap(stamp, self.run.newest);
        let pts = header.pts.map_or(dts, |pts| unwrap(pts, Some(dts)));
        let payload = &pes[header.payload..];
        let random_access = match kind {
            // A mark alone may be that of the first picture that somebody sent.
            Kind::Video if [H264, H265].contains(&stream_type) => {
                pes::begins_decoding(stream_type, payload)
            }
            Kind::Video => marked || pes::begins_decoding(stream_type, payload),
            Kind::Audio | Kind::Other => true,
        };
        if is_lead {
            let jumped =
                self.run.newest.is_some_and(|newest| !(1..=JUMP).contains(&(dts - newest)));
            self.run.newest = Some(dts);
            if jumped {
                self.run.entered = None;
                self.run.held.clear();
            }
            if self.run.entered.is_none() {
                if !random_access {
                    return;
                }
                self.enter(dts, pts);
                if stream_type == H265 {
                    pes::break_link(&mut pes[header.payload..]);
                }
            }
        }
        let (Some(entry), Some(newest)) = (self.run.entered, self.run.newest) else {
            self.run.held.push_back((from, pes));
            if self.run.held.len() > HELD {
                self.run.held.pop_front();
            }
            return;
        };
        let step = self.run.step(from, dts);
        let (mut pts, mut dts) = (pts + entry.offset, dts + entry.offset);
        let tail = self.tails.iter().find(|tail| tail.pid == pid);
        // Of sound that overlaps with that of the run before, what is left of the packet.
        let overlap = tail.map_or(0, |tail| tail.dts + tail.step - ROUNDING - dts);
        if stream_type == AAC
            && (1..JUMP).contains(&overlap)
            && let Some(left_out) = adts::leave_out(&mut pes, overlap)
        {
            (pts, dts) = (pts + left_out, dts + left_out);
        }
        let unfit = match kind {
            // Shown before the picture of entry, so it leans on one from before the entry.
            Kind::Video => is_lead && pts < entry.pts,
            // Sound of the run before may reach into this one: no moment is heard twice.
            Kind::Audio => {
                tail.map_or(pts < entry.dts, |tail| dts < tail.dts + tail.step - ROUNDING)
            }
            Kind::Other => tail.map_or(pts < entry.dts, |tail| dts < tail.dts),
        };
        if unfit || (dts - entry.offset - newest).abs() > STRAY {
            return;
        }
        // The last packet of a run may be shorter than those before it.
        let stated = Some(&pes).filter(|_| stream_type == AAC).and_then(|pes| adts::duration(pes));
        self.send(Unit { pid, pts, dts, random_access, pes }, stated.unwrap_or(step));
        for (from, pes) in std::mem::take(&mut self.run.held) {
            self.pes(from, pes, false);
        }
    }

    /// Enters the run at its random access point.
    fn enter(&mut self, dts: i64, pts: i64) {
        let at = if self.tracks.is_empty() {
            self.grid(self.next().max(self.earliest))
        } else if self.slate.is_some() {
            self.grid(self.next())
        } else {
            // After the last picture decoded, and shown after the last shown: pictures between may have been cut off.
            let shown = self.tail(self.lead()).map_or(0, |tail| tail.pts + tail.step);
            self.next().max(shown - (pts - dts))
        };
        self.show(at);
        self.slate = None;
        let offset = at - dts;
        self.run.entered = Some(Entry { offset, dts: at, pts: pts + offset });
        self.set_tracks(&self.tracks().into());
    }
}

/// A time of 33 bits near another.
fn unwrap(stamp: u64, near: Option<i64>) -> i64 {
    let stamp = stamp as i64;
    let Some(near) = near else { return stamp };
    const HALF: i64 = 1 << 32;
    near + (stamp - near + HALF).rem_euclid(2 * HALF) - HALF
}

/// The tracks of a map that can go through, under identifiers that depend on kind, order and codec.
fn assign(map: &Map) -> Vec<(u16, Track)> {
    let (mut videos, mut audios, mut others) = (0u16, 0u16, 0u16);
    let mut out = Vec::new();
    for track in &map.tracks {
        let pid = match (track.kind, track.stream_type) {
            (Kind::Video, stream_type) => {
                videos += 1;
                let codec = match stream_type {
                    H264 => 0,
                    H265 => 1,
                    _ => 2,
                };
                // One picture track; a second would be another service's.
                if videos > 1 {
                    continue;
                }
                0x100 + codec
            }
            (Kind::Audio, stream_type) => {
                let codec = match stream_type {
                    AAC => 0,
                    MPEG1_AUDIO | MPEG2_AUDIO => 1,
                    PRIVATE => 2,
                    AC3 => 3,
                    _ => 4,
                };
                audios += 1;
                if audios > 14 {
                    continue;
                }
                0x110 + (audios - 1) * 8 + codec
            }
            // Subtitles and teletext; and data with time stamps.
            (Kind::Other, PRIVATE | 0x15) => {
                others += 1;
                if others > 100 {
                    continue;
                }
                0x180 + others
            }
            (Kind::Other, _) => continue,
        };
        let info = without_scrambling(&track.info);
        out.push((track.pid, Track { pid, info, ..track.clone() }));
    }
    // The picture goes first: it carries the clock.
    out.sort_by_key(|(_, track)| track.kind != Kind::Video);
    out
}

/// Descriptors but those of conditional access, which is not there any more.
fn without_scrambling(info: &[u8]) -> bytes::Bytes {
    let kept = crate::ts::psi::descriptors(info).filter(|(tag, _)| *tag != 9);
    kept.flat_map(|(tag, body)| [&[tag, body.len() as u8], body].concat())
        .collect::<Vec<_>>()
        .into()
}
