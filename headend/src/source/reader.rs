//! The elements that bring a source in.

use gstreamer as gst;
use gstreamer::prelude::*;
use service::config::{Secret, SecretText};

use super::rtmp;
use crate::config::{Dvb, DvbSystem, Polarization, Source, Transport, host};
use crate::pipeline::Error;

/// Receive buffer asked for from the system, bytes: a burst of a tenth of a second at 100 Mbit/s.
const SOCKET_BUFFER: i32 = 2 << 20;
/// What is read of a file at once, bytes: each piece is handed from thread to thread, which costs more than reading it.
const FILE_BLOCK: u32 = 64 << 10;

/// What brings a source in. Whatever works beside GStreamer for it ends when it is dropped.
pub(super) struct Reader {
    /// What comes out of it.
    pub(super) input: Input,
    _server: Option<rtmp::Server>,
}

/// What comes out of a reader.
pub(super) enum Input {
    /// Bytes, out of one pad.
    Bytes(gst::Element),
    /// Streams, each out of a pad of its own that comes when it is known.
    Streams {
        /// The element with the pads.
        element: gst::Element,
    },
}

impl Input {
    /// The element that ends with pads.
    pub(super) fn element(&self) -> &gst::Element {
        match self {
            Self::Bytes(element) | Self::Streams { element } => element,
        }
    }

    /// Puts it into a pipeline.
    pub(super) fn enter(&self, pipeline: &gst::Pipeline) -> Result<(), Error> {
        let build = |error: gst::glib::BoolError| Error::Build(error.to_string());
        // The newer demultiplexer of HLS is taken in such a pipeline only.
        pipeline.set_bin_flags(gst::BinFlags::STREAMS_AWARE);
        pipeline.add(self.element()).map_err(build)
    }
}

/// Reads `source`; nothing for one that needs no reader.
pub(super) fn reader(source: &Source) -> Result<Option<Reader>, Error> {
    crate::pipeline::init()?;
    let make = gst::ElementFactory::make;
    let mut server = None;
    let built = match source {
        Source::Test => return Ok(None),
        Source::File { path } => make("filesrc")
            .property("location", path.as_path())
            .property("blocksize", FILE_BLOCK)
            .build(),
        Source::Udp { address, interface } => {
            let caps = gst::Caps::builder("video/mpegts")
                .field("systemstream", true)
                .field("packetsize", 188)
                .build();
            let mut builder = make("udpsrc")
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
        Source::RtmpListener { address, app, key } => {
            let (started, element) = rtmp::Server::start(*address, app, read(key)?)?;
            server = Some(started);
            Ok(element.upcast())
        }
        Source::Rtmp { url, key, user, password } => {
            let mut location = url.to_string();
            if let Some(key) = key {
                location = format!("{}/{}", location.trim_end_matches('/'), read(key)?.expose());
            }
            let mut builder = make("rtmp2src").property("location", location);
            if let (Some(user), Some(password)) = (user, password) {
                builder = builder.property("username", user);
                builder = builder.property("password", read(password)?.expose().to_owned());
            }
            builder.build()
        }
        Source::Rtsp { url, user, password, transport, latency_ms } => {
            let protocols = match transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp-mcast+udp",
            };
            let mut builder = make("rtspsrc")
                .property("location", url.as_str())
                .property("latency", latency_ms)
                .property_from_str("protocols", protocols)
                .property("tcp-timeout", 5_000_000_u64);
            if let (Some(user), Some(password)) = (user, password) {
                builder = builder.property("user-id", user);
                builder = builder.property("user-pw", read(password)?.expose().to_owned());
            }
            let element = builder.build().map_err(refused)?;
            let input = Input::Streams { element };
            return Ok(Some(Reader { input, _server: None }));
        }
        Source::Hls { url, user, password } => {
            let mut url = url.clone();
            if let (Some(user), Some(password)) = (user, password) {
                // Playlists and segments are asked for by several elements: what they share is the address.
                let password = read(password)?;
                if url
                    .set_username(user)
                    .and_then(|()| url.set_password(Some(password.expose())))
                    .is_err()
                {
                    return Err(Error::Build("the address takes no user".into()));
                }
            }
            let element = make("urisourcebin").property("uri", url.as_str()).build();
            let element = element.map_err(refused)?;
            let input = Input::Streams { element };
            return Ok(Some(Reader { input, _server: None }));
        }
        Source::Dvb(dvb) => return dvb_card(dvb).map(Some),
    };
    let input = Input::Bytes(built.map_err(refused)?);
    Ok(Some(Reader { input, _server: server }))
}

