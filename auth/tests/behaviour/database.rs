//! Databases for tests: a file of SQLite, or a database in a PostgreSQL server that the tests start
//! themselves.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// A database of its own for one test.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<TempDir>,
    _server: Option<Arc<Postgres>>,
}

impl Database {
    /// One that somebody else looks after.
    pub(crate) fn at(url: String) -> Self {
        Self { url, _folder: None, _server: None }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("auth.db").display());
        Self { url, _folder: Some(folder), _server: None }
    }

    /// None, with a line that says so, where PostgreSQL is not installed.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = tokio::task::spawn_blocking(Postgres::shared).await.unwrap()?;
        let url = server.new_database().await;
        Some(Self { url, _folder: None, _server: Some(server) })
    }
}

/// A server in a folder of its own, reached by a socket in that folder, so that no port is needed.
pub(crate) struct Postgres {
    folder: TempDir,
    binaries: PathBuf,
    /// Stops the server when its standard input is closed: also when this process is killed.
    keeper: Mutex<Option<Child>>,
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap();
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// A server that no other test uses; none where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            eprintln!("skipped: PostgreSQL is not installed (apt install postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let data = folder.path().join("data");
        let initdb = binaries.join("initdb");
        run(as_postgres(&initdb)
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"])
            .stdout(Stdio::null()));
        let server = Self { folder, binaries, keeper: Mutex::default() };
        server.resume();
        Some(server)
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn resume(&self) {
        let script = r#"
            "$0" -D "$1/data" -c listen_addresses= -c unix_socket_directories="$1" -c fsync=off \
                 -c max_connections=200 < /dev/null > "$1/log" 2>&1 &
            cat > /dev/null
            kill -INT $!
            wait $!
        "#;
        let keeper = as_postgres(Path::new("sh"))
            .args(["-c", script])
            .arg(self.binaries.join("postgres"))
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        *self.keeper.lock().unwrap() = Some(keeper);
        let ready = self.binaries.join("pg_isready");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut ask = Command::new(&ready);
            ask.arg("-q").arg("-h").arg(self.folder.path());
            if ask.status().unwrap().success() {
                return;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {log:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server as its operator would, and waits until it has ended.
    pub(crate) fn stop(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.path().display())
    }

    pub(crate) async fn new_database(&self) -> String {
        let name = format!("tv_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(sqlx::raw_sql(create)).await.unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the newest version, as Debian lays it out, or where the path leads.
fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let installed = versions.into_iter().rev().map(|(_, folder)| folder);
    installed
        .chain(std::env::split_paths(&paths))
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The server refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
