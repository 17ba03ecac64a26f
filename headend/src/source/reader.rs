//! The element that brings bytes in.

use gstreamer as gst;
use service::config::Secret;

use crate::config::{Source, host};
use crate::pipeline::Error;

/// Receive buffer asked for from the system, bytes: a burst of a tenth of a second at 100 Mbit/s.
const SOCKET_BUFFER: i32 = 2 << 20;

/// The element that reads `source`; nothing for one that needs none.
pub(super) fn reader(source: &Source) -> Result<Option<gst::Element>, Error> {
    crate::pipeline::init()?;
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
            srt(&uri, *latency_ms, passphrase.as_ref(), None)?.build()
        }
        Source::SrtCaller { address, latency_ms, passphrase, stream_id } => {
            let uri = format!("srt://{address}?mode=caller");
            srt(&uri, *latency_ms, passphrase.as_ref(), stream_id.as_deref())?.build()
        }
    };
    built.map(Some).map_err(|error| Error::Build(error.to_string()))
}

fn srt<'a>(
    uri: &'a str,
    latency_ms: u32,
    passphrase: Option<&Secret>,
    stream_id: Option<&'a str>,
) -> Result<gst::element_factory::ElementBuilder<'a>, Error> {
    let mut builder = gst::ElementFactory::make("srtsrc")
        .property("uri", uri)
        .property("latency", i32::try_from(latency_ms).unwrap_or(i32::MAX));
    if let Some(passphrase) = passphrase {
        let text = passphrase.read().map_err(|error| Error::Build(error.to_string()))?;
        // SRT's own bounds; it would be refused with less of an explanation.
        if !(10..80).contains(&text.expose().len()) {
            return Err(Error::Build(format!(
                "the passphrase in {passphrase} has not 10 to 79 bytes"
            )));
        }
        builder = builder.property("passphrase", text.expose().to_owned());
    }
    if let Some(stream_id) = stream_id {
        builder = builder.property("streamid", stream_id);
    }
    Ok(builder)
}
