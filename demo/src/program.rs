//! One of the programs, running.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long a program may take until it says that it is ready. Generous: machines are shared.
const READY: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(15);

/// A running program. Dropping it kills it.
pub struct Program {
    name: String,
    folder: PathBuf,
    command: Vec<String>,
    apart: bool,
    child: Child,
}

impl Program {
    /// Starts `binary` with `args`; its log goes to `NAME.log` in `folder`. If it stands `apart`, Ctrl-C in
    /// the terminal does not reach it.
    ///
    /// # Errors
    /// If it was not built or cannot be started.
    pub fn start(
        folder: &Path,
        name: &str,
        binary: &str,
        args: &[&str],
        apart: bool,
    ) -> Result<Self> {
        Self::start_in(None, folder, name, binary, args, apart)
    }

    /// The same in a network namespace, if one is named.
    ///
    /// # Errors
    /// As of [`Program::start`].
    pub fn start_in(
        namespace: Option<&str>,
        folder: &Path,
        name: &str,
        binary: &str,
        args: &[&str],
        apart: bool,
    ) -> Result<Self> {
        let path = built(binary)?;
        let entry = namespace.map(|namespace| ["ip", "netns", "exec", namespace]);
        let command: Vec<String> = entry
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .chain([path.to_string_lossy().into_owned()])
            .chain(log_level())
            .chain(args.iter().map(|&arg| arg.to_owned()))
            .collect();
        let child = spawn(folder, name, &command, apart)?;
        Ok(Self { name: name.to_owned(), folder: folder.to_owned(), command, apart, child })
    }

    /// Its name on this stage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.folder, &self.name)).unwrap_or_default()
    }

    /// Waits until it has written `file` (its addresses), and reads it.
    ///
    /// # Errors
    /// If it ends or takes too long; the end of its log is in the error.
    pub async fn ready(&mut self, file: &Path) -> Result<serde_json::Value> {
        let until = Instant::now() + READY;
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return serde_json::from_str(&text)
                    .with_context(|| format!("{} wrote {}", self.name, file.display()));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, tail(&self.log()));
            }
            if Instant::now() > until {
                bail!("{} is not ready after {READY:?}:\n{}", self.name, tail(&self.log()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If it takes longer than `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<std::process::ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {limit:?}:\n{}", self.name, tail(&self.log())),
        }
    }

    /// Kills it without notice.
    pub async fn kill(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.child.kill().await;
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// If it does not stop in time (it is killed then) or ends with a failure.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        }
        match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(|status| status.success()) => Ok(()),
            Ok(status) => bail!("{} ended with {}:\n{}", self.name, status?, tail(&self.log())),
            Err(_) => {
                self.kill().await;
                bail!("{} did not stop within {STOP:?}", self.name)
            }
        }
    }

    /// Kills it if it still runs, and starts it again with the same arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await;
        self.child = spawn(&self.folder, &self.name, &self.command, self.apart)?;
        Ok(())
    }
}

/// Where cargo put a program of this workspace: beside, or above, the one that runs now.
fn built(binary: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(binary))
        .find(|path| path.is_file())
        .with_context(|| format!("{binary} is not built: run `cargo build --workspace --bins`"))
}

fn spawn(folder: &Path, name: &str, command: &[String], apart: bool) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log_path(folder, name))?;
    let mut program = Command::new(&command[0]);
    if apart {
        program.process_group(0);
    }
    program
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", command[0]))
}

fn log_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// What programs are to log, if whoever looks for a fault sets `BRAIDCAST_LOG`: a level, or filters.
fn log_level() -> impl Iterator<Item = String> {
    let level = std::env::var("BRAIDCAST_LOG").ok();
    level.into_iter().flat_map(|level| ["--log".to_owned(), level])
}

/// The last lines of a log, and of a program that panicked, what it said first.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(30);
    let panic = lines[..from].iter().position(|line| line.contains(" panicked at "));
    let panic = panic.map_or(&[][..], |at| &lines[at..from.min(at + 60)]);
    [panic, &lines[from..]].concat().join("\n")
}
