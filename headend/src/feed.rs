//! One run of a source, decoded: what comes from it until it ends or is lost.

use crossbeam_channel::{Receiver, Sender, bounded};
use gstreamer as gst;

/// A picture with the run's own time, nanoseconds.
#[derive(Debug)]
pub struct Picture {
    /// Pixels.
    pub buffer: gst::Buffer,
    /// Running time.
    pub at: i64,
}

/// Sound with the run's own time, nanoseconds.
#[derive(Debug)]
pub struct Sound {
    /// Two channels of 16 bits, little endian.
    pub samples: Vec<u8>,
    /// Running time of the first.
    pub at: i64,
}

/// Pictures that a run may be ahead. They hide the pause between two runs of a file.
const PICTURES: usize = 12;
/// Buffers of sound that a run may be ahead.
const SOUNDS: usize = 64;

/// The receiving end of a run. A queue that is closed and empty has ended.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Pictures, in order.
    pub pictures: Receiver<Picture>,
    /// Sound, in order.
    pub sounds: Receiver<Sound>,
}

/// The sending end of a run.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Pictures.
    pub pictures: Sender<Picture>,
    /// Sound.
    pub sounds: Sender<Sound>,
    /// The other ends, from which a source that stands by pushes the oldest out.
    pub oldest: Feed,
}

/// A new run.
pub fn feed() -> (Sink, Feed) {
    let (pictures, pictures_out) = bounded(PICTURES);
    let (sounds, sounds_out) = bounded(SOUNDS);
    let feed = Feed { pictures: pictures_out, sounds: sounds_out };
    (Sink { pictures, sounds, oldest: feed.clone() }, feed)
}
