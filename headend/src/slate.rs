//! The slate of a channel that is passed through: a second of a still picture and a frame of silence,
//! encoded once in the codecs of the source, repeated for as long as it is needed.

use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer_app::AppSink;

use crate::clock::HZ;
use crate::config::Video;
use crate::pipeline::{Error, Pipeline, bytes};
use crate::still;
use crate::ts::pes;
use crate::ts::psi::descriptors;
use crate::unit::{AAC, AC3, H264, H265, Kind, MPEG1_AUDIO, MPEG2_AUDIO, PRIVATE, Track, Unit};

/// A codec of sound that silence can be made in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sound {
    /// AAC in ADTS.
    Aac,
    /// MPEG-1 or MPEG-2, layer 2.
    Mp2,
    /// AC-3.
    Ac3,
}

impl Sound {
    /// That of a track, if silence can be made in it.
    pub fn of(track: &Track) -> Option<Self> {
        match track.stream_type {
            AAC => Some(Self::Aac),
            MPEG1_AUDIO | MPEG2_AUDIO => Some(Self::Mp2),
            AC3 => Some(Self::Ac3),
            PRIVATE => descriptors(&track.info)
                .any(|(tag, body)| tag == 0x6a || tag == 5 && body.starts_with(b"AC-3"))
                .then_some(Self::Ac3),
            _ => None,
        }
    }

    /// Samples of a frame, at 48 kHz.
    fn frame(self) -> i64 {
        match self {
            Self::Aac => 1024,
            Self::Mp2 => 1152,
            Self::Ac3 => 1536,
        }
    }

    fn encoder(self) -> &'static str {
        match self {
            Self::Aac => "avenc_aac ! aacparse ! audio/mpeg,mpegversion=4,stream-format=adts",
            Self::Mp2 => "avenc_mp2 ! mpegaudioparse",
            Self::Ac3 => "avenc_ac3 ! ac3parse",
        }
    }
}

/// Encoded pictures, from a random access point to before the next; and silence.
#[derive(Debug)]
struct Clip {
    video: u8,
    sounds: Vec<Sound>,
    pictures: Vec<Vec<u8>>,
    silence: Vec<Vec<u8>>,
}

/// Which codecs a slate is wanted in: `stream_type` of the picture, and those of the sound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    video: u8,
    sounds: Vec<Sound>,
}

impl Wanted {
    /// The slate that can stand in for a source with these tracks; nothing if its picture has a codec
    /// that no slate is made in, or it has none.
    pub fn of(tracks: &[Track]) -> Option<Self> {
        let video = tracks.iter().find(|track| track.kind == Kind::Video)?.stream_type;
        let mut sounds = Vec::new();
        for sound in tracks.iter().filter_map(Sound::of) {
            if !sounds.contains(&sound) {
                sounds.push(sound);
            }
        }
        [H264, H265].contains(&video).then_some(Self { video, sounds })
    }

    /// H.264 and AAC: before anything is known of the source.
    pub fn usual() -> Self {
        Self { video: H264, sounds: vec![Sound::Aac] }
    }
}

/// Makes and keeps the slates of one channel.
#[derive(Debug)]
pub struct Maker {
    video: Video,
    name: String,
    made: Mutex<Vec<Arc<Clip>>>,
}

impl Maker {
    /// For a channel of this name; slates have the size and rate of `video`.
    pub fn new(video: Video, name: String) -> Self {
        Self { video, name, made: Mutex::new(Vec::new()) }
    }

