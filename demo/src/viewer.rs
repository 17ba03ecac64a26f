//! A viewer on the stage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::{Instant, sleep};

use crate::{Figures, Program, tail};

/// How a channel is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The viewer's loopback address: its network.
    pub address: String,
    /// What it watches.
    pub channel: String,
    /// Ends by itself after so many seconds of playing.
    pub seconds: Option<u32>,
    /// Whether the received stream is kept.
    pub record: bool,
    /// `--share`, if not the default.
    pub share: Option<String>,
    /// Who signs in, and with which password.
    pub user: (String, String),
    /// The network namespace in which it runs, if not this one.
    pub namespace: Option<String>,
    /// Whether it is told the platform's address of IPv6; see [`crate::Stage::set_in_both`].
    pub over_ipv6: bool,
    /// Whether a window is opened.
    pub window: bool,
    /// `--wait`: how long it tries again while the platform cannot be reached, seconds.
    pub wait: u32,
}

impl Watch {
    /// The stage's own user watches `channel` at `address`.
    pub fn new(address: &str, channel: &str) -> Self {
        Self {
            address: address.into(),
            channel: channel.into(),
            seconds: None,
            record: false,
            share: None,
            user: (crate::stage::USER.into(), crate::stage::PASSWORD.into()),
            namespace: None,
            over_ipv6: false,
            window: false,
            wait: 0,
        }
    }
}

/// A viewer's program, running.
pub struct Viewer {
    program: Program,
    folder: PathBuf,
    local: String,
}

/// How long a viewer may take until it plays. Generous: machines are shared.
const PLAYING: Duration = Duration::from_secs(60);

impl Viewer {
    /// Starts one whose files are in `folder`.
    pub(crate) fn start(
        folder: PathBuf,
        name: &str,
        auth: &str,
        watch: &Watch,
        apart: bool,
    ) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let path = |file: &str| folder.join(file).to_string_lossy().into_owned();
        std::fs::write(folder.join("password"), &watch.user.1)?;
        std::fs::write(folder.join("client.toml"), config(&folder, &watch.address))?;
        let mut args = vec!["play".to_owned(), watch.channel.clone()];
        args.extend(["--config".into(), path("client.toml")]);
        args.extend(["--server".into(), auth.to_owned()]);
        args.extend(["--user".into(), watch.user.0.clone()]);
        args.extend(["--password-file".into(), path("password")]);
        args.extend(["--stats-json".into(), path("stats.json")]);
        if !watch.window {
            args.push("--headless".into());
        }
        if watch.record {
            args.extend(["--output".into(), path("received.ts")]);
        }
        if let Some(share) = &watch.share {
            args.extend(["--share".into(), share.clone()]);
        }
        if watch.wait > 0 {
            args.extend(["--wait".into(), watch.wait.to_string()]);
        }
        if let Some(seconds) = watch.seconds {
            args.extend(["--duration".into(), seconds.to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let namespace = watch.namespace.as_deref();
        let program = Program::start_in(namespace, &folder, name, "braidcast", &args, apart)?;
        Ok(Self { program, folder, local: String::new() })
    }

    /// Waits until it plays.
    ///
    /// # Errors
    /// If it ends instead, or takes too long.
    pub async fn playing(&mut self) -> Result<()> {
        let until = Instant::now() + PLAYING;
        loop {
            if self.figures().is_ok_and(|figures| figures.segments.played > 0) {
                break;
            }
            if self.has_ended() {
                bail!("{} ended:\n{}", self.program.name(), self.log_tail());
            }
            if Instant::now() > until {
                bail!("{} does not play after {PLAYING:?}:\n{}", self.name(), self.log_tail());
            }
            sleep(Duration::from_millis(50)).await;
        }
        let addresses = self.program.ready(&self.folder.join("announce.json")).await?;
        let http = addresses["http"].as_str().context("the viewer announces no local address")?;
        self.local = format!("http://{http}/");
        Ok(())
    }

    /// Its name on the stage.
    pub fn name(&self) -> &str {
        self.program.name()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.program.pid()
    }

    /// Its local address, once it plays.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// Where the received stream is kept.
    pub fn recording(&self) -> PathBuf {
        self.folder.join("received.ts")
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its figures as last written, at most a second ago.
    ///
    /// # Errors
    /// If it has written none yet.
    pub fn figures(&self) -> Result<Figures> {
        let text = std::fs::read_to_string(self.folder.join("stats.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.program.has_ended()
    }

    /// Waits until it ends by itself (see [`Watch::seconds`]), and gives its last figures.
    ///
    /// # Errors
    /// If it fails or takes longer than `limit`.
    pub async fn finish(mut self, limit: Duration) -> Result<Figures> {
        let status = self.program.ended(limit).await?;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.name(), self.log_tail());
        }
        self.figures()
    }

    /// Waits until it ends by itself, and gives its exit code and what it said.
    ///
    /// # Errors
    /// If it takes longer than `limit`.
    pub async fn outcome(mut self, limit: Duration) -> Result<(Option<i32>, String)> {
        let status = self.program.ended(limit).await?;
        Ok((status.code(), self.program.log()))
    }

    /// Kills it without notice.
    pub async fn kill(mut self) {
        self.program.kill().await;
    }

    /// Stops it in an orderly way.
    ///
    /// # Errors
    /// If it fails or does not stop.
    pub async fn stop(mut self) -> Result<()> {
        self.program.stop().await
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.program.log())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.program.log()
    }
}

fn config(folder: &Path, address: &str) -> String {
    let folder = folder.display();
    format!(
        r#"state = "{folder}/state"
announce = "{folder}/announce.json"
[account]
remember = false
[network]
bind = "{address}:0"
[local]
listen = "127.0.0.1:0"
"#
    )
}
