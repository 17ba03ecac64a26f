//! Sources that speak RTMP, RTSP and HLS, really sent by other programs (ffmpeg, GStreamer's RTSP server, an HTTP server),
//! encoded and passed through; and that who does not know the secret is not let in, and that none is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::common::{self, check_joined, check_stream, join, make_clip, take, until};
use crate::live::{free_port, local};
use headend::config::{Mode, Source, Transport};
use service::config::Secret;

/// A program that is ended when dropped.
struct Program(Child);

impl Program {
    fn ffmpeg(arguments: &[&str]) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error"]).args(arguments).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const CODECS: [&str; 8] = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"];

fn clip(folder: &Path) -> PathBuf {
    let path = folder.join("clip.ts");
    make_clip(&path, 60, 25, &CODECS);
    path
}

fn secret(folder: &Path, name: &str, text: &str) -> Secret {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    Secret::File(path)
}

/// The channel plays the source, and what comes out is one stream. `again`: called while it waits.
fn plays(source: Source, mode: Mode, mut again: impl FnMut()) {
    let mut channel = common::channel(source);
    channel.mode = mode;
    let mut media = common::start(channel);
    let mut cuts = until(&mut media, |_, media| {
        again();
        media.stats.source_up.load(Relaxed)
    });
    cuts.extend(take(&mut media, 12));
    media.stop();
    assert_eq!(media.stats.restarts.load(Relaxed), 0);
    check_joined(&cuts);
    check_stream(&join(&cuts));
}

fn rtmp_listener(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let port = free_port();
    let key = secret(folder.path(), "key", "swordfish\n");
    let source = Source::RtmpListener { address: local(port), app: "live".into(), key };
    let publish = |key: &str| {
        let url = format!("rtmp://127.0.0.1:{port}/live/{key}");
        let input = ["-re", "-i", clip.to_str().unwrap(), "-c", "copy", "-f", "flv"];
        Program::ffmpeg(&[&input[..], &[&url]].concat())
    };
    // It comes again when it is turned away, as encoders do: here because nobody listens yet.
    let mut encoder = publish("swordfish");
    let mut stranger = publish("sword");
    plays(source, mode, || {
        for (program, key) in [(&mut encoder, "swordfish"), (&mut stranger, "sword")] {
            if program.0.try_wait().unwrap().is_some() {
                *program = publish(key);
            }
        }
    });
}

#[test]
fn an_encoder_publishes_over_rtmp_and_is_encoded() {
    rtmp_listener(Mode::Encode);
}

#[test]
fn an_encoder_publishes_over_rtmp_and_is_passed_through() {
    rtmp_listener(Mode::PassThrough);
}