    /// Makes a slate, if it is not there already. Takes about a second.
    ///
    /// # Errors
    /// If an encoder is missing.
    pub fn make(&self, wanted: &Wanted) -> Result<(), Error> {
        if self.find(wanted).is_some() {
            return Ok(());
        }
        let clip = Clip {
            video: wanted.video,
            sounds: wanted.sounds.clone(),
            pictures: self.pictures(wanted.video)?,
            silence: wanted.sounds.iter().map(|sound| silence(*sound)).collect::<Result<_, _>>()?,
        };
        self.lock().push(Arc::new(clip));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Clip>>> {
        self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn find(&self, wanted: &Wanted) -> Option<Arc<Clip>> {
        let fits = |clip: &&Arc<Clip>| clip.video == wanted.video && clip.sounds == wanted.sounds;
        self.lock().iter().find(fits).cloned()
    }

    fn pictures(&self, stream_type: u8) -> Result<Vec<Vec<u8>>, Error> {
        let count = self.video.fps;
        let (encoder, parser) = if stream_type == H265 {
            let encoder = "x265enc tune=zerolatency speed-preset=ultrafast";
            (encoder, "h265parse config-interval=-1 ! video/x-h265")
        } else {
            let encoder = "x264enc tune=zerolatency speed-preset=veryfast option-string=scenecut=0";
            (encoder, "h264parse config-interval=-1 ! video/x-h264")
        };
        let drawing = still::description(&self.video, count);
        collect(
            &format!(
                "{drawing} ! videoconvert ! {encoder} bitrate=400 key-int-max={} \
                 ! {parser},stream-format=byte-stream,alignment=au ! appsink name=sink sync=false",
                count * 2
            ),
            Some(&self.name),
        )
    }

    /// The slate for a source with `tracks` (or for none), from `start` on; with the tracks that it
    /// has, which are those of the source if it can speak them.
    pub fn slate(&self, tracks: &[Track], start: i64) -> Option<Slate> {
        let fitting = Wanted::of(tracks).and_then(|wanted| self.find(&wanted));
        let (clip, tracks) = match fitting {
            Some(clip) => (clip, tracks.to_vec()),
            None => (self.find(&Wanted::usual())?, crate::encode::tracks().to_vec()),
        };
        let video = tracks.iter().find(|track| track.kind == Kind::Video)?.pid;
        let voice = |track: &Track| {
            let sound = Sound::of(track)?;
            let index = clip.sounds.iter().position(|known| *known == sound)?;
            Some(Voice { pid: track.pid, index, from: start, frames: 0 })
        };
        let voices = tracks.iter().filter_map(voice).collect();
        let fps = i64::from(self.video.fps.max(1));
        Some(Slate { clip, tracks: tracks.into(), video, voices, fps, start, picture: 0 })
    }
}

/// Frames of one track of silence.
#[derive(Debug)]
struct Voice {
    pid: u16,
    index: usize,
    from: i64,
    frames: i64,
}

/// A slate that is showing.
#[derive(Debug)]
pub struct Slate {
    clip: Arc<Clip>,
    /// Its tracks.
    pub tracks: Arc<[Track]>,
    video: u16,
    voices: Vec<Voice>,
    fps: i64,
    start: i64,
    picture: i64,
}

impl Slate {
    /// Silence on a track begins where its sound ended.
    pub fn silence_from(&mut self, pid: u16, from: i64) {
        if let Some(voice) = self.voices.iter_mut().find(|voice| voice.pid == pid) {
            voice.from = from;
        }
    }

    /// When the next picture is due.
    pub fn next(&self) -> i64 {
        self.start + self.picture * HZ / self.fps
    }

    /// All that is due before `until`, in order.
    pub fn units(&mut self, until: i64) -> Vec<Unit> {
        let mut units = Vec::new();
        while self.next() < until {
            let dts = self.next();
            let index = (self.picture % self.clip.pictures.len().max(1) as i64) as usize;
            let Some(picture) = self.clip.pictures.get(index) else { break };
            let pes = pes::wrap_unit(0xe0, picture, false);
            units.push(Unit { pid: self.video, pts: dts, dts, random_access: index == 0, pes });
            self.picture += 1;
        }
        for voice in &mut self.voices {
            let (Some(frame), Some(sound)) =
                (self.clip.silence.get(voice.index), self.clip.sounds.get(voice.index))
            else {
                continue;
            };
            loop {
                let pts = voice.from + voice.frames * sound.frame() * HZ / 48_000;
                if pts >= until {
                    break;
                }
                let id = if *sound == Sound::Ac3 { 0xbd } else { 0xc0 };
                let pes = pes::wrap_unit(id, frame, false);
                units.push(Unit { pid: voice.pid, pts, dts: pts, random_access: true, pes });
                voice.frames += 1;
            }
        }
        units.sort_by_key(|unit| (unit.dts, unit.pid));
        units
    }
}

/// A frame of silence, taken from the middle of a stream where the encoder has settled.
fn silence(sound: Sound) -> Result<Vec<u8>, Error> {
    let encoder = sound.encoder();
    let caps = "audio/x-raw,rate=48000,channels=2";
    let frames = collect(
        &format!(
            "audiotestsrc wave=silence num-buffers=24 samplesperbuffer=1024 ! {caps} \
             ! audioconvert ! {encoder} ! appsink name=sink sync=false"
        ),
        None,
    )?;
    frames.into_iter().nth(8).ok_or(Error::Stalled("no silence was encoded"))
}

/// What arrives at `sink`, until the end.
fn collect(description: &str, name: Option<&str>) -> Result<Vec<Vec<u8>>, Error> {
    let pipeline = Pipeline::parse(description)?;
    if let Some(name) = name {
        still::write_name(&pipeline, name)?;
    }
    let sink: AppSink = pipeline.element("sink")?;
    pipeline.play()?;
    let mut out = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        out.extend(sample.buffer().map(bytes));
    }
    pipeline.poll(std::time::Duration::ZERO)?;
    if out.is_empty() {
        return Err(Error::Stalled("slate was not encoded"));
    }
    Ok(out)
}
