//! What a source says is on: its event information table, present and following (ETSI EN 300 468, 5.2.4). Sources are
//! untrusted: what does not fit is left out.

use super::demux::Assembly;
use super::packet::{Packet, SIZE, SYNC};
use super::{psi, text};

/// The identifier of event information.
const EIT: u16 = 0x12;
/// The table of what is on now and next in this stream.
const PRESENT_FOLLOWING: u8 = 0x4e;
/// The descriptor with title and a line or two.
const SHORT_EVENT: u8 = 0x4d;
/// Days from the modified Julian date to 1970.
const MJD_1970: i64 = 40_587;

/// A programme as the source tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When it begins, seconds since 1970.
    pub start: i64,
    /// How long it is, seconds.
    pub duration: u32,
    /// Its title.
    pub title: String,
    /// What it is about; may be empty.
    pub about: String,
}

/// One section: what is on now (0), or next (1), in a programme.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Section {
    programme: u16,
    number: u8,
    event: Option<Event>,
}

/// Reads a section of what is on in this stream.
fn parse(section: &[u8]) -> Option<Section> {
    let (_, body) = psi::body(section, PRESENT_FOLLOWING)?;
    let programme = u16::from_be_bytes([*section.get(3)?, *section.get(4)?]);
    let number = *section.get(6)?;
    // Behind the identifiers of stream and network, the last section and the last table.
    let events = body.get(6..)?;
    Some(Section { programme, number, event: event(events) })
}

/// The first event of a list, if it can be told.
fn event(bytes: &[u8]) -> Option<Event> {
    let (head, rest) = bytes.split_at_checked(12)?;
    let days = i64::from(u16::from_be_bytes([head[2], head[3]]));
    let clock = |at: usize| {
        Some(decimal(head[at])? * 3600 + decimal(head[at + 1])? * 60 + decimal(head[at + 2])?)
    };
    let start = (days - MJD_1970) * 86_400 + i64::from(clock(4)?);
    let duration = clock(7)?;
    let len = usize::from(u16::from_be_bytes([head[10] & 0x0f, head[11]]));
    let (_, body) = psi::descriptors(rest.get(..len)?).find(|(tag, _)| *tag == SHORT_EVENT)?;
    // A language of three letters, then two texts with their lengths.
    let (title, rest) = counted(body.get(3..)?)?;
    let about = counted(rest).map_or(&[][..], |(about, _)| about);
    let (title, about) = (text::decode(title), text::decode(about));
    (duration > 0 && start > 0 && !title.is_empty()).then_some(Event {
        start,
        duration,
        title,
        about,
    })
}

