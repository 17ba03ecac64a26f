//! Listens to a source that is a transport stream for what it says is on.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::health::Health;
use super::reader::Input;
use crate::config::Source;
use crate::ts::eit::Listener;

/// Notes in `health` what the source says is on, as long as this run lasts.
pub(super) fn listen(source: &Source, input: &Input, health: &Arc<Health>) {
    let (Input::Bytes(element), true) = (input, source.is_transport_stream()) else { return };
    let Some(pad) = element.static_pad("src") else { return };
    let health = health.clone();
    let listener = Mutex::new(Listener::new(source.programme()));
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    let _lasts_with_the_pad = pad.add_probe(mask, move |_, info| {
        let mut listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |buffer: &gst::BufferRef| {
            if let Ok(bytes) = buffer.map_readable()
                && let Some(events) = listener.push(&bytes)
            {
                health.set_on(events);
            }
        };
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => take(buffer),
            Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(take),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}
