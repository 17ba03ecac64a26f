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
/// Long measurements take half an hour.
const LONG: Duration = Duration::from_secs(3000);

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
        "color={colour}:s=320x180:r=25[b];color=white:s=36x36:r=25[s];\
         [b][s]overlay=x='mod(t*70,284)':y=72:shortest=0"
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
/// state folder in `root`, and `more`. What it says is printed as it comes.
async fn drive(
    script: &str,
    root: &Path,
    stage: &Stage,
    more: &[&Path],
    limit: Duration,
) -> Result<()> {
    let state = root.join("state");
    std::fs::create_dir(&state)?;
    // In the repeaters' network.
    std::fs::write(
        state.join("client.toml"),
        "[network]\nbind = \"127.0.1.20:0\"\n[local]\nlisten = \"127.0.0.1:0\"\n",
    )?;
    let display = Display::start().await?;
    // The distribution's Python: it has the bindings.
    let mut driver = Command::new("dbus-run-session")
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
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the script")?;
    let mut lines = BufReader::new(driver.stdout.take().context("its output")?).lines();
    let told = async {
        let mut said = String::new();
        while let Some(line) = lines.next_line().await? {
            println!("{line}");
            said += &line;
            said.push('\n');
        }
        anyhow::Ok((said, driver.wait().await?))
    };
    let (said, status) = tokio::time::timeout(limit, told).await??;
    let log = std::fs::read_to_string(root.join("window.log")).unwrap_or_default();
    ensure!(status.success(), "{script}: {status}\n{said}\n{}", demo::tail(&log));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_signs_in_zaps_pauses_and_signs_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let mut channels = Vec::new();
    for colour in ["red", "green", "blue"] {
        let source = Source::File(clip(root, colour).await?);
        channels.push(Channel { video: (320, 180, 300), ..Channel::new(colour, source) });
    }
    let mut stage = Stage::set(Plan {
        channels,
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.1.251")],
        headend_feeds_viewers: false,
    })
    .await?;
    drive("drive.py", root, &stage, &[], LIMIT).await?;
    stage.strike().await
}

/// No test: takes the pictures of the documentation (`make pictures`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes pictures for the documentation"]
async fn pictures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = demo::clip().context("make clip")?.canonicalize()?;
    let channel = |id: &str, name: &str, source, video| Channel {
        name: name.into(),
        video,
        ..Channel::new(id, source)
    };
    let mut stage = Stage::set(Plan {
        channels: vec![
            channel("meadow", "Meadow TV", Source::File(clip), (854, 480, 1200)),
            channel("test", "Test picture", Source::Test, (640, 360, 800)),
            channel("city", "City One", Source::Test, (160, 90, 100)),
            channel("sport", "Sport Mountain", Source::Test, (160, 90, 100)),
        ],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    let headend = stage.headend.pid().context("the headend runs")?.to_string();
    let more = [out.as_path(), stage.folder(), Path::new(&headend)];
    drive("pictures.py", folder.path(), &stage, &more, LIMIT).await?;
    stage.strike().await
}

/// No test: measures the window (`make measure-window`). What is measured is in `PART`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, which takes minutes and a machine of its own"]
async fn measurements() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = demo::clip().context("make clip")?.canonicalize()?;
    // Encoded once, so that the headend's encoder takes nothing from what is measured.
    let encoded = folder.path().join("clip.ts");
    let made = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(&clip)
        .args("-vf scale=1280:720 -r 25 -c:v libx264 -preset veryfast -b:v 2300k -maxrate 2500k -bufsize 2500k".split(' '))
        .args("-g 25 -keyint_min 25 -sc_threshold 0 -bf 0 -c:a aac -b:a 128k -ac 2 -f mpegts".split(' '))
        .arg(&encoded)
        .stdin(Stdio::null())
        .status()
        .await?;
    ensure!(made.success(), "ffmpeg: {made}");
    let channel = |id: &str| Channel::pass_through(id, Source::File(encoded.clone()));
    let mut stage = Stage::set(Plan {
        channels: vec![channel("one"), channel("two")],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let part = std::env::var("PART").unwrap_or_else(|_| "zap,play,start".into());
    drive("measure.py", folder.path(), &stage, &[Path::new(&part)], LONG).await?;
    stage.strike().await
}
