//! The source lost in the middle of a picture, the slate, the source again: one stream that decoders
//! take without a complaint.

use crate::common;
use crate::common::{H264, H265, check_stream, make_clip, small};
use headend::cut::{Cutter, Item, Rule, Slice};
use headend::slate::{Maker, Wanted};
use headend::splice::Splicer;

const T: i64 = 22_500;
const START: i64 = 8_000_000_000 * T;

fn clip(codecs: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.ts");
    make_clip(&path, 4, 25, codecs);
    std::fs::read(path).unwrap()
}

struct Bench<'a> {
    splicer: Splicer<'a>,
    cutter: Cutter,
    slices: Vec<Slice>,
    pictures: usize,
}

impl<'a> Bench<'a> {
    fn new(maker: &'a Maker) -> Self {
        Self {
            splicer: Splicer::new(maker, T, START),
            cutter: Cutter::new(T, Rule::Window),
            slices: Vec::new(),
            pictures: 0,
        }
    }

    fn collect(&mut self) {
        for item in self.splicer.take() {
            if let Item::Unit(unit) = &item {
                self.pictures += usize::from(is_picture(unit.pid));
            }
            self.slices.extend(self.cutter.push(item));
        }
    }

    fn run(&mut self, bytes: &[u8]) {
        bytes.chunks(1316).for_each(|chunk| self.splicer.push(chunk));
        self.collect();
    }

    fn slate(&mut self, seconds: i64) {
        self.splicer.lose();
        assert!(self.splicer.on_slate());
        self.splicer.show(self.splicer.next() + seconds * 90_000);
        self.collect();
    }

    fn ts(&self) -> Vec<u8> {
        for pair in self.slices.windows(2) {
            assert_eq!(pair[1].number, pair[0].number + 1);
            assert_eq!(pair[1].start, pair[0].end);
        }
        self.slices.iter().flat_map(|slice| slice.ts.clone()).collect()
    }
}

fn both_ways(codecs: &[&str], frames_lost: u64) {
    let clip = clip(codecs);
    let maker = Maker::new(small(25), "Both ways".into());
    maker.make(&Wanted::usual()).unwrap();
    let mut bench = Bench::new(&maker);
    // Cut off in the middle of a packet of the second half.
    bench.run(&clip[..clip.len() / 2 + 77]);
    maker.make(&Wanted::of(&bench.splicer.tracks()).unwrap()).unwrap();
    let before = bench.pictures;
    assert!(before > 30, "{before} pictures of the first run");
    bench.slate(2);
    assert_eq!(bench.pictures, before + 50);
    bench.splicer.end_run(false);
    // It comes back in the middle of a group of pictures.
    bench.run(&clip[clip.len() / 3 / 188 * 188..]);
    bench.splicer.end_run(true);
    assert!(!bench.splicer.on_slate());
    bench.slate(2);
    bench.slate(1);
    bench.run(&clip);
    bench.splicer.end_run(true);
    bench.run(&clip);
    let ts = bench.ts();
    let (pictures, sounds) = check_stream(&ts);
    let cut = bench.slices.iter().map(|s| pictures_of(&s.ts)).sum::<u64>();
    assert!(pictures + frames_lost >= cut, "{pictures} of {cut} decoded");
    assert!(sounds > 300, "{sounds}");
    assert!(bench.slices.iter().filter(|slice| slice.random_access).count() >= 12);
}

fn is_picture(pid: u16) -> bool {
    (0x100..0x1000).contains(&pid) && pid & 0xff < 0x10
}

/// Pictures in packets.
fn pictures_of(ts: &[u8]) -> u64 {
    let packets = ts.as_chunks::<188>().0.iter();
    let packets = packets.filter_map(headend::ts::packet::Packet::parse);
    packets.filter(|p| is_picture(p.pid()) && p.starts_unit()).count() as u64
}

#[test]
fn h264_there_and_back() {
    both_ways(H264, 0);
}

#[test]
fn h265_there_and_back() {
    both_ways(H265, 0);
}

/// The source is not the slate's kind: a codec of its own, under an identifier of its own, with a new
/// version of the tables.
#[test]
fn a_slate_before_a_source_of_another_codec() {
    let clip = clip(H265);
    let maker = Maker::new(small(25), "Another".into());
    maker.make(&Wanted::usual()).unwrap();
    let mut bench = Bench::new(&maker);
    bench.slate(2);
    bench.run(&clip);
    bench.splicer.end_run(true);
    // No slate in its codec was made: that of H.264 comes back.
    bench.slate(2);
    let ts = bench.ts();
    common::check_counters(&ts);
    common::check_clock(&ts);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.ts");
    std::fs::write(&path, &ts).unwrap();
    common::ffmpeg_decodes(&path);
    let (pictures, sounds) = common::gstreamer_decodes(&path);
    assert!(pictures >= 150, "{pictures} pictures");
    assert!(sounds >= 100, "{sounds}");
}

