//! Channels that come, change and go while the program runs: by the file, by SIGHUP, and by the administrator's calls. The
//! program is the real one; the platform that it signs in to is not there, which channels do not mind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::PATIENCE;

struct Headend {
    child: Child,
    folder: tempfile::TempDir,
    http: String,
}

/// Waits until something is there.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Headend {
    fn start(channels: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "swordfish\n").unwrap();
        std::fs::write(folder.path().join("headend.toml"), file(folder.path(), channels)).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_braidcast-headend"))
            .args(["--config", "headend.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let mut headend = Self { child, folder, http: String::new() };
        let places = eventually("the start", || {
            let text = std::fs::read_to_string(headend.path("announce")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        headend.http = places["http"].as_str().unwrap().to_owned();
        headend
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// Replaces the file, as an editor does.
    fn write(&self, channels: &str) {
        std::fs::write(self.path("draft"), file(self.folder.path(), channels)).unwrap();
        std::fs::rename(self.path("draft"), self.path("headend.toml")).unwrap();
    }

    fn call_as(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: headend\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.call_as("swordfish", method, path, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Ids of the channels, and how many segments of each were sealed.
    fn channels(&self) -> Vec<(String, u64)> {
        let (status, body) = self.call("GET", "/v1/channels", "");
        assert_eq!(status, 200, "{body}");
        let channel = |channel: &Value| {
            let sealed = channel["renditions"][0]["sealed_segments"].as_u64().unwrap();
            (channel["id"].as_str().unwrap().to_owned(), sealed)
        };
        body["channels"].as_array().unwrap().iter().map(channel).collect()
    }

    fn wait_for(&self, ids: &[&str]) {
        eventually(&format!("{ids:?}"), || {
            let now = self.channels();
            let same = now.iter().map(|(id, _)| id.as_str()).eq(ids.iter().copied());
            (same && now.iter().all(|(_, sealed)| *sealed > 0)).then_some(())
        });
    }

    fn sealed(&self, id: &str) -> u64 {
        self.channels().into_iter().find(|(known, _)| known == id).unwrap().1
    }
}

impl Drop for Headend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

fn file(folder: &Path, channels: &str) -> String {
    let folder = folder.display();
    format!(
        "# kept by hand\nauth = 'http://127.0.0.1:1'\ncredential = {{ env = 'PATH' }}\n\
         bind = '127.0.0.1:0'\nannounce = '{folder}/announce'\nstate = '{folder}/state'\n\
         identity = '{folder}/key'\n[http]\nlisten = '127.0.0.1:0'\n\
         admin_token = {{ file = '{folder}/token' }}\n{channels}"
    )
}

fn section(id: &str, more: &str) -> String {
    format!("[[channels]]\nid = '{id}'\n{}\n", body(id, more))
}

fn body(id: &str, more: &str) -> String {
    format!(
        "name = 'Channel {id}'\n{more}\n\
         video = {{ width = 160, height = 90, fps = 25, bitrate_kbit = 100, preset = 'ultrafast' }}"
    )
}

#[test]
fn the_file_is_read_again_and_a_bad_one_is_refused() {
    let headend = Headend::start(&section("one", ""));
    headend.wait_for(&["one"]);
    let before = headend.sealed("one");

    headend.write(&(section("one", "") + &section("two", "")));
    headend.wait_for(&["one", "two"]);
    assert!(headend.sealed("one") >= before, "it went on");

    // A mistake: told with line and key, and nothing changes.
    headend.write(&(section("one", "colour = 'red'") + &section("three", "")));
    eventually("the refusal", || {
        let log = headend.log();
        let line = log.lines().find(|line| line.contains("configuration refused"))?;
        assert!(line.contains("unknown key `colour` at line 14"), "{line}");
        Some(())
    });
    headend.wait_for(&["one", "two"]);
    let (_, metrics) = headend.call("GET", "/metrics", "");
    assert!(metrics.as_str().unwrap().contains("braidcast_configuration_in_force 0"), "{metrics}");

    // Changed, gone and new at once; in the order of the file.
    let before = headend.sealed("two");
    headend
        .write(&(section("three", "") + &section("two", "") + &section("one", "delay_ms = 3000")));
    headend.wait_for(&["three", "two", "one"]);
    assert!(headend.sealed("two") >= before, "it went on");
    headend.write(&section("two", ""));
    headend.wait_for(&["two"]);
    assert!(headend.sealed("two") > 0);
    let (_, metrics) = headend.call("GET", "/metrics", "");
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("braidcast_configuration_in_force 1"), "{metrics}");
    for line in [
        "braidcast_source_state{channel=\"two\",source=\"1\",state=\"fit\"} 1",
        "braidcast_source_playing{channel=\"two\",source=\"1\"} 1",
        "braidcast_on_air{channel=\"two\",rendition=\"main\"} 0",
    ] {
        assert!(metrics.contains(line), "`{line}` is not in {metrics}");
    }
    assert!(!metrics.contains("channel=\"one\""));
    let (status, ready) = headend.call("GET", "/readyz", "");
    assert_eq!(status, 503, "the platform is not there");
    assert!(ready["missing"].get("channel one").is_none(), "{ready}");

    // SIGHUP reads it even if nobody saw it change.
    let pid = headend.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    eventually("SIGHUP", || headend.log().matches("configuration read").nth(3).map(drop));
    headend.wait_for(&["two"]);
}

#[test]
fn the_administrator_changes_channels_by_calls() {
    let mut headend = Headend::start(&section("one", ""));
    headend.wait_for(&["one"]);
    for token in ["", "sword", "swordfish2"] {
        assert_eq!(headend.call_as(token, "GET", "/v1/channels", "").0, 401);
    }
    let (status, changes) = headend.call("PUT", "/v1/channels/two", &body("two", ""));
    assert_eq!((status, &changes["added"][0]), (200, &"two".into()), "{changes}");
    headend.wait_for(&["one", "two"]);
    let sealed = headend.sealed("one");
    let (status, changes) = headend.call("PUT", "/v1/channels/two", &body("two", "k = 6"));
    assert_eq!((status, &changes["changed"][0]), (200, &"two".into()), "{changes}");
    headend.wait_for(&["one", "two"]);
    assert!(headend.sealed("one") >= sealed, "it went on");
    let text = std::fs::read_to_string(headend.path("headend.toml")).unwrap();
    assert!(text.starts_with("# kept by hand") && text.contains("k = 6"), "{text}");
    assert_eq!(headend.call("GET", "/v1/configuration", "").1, Value::String(text.clone()));

    // What is wrong is refused with line and key, and the file stays as it was.
    let (status, problem) = headend.call("PUT", "/v1/channels/two", &body("two", "k = 60"));
    assert_eq!(status, 422, "{problem}");
    assert_eq!(problem["problems"][0]["key"], "channels.1.k", "{problem}");
    assert!(problem["problems"][0]["line"].as_u64().is_some(), "{problem}");
    let (status, problem) = headend.call("PUT", "/v1/configuration", "auth = ");
    assert_eq!((status, &problem["code"]), (422, &"invalid".into()), "{problem}");
    assert_eq!(std::fs::read_to_string(headend.path("headend.toml")).unwrap(), text);

    assert_eq!(headend.call("DELETE", "/v1/channels/none", "").0, 404);
    let (status, changes) = headend.call("DELETE", "/v1/channels/one", "");
    assert_eq!((status, &changes["removed"][0]), (200, &"one".into()), "{changes}");
    headend.wait_for(&["two"]);
    let (status, changes) = headend.call("POST", "/v1/reload", "");
    assert_eq!((status, changes["changed"].as_array().unwrap().len()), (200, 0), "{changes}");

    let pid = headend.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(headend.child.wait().unwrap().code(), Some(0));
}

#[test]
fn calls_and_the_command_line_leave_the_operators_file_alone_where_there_is_another() {
    let mut headend = Headend::start("");
    // The keys before a section.
    let text = std::fs::read_to_string(headend.path("headend.toml")).unwrap();
    let further = headend.path("channels.toml");
    let first = format!("channels_file = '{}'\n{text}{}", further.display(), section("one", ""));
    assert!(
        Command::new("kill")
            .args(["-TERM", &headend.child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    headend.child.wait().unwrap();
    std::fs::remove_file(headend.path("announce")).unwrap();
    std::fs::write(headend.path("headend.toml"), &first).unwrap();
    headend.child = Command::new(env!("CARGO_BIN_EXE_braidcast-headend"))
        .args(["--config", "headend.toml"])
        .current_dir(headend.folder.path())
        .stderr(Stdio::from(std::fs::File::create(headend.path("log")).unwrap()))
        .spawn()
        .unwrap();
    let places = eventually("the start", || {
        let text = std::fs::read_to_string(headend.path("announce")).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    });
    headend.http = places["http"].as_str().unwrap().to_owned();
    headend.wait_for(&["one"]);

    assert_eq!(headend.call("PUT", "/v1/channels/two", &body("two", "")).0, 200);
    headend.wait_for(&["one", "two"]);
    assert_eq!(std::fs::read_to_string(headend.path("headend.toml")).unwrap(), first);
    assert!(std::fs::read_to_string(&further).unwrap().contains("id = \"two\""));

    // The command line finds the headend by its configuration: here, by the address that it took.
    let listen = first.replace("listen = '127.0.0.1:0'", &format!("listen = '{}'", headend.http));
    std::fs::write(headend.path("here.toml"), listen).unwrap();
    std::fs::write(headend.path("three"), body("three", "")).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_braidcast-headend"));
        command.args(["--config", "here.toml", "channel"]).args(args);
        let output = command.current_dir(headend.folder.path()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["set", "three", "three"]).0, Some(0));
    headend.wait_for(&["one", "two", "three"]);
    let (code, said, _) = run(&["list"]);
    assert!(code == Some(0) && said.contains("three\tChannel three\toff air\ttest fit"), "{said}");
    std::fs::write(headend.path("three"), body("three", "colour = 'red'")).unwrap();
    let (code, _, said) = run(&["set", "three", "three"]);
    assert!(code == Some(1) && said.contains("colour"), "{said}");
    assert_eq!(run(&["remove", "two"]).0, Some(0));
    headend.wait_for(&["one", "three"]);
    assert_eq!(run(&["remove", "two"]).0, Some(1));

    // A channel of the operator's file is changed there.
    assert_eq!(headend.call("PUT", "/v1/channels/one", &body("one", "k = 6")).0, 200);
    headend.wait_for(&["one", "three"]);
    assert!(std::fs::read_to_string(headend.path("headend.toml")).unwrap().contains("k = 6"));
    // The further file is read again when it changes, too, and a channel may not stand in both.
    let both = std::fs::read_to_string(&further).unwrap() + &section("one", "");
    std::fs::write(&further, both).unwrap();
    eventually("the refusal", || {
        headend.log().contains("one is in the configuration").then_some(())
    });
    std::fs::write(&further, "").unwrap();
    headend.wait_for(&["one"]);
}
