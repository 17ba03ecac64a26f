//! The element that brings bytes in.

use gstreamer as gst;

use crate::config::{Source, host};
use crate::pipeline::Error;

/// Receive buffer asked for from the system, bytes: a burst of a tenth of a second at 100 Mbit/s.
const SOCKET_BUFFER: i32 = 2 << 20;

/// The element that reads `source`; nothing for one that needs none.
pub(super) fn reader(source: &Source) -> Result<Option<gst::Element>, Error> {
    let built = match source {
        Source::Test => return Ok(None),
        Source::File { path } => {
            gst::ElementFactory::make("filesrc").property("location", path.as_path()).build()
        }
        Source::Udp { address, interface } => {
            let caps = gst::Caps::builder("video/mpegts")
                .field("systemstream", true)
                .field("packetsize", 188)
                .build();
            let mut builder = gst::ElementFactory::make("udpsrc")
                .property("address", address.ip().to_string())
                .property("port", i32::from(address.port()))
                .property("buffer-size", SOCKET_BUFFER)
                .property("caps", caps);
            if let Some(interface) = interface {
                builder = builder.property("multicast-iface", interface);
            }
            builder.build()
        }
        Source::SrtListener { address, latency_ms, passphrase } => {
            let uri = format!("srt://{}:{}?mode=listener", host(address.ip()), address.port());
            srt(&uri, *latency_ms, passphrase.as_deref(), None).build()
        }
        Source::SrtCaller { address, latency_ms, passphrase, stream_id } => {
            let uri = format!("srt://{address}?mode=caller");
            srt(&uri, *latency_ms, passphrase.as_deref(), stream_id.as_deref()).build()
        }
    };
    built.map(Some).map_err(|error| Error::Build(error.to_string()))
}

fn srt<'a>(
    uri: &'a str,
    latency_ms: u32,
    passphrase: Option<&'a str>,
    stream_id: Option<&'a str>,
) -> gst::element_factory::ElementBuilder<'a> {
    let mut builder = gst::ElementFactory::make("srtsrc")
        .property("uri", uri)
        .property("latency", i32::try_from(latency_ms).unwrap_or(i32::MAX));
    if let Some(passphrase) = passphrase {
        builder = builder.property("passphrase", passphrase);
    }
    if let Some(stream_id) = stream_id {
        builder = builder.property("streamid", stream_id);
    }
    builder
}
