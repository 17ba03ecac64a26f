//! Decoded pictures on their way to the window: only the newest counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use gtk::{gdk, glib};

/// One picture, ready for the screen.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its pixels.
    pub texture: gdk::Texture,
    /// Width over height as it is meant to be seen.
    pub aspect: f64,
}

/// Where a pipeline puts pictures and the window takes the newest.
#[derive(Clone, Debug)]
pub struct Slot(Arc<Mutex<Newest>>);

#[derive(Debug)]
struct Newest {
    picture: Option<Picture>,
    /// Holds one call; who was called and has not looked yet will see what is newest then.
    call: mpsc::Sender<()>,
}

impl Slot {
    /// A slot, and what yields whenever there is a new picture in it.
    pub fn new() -> (Self, mpsc::Receiver<()>) {
        let (call, called) = mpsc::channel(0);
        (Self(Arc::new(Mutex::new(Newest { picture: None, call }))), called)
    }

    /// Replaces what was not taken yet.
    pub fn put(&self, picture: Picture) {
        let mut newest = self.lock();
        newest.picture = Some(picture);
        let _called_already = newest.call.try_send(());
    }

    /// Takes the newest picture.
    pub fn take(&self) -> Option<Picture> {
        self.lock().picture.take()
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A decoded buffer as a picture, without copying its pixels. `None` if it is not of the format that was asked for.
pub(super) fn picture(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Option<Picture> {
    let info = gst_video::VideoInfo::from_caps(caps).ok()?;
    let frame = gst_video::VideoFrame::from_buffer_readable(buffer.to_owned(), &info).ok()?;
    let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
    let (width, height) = (i32::try_from(info.width()).ok()?, i32::try_from(info.height()).ok()?);
    let pixel = info.par();
    let aspect =
        f64::from(width) / f64::from(height) * f64::from(pixel.numer()) / f64::from(pixel.denom());
    let bytes = glib::Bytes::from_owned(Pixels(frame));
    // Opaque pixels are the same premultiplied, which is what the screen wants.
    let format = gdk::MemoryFormat::B8g8r8a8Premultiplied;
    let texture = gdk::MemoryTexture::new(width, height, format, &bytes, stride);
    Some(Picture { texture: texture.upcast(), aspect })
}

/// Keeps a frame mapped as long as the texture lives.
struct Pixels(gst_video::VideoFrame<gst_video::video_frame::Readable>);

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        self.0.plane_data(0).unwrap_or_default()
    }
}