fn refused(error: gst::glib::BoolError) -> Error {
    Error::Build(error.to_string())
}

fn read(secret: &Secret) -> Result<SecretText, Error> {
    secret.read().map_err(|error| Error::Build(error.to_string()))
}

/// A card of DVB, tuned.
fn dvb_card(dvb: &Dvb) -> Result<Reader, Error> {
    let system = match dvb.system {
        DvbSystem::T => "dvb-t",
        DvbSystem::T2 => "dvb-t2",
        DvbSystem::S => "dvb-s",
        DvbSystem::S2 => "dvb-s2",
        DvbSystem::C => "dvb-c-a",
    };
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let mut builder = gst::ElementFactory::make("dvbsrc")
        .property("adapter", number(dvb.adapter))
        .property("frontend", number(dvb.frontend))
        .property("frequency", dvb.frequency)
        .property_from_str("delsys", system)
        // The whole multiplex: the programme is found in it.
        .property("pids", "8192");
    if let Some(bandwidth) = dvb.bandwidth_hz {
        builder = builder.property("bandwidth-hz", bandwidth);
    }
    if let Some(rate) = dvb.symbol_rate {
        builder = builder.property("symbol-rate", rate);
    }
    if let Some(polarization) = dvb.polarization {
        let letter = if polarization == Polarization::H { "h" } else { "v" };
        builder = builder.property("polarity", letter);
    }
    if let Some(position) = dvb.diseqc {
        builder = builder.property("diseqc-source", number(position));
    }
    if let Some(modulation) = &dvb.modulation {
        builder = builder.property_from_str("modulation", modulation);
    }
    if let Some(id) = dvb.stream_id {
        builder = builder.property("stream-id", number(id));
    }
    let element = builder.build().map_err(refused)?;
    Ok(Reader { input: Input::Bytes(element), _server: None })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dvb_card_is_tuned_as_configured() {
        let dvb = Dvb {
            adapter: 1,
            frontend: 2,
            system: DvbSystem::S2,
            frequency: 11_953_000,
            bandwidth_hz: None,
            symbol_rate: Some(27_500),
            polarization: Some(Polarization::H),
            diseqc: Some(1),
            modulation: Some("8psk".into()),
            stream_id: Some(3),
            programme: Some(28_006),
        };
        crate::pipeline::init().unwrap();
        let reader = dvb_card(&dvb).unwrap();
        let element = reader.input.element();
        assert_eq!(element.property::<i32>("adapter"), 1);
        assert_eq!(element.property::<i32>("frontend"), 2);
        assert_eq!(element.property::<u32>("frequency"), 11_953_000);
        assert_eq!(element.property::<u32>("symbol-rate"), 27_500);
        assert_eq!(element.property::<String>("polarity").to_lowercase(), "h");
        assert_eq!(element.property::<i32>("diseqc-source"), 1);
        assert_eq!(element.property::<i32>("stream-id"), 3);
        let nick = |name: &str| {
            let value = element.property_value(name);
            gst::glib::EnumValue::from_value(&value).unwrap().1.nick().to_owned()
        };
        assert_eq!(nick("delsys"), "dvb-s2");
        assert_eq!(nick("modulation"), "8psk");
        for (system, says) in [
            (DvbSystem::T, "dvb-t"),
            (DvbSystem::T2, "dvb-t2"),
            (DvbSystem::S, "dvb-s"),
            (DvbSystem::C, "dvb-c-a"),
        ] {
            let card = dvb_card(&Dvb { system, ..dvb.clone() }).unwrap();
            let value = card.input.element().property_value("delsys");
            assert_eq!(gst::glib::EnumValue::from_value(&value).unwrap().1.nick(), says);
        }
    }
}
