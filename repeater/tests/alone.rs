//! A repeater whose platform is away: it says what is missing, waits, and stops when asked.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Generous: only a hang takes that long.
const LIMIT: Duration = Duration::from_secs(60);

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let from = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(from.elapsed() < LIMIT, "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the program whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

fn start(folder: &Path) -> Running {
    let config = folder.join("repeater.toml");
    // Nobody listens on port 1.
    let text = format!(
        "auth = 'http://127.0.0.1:1'\ncredential = {{ file = '{0}/secret' }}\n\
         identity = '{0}/key'\nbind = '127.0.0.1:0'\nannounce = '{0}/places.json'\n\
         [http]\nlisten = '127.0.0.1:0'\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    std::fs::write(folder.join("secret"), "not needed yet\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_braidcast-repeater"));
    Running(command.arg("--config").arg(&config).stderr(Stdio::piped()).spawn().unwrap())
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn a_repeater_without_a_platform_says_so_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path());
    let places: serde_json::Value = until(|| {
        serde_json::from_slice(&std::fs::read(folder.path().join("places.json")).ok()?).ok()
    });
    let http = places["http"].as_str().unwrap();
    assert_eq!(places["peer_id"].as_str().unwrap().len(), 43);
    assert!(!places["quic"].as_str().unwrap().ends_with(":0"));

    assert!(get(http, "/healthz").starts_with("HTTP/1.1 200"));
    let missing = "\"platform\":\"auth at http://127.0.0.1:1 cannot be reached\"";
    until(|| {
        let ready = get(http, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        ready.contains(missing).then_some(())
    });
    let metrics = get(http, "/metrics");
    for name in ["braidcast_egress_bytes_total{role=\"viewer\"} 0", "braidcast_swarms 0"] {
        assert!(metrics.contains(name), "{metrics}");
    }

    let id = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let log: Vec<_> =
        BufReader::new(child.0.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(log.iter().any(|line| line.contains("repeater is up")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("not needed yet")), "the secret is not logged");
}
