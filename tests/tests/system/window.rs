//! The viewer's window before a real platform, driven by what a screen reader is told, by keys and by the mouse
//! (`tests/ui/drive.py`), on a display and a session bus of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use demo::{Channel, Plan, Repeater, Source, Stage};
use system_tests::street::{Kind, Street};
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

/// Where cargo put a program: above the test's own.
fn built(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    found.into_iter().find(|path| path.is_file()).with_context(|| format!("{name} is not built"))
}

/// The program whose window is looked at: what was built, or what `BRAIDCAST_PROGRAM` names.
fn program() -> Result<PathBuf> {
    std::env::var_os("BRAIDCAST_PROGRAM").map_or_else(|| built("braidcast"), |path| Ok(path.into()))
}

/// Where a script runs.
enum Place<'a> {
    /// On the platform's machine.
    Here,
    /// In this network namespace.
    Home(&'a str),
}

/// Runs one of the scripts of `tests/ui` on a display and a session bus of its own: with the program, how to sign in, the
/// state folder in `root`, and `more`. What it says is printed as it comes; what it asks of the stage is done.
async fn drive(
    script: &str,
    place: Place<'_>,
    root: &Path,
    stage: &mut Stage,
    more: &[&Path],
    limit: Duration,
) -> Result<()> {
    let state = root.join("state");
    std::fs::create_dir(&state)?;
    let bind = match place {
        // In the repeaters' network.
        Place::Here => "127.0.1.20:0",
        Place::Home(_) => "0.0.0.0:0",
    };
    std::fs::write(
        state.join("client.toml"),
        format!("[network]\nbind = \"{bind}\"\n[local]\nlisten = \"127.0.0.1:0\"\n"),
    )?;
    let display = Display::start().await?;
    let mut driver = match place {
        Place::Here => Command::new("dbus-run-session"),
        Place::Home(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, "dbus-run-session"]);
            command
        }
    };
    // The distribution's Python: it has the bindings.
    let mut driver = driver
        .args(["--", "/usr/bin/python3"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("ui").join(script))
        .arg(program()?)
        .args([&stage.auth_url(), demo::USER, demo::PASSWORD])
        .arg(&state)
        .args(more)
        .env("AUTH", built("braidcast-auth")?)
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
            match line.strip_prefix("stage: ") {
                Some(wish) => grant(stage, wish).await.with_context(|| wish.to_owned())?,
                None => println!("{line}"),
            }
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

/// Does what a script asks of the platform.
async fn grant(stage: &mut Stage, wish: &str) -> Result<()> {
    match wish {
        "kill headend" => stage.headend.kill().await,
        "start headend" => stage.headend.restart().await?,
        "kill platform" => {
            stage.auth.kill().await;
            stage.rendezvous.kill().await;
        }
        "start platform" => {
            stage.auth.restart().await?;
            stage.rendezvous.restart().await?;
        }
        "revoke sessions" => {
            let said =
                stage.administer(&["session", "list", "--user", demo::USER, "--json"]).await?;
            let json = said.find('[').map(|at| &said[at..]).context("a list of sessions")?;
            let sessions: Vec<serde_json::Value> = serde_json::from_str(json)?;
            for session in sessions {
                let id = session["id"].as_str().context("a session has an id")?;
                stage.administer(&["session", "revoke", id]).await?;
            }
        }
        wish => bail!("nobody knows how to do that: {wish}"),
    }
    Ok(())
}

/// Runs a script before three channels: red, green and blue.
async fn before_three_channels(script: &str) -> Result<()> {
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
    let platform = stage.folder().to_owned();
    drive(script, Place::Here, root, &mut stage, &[&platform], LIMIT).await?;
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_signs_in_zaps_pauses_and_signs_out() -> Result<()> {
    before_three_channels("drive.py").await
}

/// Every control has a name for screen readers and is reached by keys (`tests/ui/audit.py`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_keys() -> Result<()> {
    before_three_channels("audit.py").await
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
    let pictures = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    let out = std::env::var_os("OUT").map_or_else(pictures, PathBuf::from);
    let headend = stage.headend.pid().context("the headend runs")?.to_string();
    let platform = stage.folder().to_owned();
    let more = [out.as_path(), &platform, Path::new(&headend)];
    drive("pictures.py", Place::Here, folder.path(), &mut stage, &more, LIMIT).await?;
    stage.strike().await
}

/// No test: tries what may go wrong and says what the viewer reads then (`make failures`). Needs network namespaces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and says what it saw to people"]
async fn failures() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = demo::clip().context("make clip")?.canonicalize()?;
    let (street, homes) =
        Street::new("f", &[Kind::PortRestricted]).map_err(|why| anyhow::anyhow!("{why}"))?;
    let servers = &street.servers;
    let plan = Plan {
        channels: vec![Channel {
            name: "Meadow TV".into(),
            video: (640, 360, 1000),
            ..Channel::new("meadow", Source::File(clip))
        }],
        repeaters: vec![
            Repeater::at(&servers.ip.to_string()),
            Repeater::at(&servers.ip.to_string()),
        ],
        headend_feeds_viewers: false,
    };
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let out = std::env::var_os("OUT").map_or_else(|| folder.path().join("seen"), PathBuf::from);
    let home = Place::Home(&homes[0].namespace);
    drive("failures.py", home, folder.path(), &mut stage, &[&out], LIMIT).await?;
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
    drive("measure.py", Place::Here, folder.path(), &mut stage, &[Path::new(&part)], LONG).await?;
    stage.strike().await
}