/// Two decimal digits in a byte.
fn decimal(byte: u8) -> Option<u32> {
    let (tens, ones) = (u32::from(byte >> 4), u32::from(byte & 0x0f));
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// Bytes whose number stands before them, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

/// Listens to a transport stream for what is on in its first programme, or in the one asked for.
#[derive(Debug)]
pub struct Listener {
    wanted: Option<u16>,
    rest: Vec<u8>,
    pat: Assembly,
    eit: Assembly,
    /// The programme that is played.
    programme: Option<u16>,
    on: [Option<Event>; 2],
}

impl Listener {
    /// For the programme of this number, or the first.
    pub fn new(programme: Option<u16>) -> Self {
        Self {
            wanted: programme,
            rest: Vec::new(),
            pat: Assembly::new(psi::PAT),
            eit: Assembly::new(EIT),
            programme,
            on: [None, None],
        }
    }

    /// Takes bytes, cut anywhere. Gives what is on now and next, if that is otherwise than before.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Vec<Event>> {
        let mut changed = false;
        if self.rest.is_empty() {
            // Nearly always: whole packets, of which few are looked at.
            let at = self.walk(bytes, &mut changed);
            self.rest.extend(bytes.get(at..).unwrap_or_default());
        } else {
            let mut all = std::mem::take(&mut self.rest);
            all.extend(bytes);
            let at = self.walk(&all, &mut changed);
            self.rest = all.split_off(at);
        }
        changed.then(|| self.on.iter().flatten().cloned().collect())
    }

    /// Walks over the packets in some bytes; how many bytes were used.
    fn walk(&mut self, bytes: &[u8], changed: &mut bool) -> usize {
        let mut at = 0;
        while let Some(chunk) = bytes.get(at..at + SIZE) {
            let in_step = chunk[0] == SYNC && bytes.get(at + SIZE).is_none_or(|byte| *byte == SYNC);
            if !in_step {
                at += 1;
                continue;
            }
            at += SIZE;
            if let Some(packet) = chunk.try_into().ok().and_then(Packet::parse) {
                *changed |= self.packet(&packet);
            }
        }
        at
    }

    fn packet(&mut self, packet: &Packet<'_>) -> bool {
        if packet.payload().is_empty() {
            return false;
        }
        match packet.pid() {
            psi::PAT if self.wanted.is_none() => {
                if self.pat.follows(packet) && self.pat.section(packet) {
                    let programmes = psi::parse_pat(self.pat.bytes()).unwrap_or_default();
                    if let Some((number, _)) = programmes.first() {
                        let other = self.programme.replace(*number) != Some(*number);
                        if other && self.on.iter().any(Option::is_some) {
                            self.on = [None, None];
                            return true;
                        }
                    }
                }
                false
            }
            EIT => {
                if !self.eit.follows(packet) {
                    return false;
                }
                let whole = self.eit.tail(packet);
                let changed = self.sections(whole);
                let whole = self.eit.section(packet);
                self.sections(whole) || changed
            }
            _ => false,
        }
    }

    /// Takes sections, which stand one behind the other, as long as they are whole.
    fn sections(&mut self, mut whole: bool) -> bool {
        let mut changed = false;
        while whole {
            if let Some(section) = parse(self.eit.bytes()) {
                changed |= self.take(section);
            }
            whole = self.eit.next_section();
        }
        changed
    }

    fn take(&mut self, section: Section) -> bool {
        if Some(section.programme) != self.programme {
            return false;
        }
        let Some(place) = self.on.get_mut(usize::from(section.number)) else { return false };
        let changed = *place != section.event;
        *place = section.event;
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::crc::crc32;
    use super::*;

    /// A section of what is on, as a multiplexer makes it.
    fn section(programme: u16, number: u8, version: u8, event: Option<(&str, &str)>) -> Vec<u8> {
        let mut body = vec![0, 1, 0, 2, 1, PRESENT_FOLLOWING];
        if let Some((title, about)) = event {
            // 2026-11-29 20:15:00, for 1:30:00.
            let mjd = u16::try_from(MJD_1970 + 1_796_000_000 / 86_400).unwrap();
            body.extend([0, 7]);
            body.extend(mjd.to_be_bytes());
            body.extend([0x20, 0x15, 0x00, 0x01, 0x30, 0x00]);
            let mut short = b"deu".to_vec();
            for text in [title, about] {
                short.push(text.len() as u8 + 1);
                short.push(0x15);
                short.extend(text.bytes());
            }
            body.extend([0x80, short.len() as u8 + 2, SHORT_EVENT, short.len() as u8]);
            body.extend(short);
        }
        let len = (body.len() + 9) as u16;
        let mut out = vec![PRESENT_FOLLOWING, 0xf0 | (len >> 8) as u8, len as u8];
        out.extend(programme.to_be_bytes());
        out.extend([0xc1 | version << 1, number, 1]);
        out.extend(body);
        let crc = crc32(&out);
        out.extend(crc.to_be_bytes());
        out
    }

    /// Sections as packets of one identifier.
    fn packets(pid: u16, counter: &mut u8, sections: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = vec![0];
        bytes.extend(sections);
        for (i, chunk) in bytes.chunks(SIZE - 4).enumerate() {
            let [high, low] = pid.to_be_bytes();
            let start = if i == 0 { 0x40 } else { 0 };
            out.extend([SYNC, start | high, low, 0x10 | *counter]);
            *counter = (*counter + 1) & 0x0f;
            out.extend(chunk);
            out.resize(out.len().next_multiple_of(SIZE), 0xff);
        }
        out
    }

    fn stream() -> Vec<u8> {
        let (mut pat, mut eit) = (0, 0);
        let mut out = packets(psi::PAT, &mut pat, &psi::write_pat(7, 0x100));
        let long =
            "what it is about, at such length that one packet does not hold it all: ".repeat(3);
        let mut sections = section(9, 0, 0, Some(("Of another programme", "")));
        sections.extend(section(7, 0, 0, Some(("Tagesschau", &long[..200]))));
        sections.extend(section(7, 1, 0, Some(("Das Wetter", ""))));
        out.extend(packets(EIT, &mut eit, &sections));
        out
    }

    fn titles(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.title.as_str()).collect()
    }

    #[test]
    fn what_is_on_now_and_next_is_told_once() {
        let mut listener = Listener::new(None);
        let events = listener.push(&stream()).unwrap();
        assert_eq!(titles(&events), ["Tagesschau", "Das Wetter"]);
        let midnight = 1_796_000_000 / 86_400 * 86_400;
        assert_eq!((events[0].start, events[0].duration), (midnight + 20 * 3600 + 15 * 60, 5400));
        assert!(events[0].about.starts_with("what it is about"));
        assert_eq!(listener.push(&stream()), None, "nothing is new");
        let mut counter = 9;
        let over = packets(EIT, &mut counter, &section(7, 1, 1, None));
        assert_eq!(titles(&listener.push(&over).unwrap()), ["Tagesschau"]);
        assert_eq!(
            titles(&Listener::new(Some(9)).push(&stream()).unwrap()),
            ["Of another programme"]
        );
    }

    #[test]
    fn bytes_may_be_cut_anywhere() {
        let stream = [vec![1, 2, 3], stream(), stream()].concat();
        for size in [1, 100, 187, 188, 189, 1316] {
            let mut listener = Listener::new(None);
            let told: Vec<_> =
                stream.chunks(size).filter_map(|bytes| listener.push(bytes)).collect();
            assert_eq!(titles(told.last().unwrap()), ["Tagesschau", "Das Wetter"], "{size}");
        }
    }

    #[test]
    fn a_section_may_begin_where_another_ends_within_a_packet() {
        let first = section(7, 0, 0, Some(("Tagesschau", &"long ".repeat(40))));
        let second = section(7, 1, 0, Some(("Das Wetter", "")));
        assert!(first.len() > 184 && first.len() < 300, "{}", first.len());
        // The first packet is full of the first section; the second says where the second begins.
        let mut packets = vec![SYNC, 0x40, EIT as u8, 0x10, 0];
        packets.extend(&first[..183]);
        packets.extend([SYNC, 0x40, EIT as u8, 0x11, (first.len() - 183) as u8]);
        packets.extend(&first[183..]);
        packets.extend(&second);
        packets.resize(SIZE * 2, 0xff);
        let mut listener = Listener::new(Some(7));
        assert_eq!(titles(&listener.push(&packets).unwrap()), ["Tagesschau", "Das Wetter"]);
    }

    #[test]
    fn a_damaged_section_changes_nothing() {
        let mut listener = Listener::new(None);
        let mut bad = stream();
        let at = bad.windows(10).position(|bytes| bytes == b"Tagesschau").unwrap();
        bad[at] ^= 1;
        let told = listener.push(&bad).unwrap_or_default();
        assert_eq!(titles(&told), ["Das Wetter"], "the other section is whole");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
            for at in (0..bytes.len()).step_by(SIZE) {
                bytes[at] = SYNC;
                if let Some([high, low]) = bytes.get_mut(at + 1..at + 3).and_then(|b| b.first_chunk_mut::<2>()) {
                    (*high, *low) = (*high & 0x40, EIT as u8);
                }
            }
            Listener::new(Some(1)).push(&bytes);
            event(&bytes);
        }
    }
}