#[test]
fn every_sound_track_and_its_language_goes_through() {
    let clip = clip(H264);
    let maker = Maker::new(small(25), "Tracks".into());
    maker.make(&Wanted::usual()).unwrap();
    let mut bench = Bench::new(&maker);
    bench.run(&clip);
    bench.splicer.end_run(true);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.ts");
    std::fs::write(&path, bench.ts()).unwrap();
    let entries = "stream=codec_name:stream_tags=language";
    let show = ["-v", "error", "-show_entries", entries, "-of", "csv=p=0", path.to_str().unwrap()];
    let mut tracks: Vec<_> = common::tool("ffprobe", &show).lines().map(str::to_owned).collect();
    tracks.sort();
    tracks.dedup();
    // Each appears a second time, as a stream of its programme, without its language.
    tracks.retain(|line| line.contains(',') || line == "h264");
    assert_eq!(tracks, ["aac,deu", "ac3,eng", "h264"]);
}

/// A time stamp that jumps (a looped playout, a switched feed) does not reach the output.
#[test]
fn a_jump_in_the_source_is_smoothed() {
    let clip = clip(H264);
    let maker = Maker::new(small(25), "Jump".into());
    maker.make(&Wanted::usual()).unwrap();
    let mut bench = Bench::new(&maker);
    for _ in 0..3 {
        bench.run(&clip);
    }
    check_stream(&bench.ts());
    assert!(bench.slices.len() >= 45, "{}", bench.slices.len());
    for slice in &bench.slices {
        assert!((slice.end - slice.start - T).abs() <= T, "{} ticks", slice.end - slice.start);
    }
}

/// Subtitles have no encoder here: packets as a broadcaster sends them, put between pictures.
#[test]
fn subtitles_go_through() {
    use bytes::Bytes;
    use headend::ts::mux::Muxer;
    use headend::ts::{demux, pes};
    use headend::unit::{Kind, Track, Unit};

    let descriptor = Bytes::from_static(&[0x59, 8, b'd', b'e', b'u', 0x10, 0, 1, 0, 1]);
    let video = Track { pid: 0x31, stream_type: 0x1b, kind: Kind::Video, info: Bytes::new() };
    let subtitles =
        Track { pid: 0x32, stream_type: 6, kind: Kind::Other, info: descriptor.clone() };
    let mut mux = Muxer::new();
    mux.set_tracks(&[video, subtitles]);
    let mut ts = Vec::new();
    let texts: Vec<_> = (0..20u8).map(|index| vec![0x20, 0, 0x0f, 0x10, index, 0xff]).collect();
    for index in 0..100i64 {
        if index % 10 == 0 {
            mux.tables(&mut ts);
        }
        let dts = 500_000 + index * 3600;
        let random_access = index % 25 == 0;
        let picture =
            pes::wrap_unit(0xe0, &[0, 0, 1, if random_access { 0x65 } else { 0x41 }], false);
        mux.unit(Unit { pid: 0x31, pts: dts, dts, random_access, pes: picture }, &mut ts);
        if index % 5 == 0 {
            let pes = pes::wrap_unit(0xbd, &texts[index as usize / 5], false);
            mux.unit(Unit { pid: 0x32, pts: dts, dts, random_access: true, pes }, &mut ts);
        }
    }
    let maker = Maker::new(small(25), "Subtitles".into());
    maker.make(&Wanted::usual()).unwrap();
    let mut bench = Bench::new(&maker);
    bench.run(&ts);
    bench.splicer.end_run(true);
    bench.slate(2);

    let (mut demuxer, mut events) = (demux::Demuxer::new(None), Vec::new());
    demuxer.push(&bench.ts(), &mut events);
    let mut pid = None;
    let mut got = Vec::new();
    for event in events {
        match event {
            demux::Event::Map(map) => {
                let track = map.tracks.iter().find(|track| track.info == descriptor);
                pid = pid.or(track.map(|track| track.pid));
            }
            demux::Event::Pes { pid: from, pes, .. } if Some(from) == pid => {
                let header = headend::ts::pes::parse(&pes).unwrap();
                got.push(pes[header.payload..].to_vec());
            }
            demux::Event::Pes { .. } => {}
        }
    }
    assert_eq!(got, texts);
}
