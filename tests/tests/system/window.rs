//! The viewer's window before a real platform, driven by what a screen reader is told, by keys and by the mouse
//! (`tests/ui/drive.py`), on a display and a session bus of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Channel, Plan, Repeater, Source, Stage};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Generous: machines are shared.
const LIMIT: Duration = Duration::from_secs(600);

/// A display; it is gone when this is dropped.
struct Display {
    _server: Child,
    _manager: Child,
    name: String,
}

impl Display {
    async fn start() -> Result<Self> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start Xvfb")?;
        let out = server.stdout.take().context("its output")?;
        let number = tokio::time::timeout(LIMIT, BufReader::new(out).lines().next_line()).await??;
        let name = format!(":{}", number.context("Xvfb names its display")?.trim());
        // Full screen is what a window manager gives.
        let manager = Command::new("openbox")
            .env("DISPLAY", &name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start openbox")?;
        Ok(Self { _server: server, _manager: manager, name })
    }
}

/// A clip of one colour on which a white square moves, with a tone.
async fn clip(folder: &Path, colour: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{colour}.mp4"));
    let picture = format!(
        "color={colour}:s=640x360:r=25[b];color=white:s=70x70:r=25[s];\
         [b][s]overlay=x='mod(t*140,570)':y=145:shortest=0"
    );
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-filter_complex", &picture])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-t", "8", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"])
        .arg(&path)
        .stdin(Stdio::null())
        .status()
        .await?;
    ensure!(made.success(), "ffmpeg: {made}");
    Ok(path)
}

/// Where cargo put the viewer's program: above the test's own.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join("braidcast"));
    found.into_iter().find(|path| path.is_file()).context("braidcast is not built")
}

/// Runs one of the scripts of `tests/ui` on a display and a session bus of its own: with the program, how to sign in, the
/// state folder in `root`, and `more`.
async fn drive(script: &str, root: &Path, stage: &Stage, more: &[&Path]) -> Result<()> {
    let state = root.join("state");
    std::fs::create_dir(&state)?;
    // In the repeaters' network.
    std::fs::write(
        state.join("client.toml"),
        "[network]\nbind = \"127.0.1.20:0\"\n[local]\nlisten = \"127.0.0.1:0\"\n",
    )?;
    let display = Display::start().await?;
    // The distribution's Python: it has the bindings.
    let driver = Command::new("dbus-run-session")
        .args(["--", "/usr/bin/python3"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("ui").join(script))
        .arg(program()?)
        .args([&stage.auth_url(), demo::USER, demo::PASSWORD])
        .arg(&state)
        .args(more)
        .env("DISPLAY", &display.name)
        .env("HOME", root)
        .env("XDG_RUNTIME_DIR", root)
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let driven = tokio::time::timeout(LIMIT, driver).await??;
    let said = String::from_utf8_lossy(&driven.stdout);
    println!("{said}");
    let log = std::fs::read_to_string(root.join("window.log")).unwrap_or_default();
    ensure!(
        driven.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&driven.stderr),
        demo::tail(&log)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "its script counts on channels being numbered in the order of the stage; they are in that of publication"]
async fn a_viewer_signs_in_zaps_pauses_and_signs_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let mut channels = Vec::new();
    for colour in ["red", "green", "blue"] {
        let source = Source::File(clip(root, colour).await?);
        channels.push(Channel { video: (640, 360, 600), ..Channel::new(colour, source) });
    }
    let mut stage = Stage::set(Plan {
        channels,
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.1.251")],
        headend_feeds_viewers: false,
    })
    .await?;
    drive("drive.py", root, &stage, &[]).await?;
    stage.strike().await
}

/// No test: takes the pictures of the documentation (`make pictures`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes pictures for the documentation"]
async fn pictures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = demo::clip().context("make clip")?.canonicalize()?;
    let channel =
        |id: &str, source| Channel { video: (1280, 720, 2500), ..Channel::new(id, source) };
    let mut stage = Stage::set(Plan {
        channels: vec![channel("clip", Source::File(clip)), channel("test", Source::Test)],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    drive("pictures.py", folder.path(), &stage, &[&out]).await?;
    stage.strike().await
}