/// Strangers: a wrong key, nonsense, silence, and values nested as deep as the bytes allow.
#[test]
fn strangers_at_the_rtmp_server_come_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let port = free_port();
    let key = secret(folder.path(), "key", "swordfish\n");
    let address = local(port);
    let channel = common::channel(Source::RtmpListener { address, app: "live".into(), key });
    let mut media = common::start(channel);
    let connect = |media: &mut headend::media::Media| loop {
        take(media, 1);
        if let Ok(stream) = TcpStream::connect(address) {
            break stream;
        }
    };
    let mut silent = connect(&mut media);
    let mut nonsense = connect(&mut media);
    let _ = nonsense.write_all(&[7; 100_000]);
    let mut nested = connect(&mut media);
    // C0, C1; then S0, S1, S2 are read and C2 goes out with a message of a command full of objects.
    let mut hello = vec![0; 1537];
    hello[0] = 3;
    nested.write_all(&hello).unwrap();
    let mut answer = vec![0; 1 + 1536 * 2];
    nested.read_exact(&mut answer).unwrap();
    let mut body = vec![2, 0, 7];
    body.extend(b"connect");
    body.extend([0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    while body.len() < 12_000 {
        body.extend([3, 0, 1, b'a']);
    }
    let mut message = answer[1..1537].to_vec();
    let size = (body.len() as u32).to_be_bytes();
    message.extend([3, 0, 0, 0, size[1], size[2], size[3], 20, 0, 0, 0, 0]);
    for (index, chunk) in body.chunks(128).enumerate() {
        message.extend((index > 0).then_some(0xc3));
        message.extend(chunk);
    }
    nested.write_all(&message).unwrap();
    for stream in [&mut nonsense, &mut nested] {
        // Either says nothing more, or is cut off: both end the reading.
        let _ = stream.set_read_timeout(Some(common::PATIENCE));
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    take(&mut media, 2);
    assert!(!media.stats.source_up.load(Relaxed));
    let url = format!("rtmp://127.0.0.1:{port}/live/swordfish");
    let input = ["-re", "-i", clip.to_str().unwrap(), "-c", "copy", "-f", "flv", &url];
    let mut encoder = Program::ffmpeg(&input);
    until(&mut media, |_, media| {
        if encoder.0.try_wait().unwrap().is_some() {
            encoder = Program::ffmpeg(&input);
        }
        media.stats.source_up.load(Relaxed)
    });
    // The silent one is told nothing.
    let _ = silent.set_nonblocking(true);
    assert!(!matches!(silent.read(&mut [0; 16]), Ok(count) if count > 0));
    media.stop();
}

/// Serves a clip over RTMP, again and again, to who asks for `live/swordfish`.
fn rtmp_server(flv: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let flv = Arc::new(flv);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let flv = flv.clone();
            // It ends when the other side goes.
            std::thread::spawn(move || play(stream.unwrap(), &flv));
        }
    });
    port
}

fn play(mut stream: TcpStream, flv: &[u8]) -> Option<()> {
    use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
    use rml_rtmp::sessions::{
        ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
    };
    let mut handshake = Handshake::new(PeerType::Server);
    let mut buffer = vec![0; 65536];
    let mut rest = loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        match handshake.process_bytes(&buffer[..count]).ok()? {
            HandshakeProcessResult::InProgress { response_bytes } => {
                stream.write_all(&response_bytes).ok()?;
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                stream.write_all(&response_bytes).ok()?;
                break remaining_bytes;
            }
        }
    };
    let (mut session, mut results) = ServerSession::new(ServerSessionConfig::new()).ok()?;
    let id = 'asked: loop {
        results.extend(session.handle_input(&rest).ok()?);
        let mut more = Vec::new();
        for result in results.drain(..) {
            match result {
                ServerSessionResult::OutboundResponse(packet) => {
                    stream.write_all(&packet.bytes).ok()?;
                }
                ServerSessionResult::RaisedEvent(ServerSessionEvent::ConnectionRequested {
                    request_id,
                    ..
                }) => more.extend(session.accept_request(request_id).ok()?),
                ServerSessionResult::RaisedEvent(ServerSessionEvent::PlayStreamRequested {
                    request_id,
                    app_name,
                    stream_key,
                    stream_id,
                    ..
                }) => {
                    assert_eq!((app_name.as_str(), stream_key.as_str()), ("live", "swordfish"));
                    for result in session.accept_request(request_id).ok()? {
                        if let ServerSessionResult::OutboundResponse(packet) = result {
                            stream.write_all(&packet.bytes).ok()?;
                        }
                    }
                    break 'asked stream_id;
                }
                _ => {}
            }
        }
        results = more;
        if !results.is_empty() {
            rest = Vec::new();
            continue;
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        rest = buffer[..count].to_vec();
    };
    let begun = std::time::Instant::now();
    let mut at = 13;
    while let Some(head) = flv.get(at..at + 11) {
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        let data = bytes::Bytes::copy_from_slice(flv.get(at + 11..at + 11 + size)?);
        at += 11 + size + 4;
        let due = std::time::Duration::from_millis(ms.into());
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let time = rml_rtmp::time::RtmpTimestamp::new(ms);
        let packet = match head[0] {
            8 => session.send_audio_data(id, data, time, false),
            9 => session.send_video_data(id, data, time, false),
            _ => continue,
        };
        stream.write_all(&packet.ok()?.bytes).ok()?;
    }
    None
}

