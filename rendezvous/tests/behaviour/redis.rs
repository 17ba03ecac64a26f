//! Redis servers that the tests start themselves.

use std::net::{IpAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use url::Url;

tokio::task_local! {
    /// The Redis that a story's map is shared through.
    pub(crate) static MAP: Option<Url>;
}

/// The Redis of this story, if there is one.
pub(crate) fn chosen() -> Option<Url> {
    MAP.try_with(Clone::clone).ok().flatten()
}

const PORT: u16 = 6379;

/// A server on a loopback address of its own, so that it is found again after a restart.
pub(crate) struct Redis {
    ip: IpAddr,
    folder: tempfile::TempDir,
    keeper: Mutex<Option<Child>>,
}

static SHARED: Mutex<Weak<Redis>> = Mutex::new(Weak::new());

impl Redis {
    /// One for all tests that leave it alone; none where Redis is not installed.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap();
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server that no other test uses; none where Redis is not installed.
    pub(crate) fn start() -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: Redis is not installed (apt install redis-server)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let server = Self { ip: crate::auth::own_ip(), folder, keeper: Mutex::default() };
        server.resume();
        Some(server)
    }

    pub(crate) fn url(&self) -> Url {
        format!("redis://{}:{PORT}/", self.ip).parse().unwrap()
    }

    /// Starts the server, with nothing in it, and waits until it answers.
    pub(crate) fn resume(&self) {
        // Ends when its standard input is closed: also when this process is killed.
        let script = r#"
            redis-server --bind "$0" --port "$1" --dir "$2" --save '' --appendonly no \
                < /dev/null > "$2/log" 2>&1 &
            cat > /dev/null
            kill -KILL $!
            wait $!
        "#;
        let keeper = Command::new("sh")
            .args(["-c", script, &self.ip.to_string(), &PORT.to_string()])
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.keeper.lock().unwrap() = Some(keeper);
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((self.ip, PORT)).is_err() {
            assert!(Instant::now() < deadline, "Redis does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the server, and waits until it has ended.
    pub(crate) fn kill(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
