//! `--check` and the exit codes, as an operator meets them.

use std::process::Command;

fn check(text: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headend.toml");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_braidcast-headend"))
        .args(["--check", "--config", path.to_str().unwrap()])
        .output()
        .unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), said(output.stdout), said(output.stderr))
}

const GOOD: &str = "auth = 'https://tv.example'
credential = { env = 'PATH' }
[[channels]]
id = 'news'
name = 'News'
source = { kind = 'srt-caller', address = 'encoder.example:9000' }
mode = 'pass-through'
";

#[test]
fn a_good_configuration_is_said_to_be_valid() {
    let (code, out, error) = check(GOOD);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("the configuration is valid"), "{out}");
}

#[test]
fn every_mistake_is_named_and_the_exit_code_is_two() {
    let channels = "
[[channels]]
id = 'news'
name = 'Again'
sorce = { kind = 'test' }
mode = 'pass-through'
n = 4
k = 8

[[channels]]
id = 'Three'
name = 'Three'
source = { kind = 'srt-caller', address = 'nowhere' }
gop_ms = 900
lost_after_ms = 1900
[channels.video]
width = 1279
fps = 7
";
    let (code, _, error) = check(&format!("{GOOD}{channels}"));
    assert_eq!(code, Some(2), "{error}");
    for says in ["unknown key `sorce` at line 12", "did you mean `source`?"] {
        assert!(error.contains(says), "`{says}` is not in: {error}");
    }
    let (code, _, error) = check(&format!("{GOOD}{channels}").replace("sorce", "source"));
    assert_eq!(code, Some(2), "{error}");
    for says in [
        "`id` at line 10",
        "`mode` at line 13",
        "`k` at line 15",
        "`id` at line 18",
        "`address` at line 20",
        "`gop_ms` at line 21",
        "`lost_after_ms` at line 22",
        "`width` at line 24",
        "`fps` at line 25",
    ] {
        assert!(error.contains(says), "`{says}` is not in: {error}");
    }
}

#[test]
fn mistakes_in_sources_are_named() {
    let channel = |id: &str, source: &str| {
        format!("[[channels]]\nid = '{id}'\nname = 'x'\nsource = {{ kind = {source} }}\n")
    };
    let sources = [
        "'rtmp-listener', address = '0.0.0.0:1935', app = 'Live TV', key = { env = 'PATH' }",
        "'rtmp', url = 'http://x/live'",
        "'rtsp', url = 'rtsp://me:secret@camera/1'",
        "'hls', url = 'https://x/live.m3u8', user = 'me'",
        "'dvb', system = 'dvb-s2', frequency = 11953000, symbol_rate = 27500",
        "'dvb', system = 'dvb-t', frequency = 474, bandwidth_hz = 8000000, modulation = 'am'",
    ];
    let text = sources.iter().enumerate().map(|(i, source)| channel(&format!("c{i}"), source));
    let (code, _, error) = check(&text.fold(GOOD.to_owned(), |text, more| text + &more));
    assert_eq!(code, Some(2), "{error}");
    for says in [
        "key `app` at line 11",
        "key `url` at line 15",
        "key `url` at line 19",
        "must hold no password",
        "key `user` at line 23",
        "key `polarization` at line 27",
        "key `frequency` at line 31",
        "key `modulation` at line 31",
    ] {
        assert!(error.contains(says), "`{says}` is not in: {error}");
    }
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_kind_of_source_that_is_not_there_is_named() {
    let (code, _, error) = check(&GOOD.replace("'srt-caller'", "'srt-caler'"));
    assert_eq!(code, Some(2));
    assert!(error.contains("line 6") && error.contains("srt-caller"), "{error}");
}
