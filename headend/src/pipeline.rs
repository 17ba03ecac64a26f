//! A GStreamer pipeline that never outlives its owner, and what is common to all of them.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use service::config::SecretText;

use crate::cancel::Cancel;

/// How often a thread that waits for a pipeline looks whether it is still wanted.
pub const OFTEN: Duration = Duration::from_millis(100);

/// What can go wrong with GStreamer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer cannot be used at all.
    #[error("gstreamer cannot start: {0}")]
    Init(String),
    /// A pipeline cannot be built: a plugin is missing, or a value is refused.
    #[error("pipeline cannot be built: {0}")]
    Build(String),
    /// An element failed while running.
    #[error("{element}: {what}")]
    Element {
        /// Which.
        element: String,
        /// Its message.
        what: String,
    },
    /// No element of a list works here.
    #[error("no {0} works on this machine")]
    NoneWorks(&'static str),
    /// It stopped moving.
    #[error("{0}")]
    Stalled(&'static str),
}

impl Error {
    /// What is wrong, without GStreamer's name of the element: it carries a number that is another at each try.
    pub fn reason(&self) -> String {
        match self {
            Self::Element { what, .. } => what.clone(),
            other => other.to_string(),
        }
    }
}

impl Error {
    /// Without these texts, which must not be told.
    pub fn without(self, secrets: &[SecretText]) -> Self {
        let hide = |text: String| {
            secrets.iter().fold(text, |text, secret| text.replace(secret.expose(), "***"))
        };
        match self {
            Self::Build(what) => Self::Build(hide(what)),
            Self::Element { element, what } => Self::Element { element, what: hide(what) },
            other => other,
        }
    }
}

/// Starts GStreamer, once a process.
///
/// # Errors
/// If its libraries are broken.
pub fn init() -> Result<(), Error> {
    gst::init().map_err(|error| Error::Init(error.to_string()))
}

/// A pipeline that is shut down when dropped.
#[derive(Debug)]
pub struct Pipeline(gst::Pipeline);

/// How a pipeline ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All of the source was read.
    Finished,
    /// It ended without having given anything.
    Empty,
    /// The end was asked for.
    Cancelled,
    /// The watch said that it is enough.
    Idle,
}

impl Pipeline {
    /// Parses a description as `gst-launch-1.0` does. It must hold no text from outside.
    ///
    /// # Errors
    /// If it does not parse or an element is missing.
    pub fn parse(description: &str) -> Result<Self, Error> {
        init()?;
        let element = gst::parse::launch(description).map_err(|e| Error::Build(e.to_string()))?;
        let pipeline = element
            .downcast::<gst::Pipeline>()
            .map_err(|_| Error::Build("description is not a pipeline".into()))?;
        Ok(Self(pipeline))
    }

    /// A pipeline without elements.
    ///
    /// # Errors
    /// If GStreamer cannot start.
    pub fn empty() -> Result<Self, Error> {
        init()?;
        Ok(Self(gst::Pipeline::new()))
    }

    /// The pipeline itself.
    pub fn inner(&self) -> &gst::Pipeline {
        &self.0
    }

    /// An element by name and type.
    ///
    /// # Errors
    /// If there is none.
    pub fn element<T: IsA<gst::Element>>(&self, name: &str) -> Result<T, Error> {
        let element = self.0.by_name(name).and_then(|element| element.downcast::<T>().ok());
        element.ok_or_else(|| Error::Build(format!("no element {name}")))
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If an element refuses; the reason is on the bus, and returned.
    pub fn play(&self) -> Result<(), Error> {
        if self.0.set_state(gst::State::Playing).is_ok() {
            return Ok(());
        }
        match self.poll(Duration::ZERO) {
            Err(error) => Err(error),
            Ok(_) => Err(Error::Build("pipeline does not start".into())),
        }
    }

    /// Looks at the bus for so long at most: the end of the stream, or an element's failure.
    ///
    /// # Errors
    /// If an element failed.
    pub fn poll(&self, wait: Duration) -> Result<Option<End>, Error> {
        let Some(bus) = self.0.bus() else { return Ok(None) };
        let wait = gst::ClockTime::from_nseconds(u64::try_from(wait.as_nanos()).unwrap_or(0));
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(wait, &kinds) else { return Ok(None) };
        match message.view() {
            gst::MessageView::Eos(_) => Ok(Some(End::Finished)),
            gst::MessageView::Error(error) => Err(Error::Element {
                element: error.src().map(|src| src.name().to_string()).unwrap_or_default(),
                what: error.error().to_string(),
            }),
            _ => Ok(None),
        }
    }

    /// Waits for the end. That is asked for, and `enough`, each `often`.
    ///
    /// # Errors
    /// If an element failed.
    pub fn wait(
        &self,
        cancel: &Cancel,
        often: Duration,
        mut enough: impl FnMut() -> bool,
    ) -> Result<End, Error> {
        loop {
            if cancel.is_set() {
                return Ok(End::Cancelled);
            }
            if enough() {
                return Ok(End::Idle);
            }
            if let Some(end) = self.poll(often)? {
                return Ok(end);
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Setting the lowest state fails for no element.
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Presentation and decoding time of a sample in running time, nanoseconds.
pub fn running_time(sample: &gst::Sample) -> Option<(i64, i64)> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let buffer = sample.buffer()?;
    let signed = |time: gst::ClockTime| match segment.to_running_time_full(time) {
        Some(gst::Signed::Positive(time)) => i64::try_from(time.nseconds()).ok(),
        Some(gst::Signed::Negative(time)) => i64::try_from(time.nseconds()).ok().map(|ns| -ns),
        None => None,
    };
    let pts = buffer.pts().and_then(signed);
    let dts = buffer.dts().and_then(signed);
    let pts = pts.or(dts)?;
    Some((pts, dts.unwrap_or(pts)))
}

/// Hands every sample of a sink to `take` on GStreamer's thread, until `take` says no; calls `end`
/// when the stream ends.
pub fn on_samples(
    sink: &AppSink,
    mut take: impl FnMut(gst::Sample) -> bool + Send + 'static,
    mut end: impl FnMut() + Send + 'static,
) {
    let callbacks = gstreamer_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if take(sample) { Ok(gst::FlowSuccess::Ok) } else { Err(gst::FlowError::Flushing) }
        })
        .eos(move |_| end())
        .build();
    sink.set_callbacks(callbacks);
}

/// The bytes of a buffer, copied.
pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().map(|map| map.to_vec()).unwrap_or_default()
}
