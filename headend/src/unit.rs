//! What travels between a source and the cutter: one PES packet of one track.

use bytes::Bytes;

/// What a track carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, teletext, data.
    Other,
}

/// One line of a programme map (ISO/IEC 13818-1, 2.4.4.8).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Track {
    /// Packet identifier, 13 bits.
    pub pid: u16,
    /// `stream_type`.
    pub stream_type: u8,
    /// What it carries.
    pub kind: Kind,
    /// Its descriptors.
    pub info: Bytes,
}

/// H.264 video (`stream_type`).
pub const H264: u8 = 0x1b;
/// H.265 video.
pub const H265: u8 = 0x24;
/// AAC in ADTS.
pub const AAC: u8 = 0x0f;
/// MPEG-1 sound, layer 2 among them.
pub const MPEG1_AUDIO: u8 = 0x03;
/// MPEG-2 sound.
pub const MPEG2_AUDIO: u8 = 0x04;
/// PES whose descriptors say what it is: AC-3, subtitles, teletext in DVB.
pub const PRIVATE: u8 = 0x06;
/// AC-3 as ATSC writes it.
pub const AC3: u8 = 0x81;

/// One access unit, or what else a PES packet holds, on the output timeline.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its track.
    pub pid: u16,
    /// Presentation time, ticks.
    pub pts: i64,
    /// Decoding time, ticks; the presentation time where the stream states none.
    pub dts: i64,
    /// Whether a decoder can start here.
    pub random_access: bool,
    /// The whole PES packet. Its time stamps are written when it is multiplexed.
    pub pes: Vec<u8>,
}