#[test]
fn rtmp_is_played_from_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.flv");
    make_clip(&clip, 60, 25, &CODECS);
    let port = rtmp_server(std::fs::read(clip).unwrap());
    let url = format!("rtmp://127.0.0.1:{port}/live").parse().unwrap();
    let key = Some(secret(folder.path(), "key", "swordfish"));
    let source = Source::Rtmp { url, key, user: None, password: None };
    plays(source, Mode::PassThrough, || {});
}

#[test]
fn a_stream_key_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let key = Some(secret(folder.path(), "key", "swordfish"));
    let url = format!("rtmp://127.0.0.1:{}/live", free_port()).parse().unwrap();
    let source = Source::Rtmp { url, key, user: None, password: None };
    let mut media = common::start(common::channel(source));
    until(&mut media, |_, media| media.stats.trouble().is_some());
    let trouble = media.stats.trouble().unwrap();
    assert!(!trouble.contains("swordfish"), "{trouble}");
    assert!(!format!("{:?}", media.stats).contains("swordfish"));
    media.stop();
}

fn rtsp(mode: Mode, transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviour/rtsp_server.py");
    // The system's Python is the one that knows GStreamer.
    let mut server = Command::new("/usr/bin/python3")
        .args([script, clip.to_str().unwrap(), "0", "viewer", "swordfish"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let _server = Program(server);
    let url: url::Url = format!("rtsp://127.0.0.1:{}/camera", port.trim()).parse().unwrap();
    let source = |password: &str| Source::Rtsp {
        url: url.clone(),
        user: Some("viewer".into()),
        password: Some(secret(folder.path(), "password", password)),
        transport,
        latency_ms: 200,
    };
    let mut media = common::start(common::channel(source("sword")));
    until(&mut media, |_, media| media.stats.trouble().is_some());
    assert!(!media.stats.source_up.load(Relaxed));
    media.stop();
    plays(source("swordfish"), mode, || {});
}

#[test]
fn rtsp_is_encoded() {
    rtsp(Mode::Encode, Transport::Udp);
}

#[test]
fn rtsp_is_passed_through() {
    rtsp(Mode::PassThrough, Transport::Tcp);
}

/// Serves a folder to who knows the password, and to nobody else.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let folder = folder.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &folder));
        }
    });
    port
}

fn answer(mut stream: TcpStream, folder: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(first)) = lines.next() {
        let head: Vec<_> =
            lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        // viewer:swordfish
        let known = head.iter().any(|line| line.ends_with("Basic dmlld2VyOnN3b3JkZmlzaA=="));
        let name = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let (status, body) = match std::fs::read(folder.join(name)) {
            _ if !known => {
                ("401 Unauthorized\r\nwww-authenticate: Basic realm=\"test\"", Vec::new())
            }
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

fn hls(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let served = folder.path().join("served");
    std::fs::create_dir(&served).unwrap();
    let list = served.join("live.m3u8");
    let input = ["-re", "-stream_loop", "-1", "-i", clip.to_str().unwrap(), "-c", "copy"];
    let output = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "8", list.to_str().unwrap()];
    let _packager = Program::ffmpeg(&[&input[..], &output].concat());
    let port = serve(served);
    let url: url::Url = format!("http://127.0.0.1:{port}/live.m3u8").parse().unwrap();
    let until = std::time::Instant::now() + common::PATIENCE;
    while std::fs::read_to_string(&list).map_or(0, |text| text.matches("#EXTINF").count()) < 4 {
        assert!(std::time::Instant::now() < until, "no playlist was made");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let source = Source::Hls {
        url,
        user: Some("viewer".into()),
        password: Some(secret(folder.path(), "password", "swordfish")),
    };
    plays(source, mode, || {});
}

#[test]
fn hls_is_encoded() {
    hls(Mode::Encode);
}

#[test]
fn hls_is_passed_through() {
    hls(Mode::PassThrough);
}
