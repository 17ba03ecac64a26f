//! The operator's console in a real browser, of a platform that is watched: `tests/ui/console.js` is the story.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use demo::{ADMIN_TOKEN, Channel, Plan, Repeater, Source, Stage, Watch};
use tokio::process::Command;

/// Generous: machines are shared.
const LONG: Duration = Duration::from_secs(400);

/// Runs a story in Chromium; `None`, with a line that says so, where there is none.
async fn story(script: &str, args: &[&str]) -> Result<Option<String>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let modules = top.join(".cache/browser/node_modules");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    if !modules.is_dir() || !Path::new(&chromium).is_file() {
        eprintln!("skipped: there is no browser (make setup-test)");
        return Ok(None);
    }
    let mut story = Command::new("node");
    story
        .arg(top.join("tests/ui").join(script))
        .args(args)
        .env("NODE_PATH", modules)
        .kill_on_drop(true);
    let output = tokio::time::timeout(LONG, story.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}\n{errors}");
    Ok(Some(said))
}

/// Where pictures go, if they are wanted.
fn pictures() -> Option<String> {
    let folder = PathBuf::from(std::env::var_os("PICTURES")?);
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.to_string_lossy().into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_and_does_everything_in_a_browser() -> Result<()> {
    let small = "[[channels.renditions]]\nname = \"small\"\nvideo = { width = 160, height = 90, bitrate_kbit = 150 }";
    let channel = Channel {
        name: "Channel one".into(),
        video: (320, 180, 400),
        more: small.into(),
        ..Channel::new("one", Source::Test)
    };
    let mut stage = Stage::set(Plan {
        channels: vec![channel],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        ..Plan::default()
    })
    .await?;
    let mut viewers = Vec::new();
    for address in ["127.0.1.11", "127.0.1.12", "127.0.1.13", "127.0.2.11", "127.0.2.12"] {
        let mut viewer = stage.watch(Watch::new(address, "one"))?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    let console = stage.console();
    let address = console.split('#').next().unwrap_or_default();
    let folder = pictures();
    let mut args = vec![address, ADMIN_TOKEN];
    args.extend(folder.as_deref());
    if let Some(said) = story("console.js", &args).await? {
        println!("{said}");
        // The one that was stopped knows it.
        let told = viewers.iter().filter(|v| v.log().contains("ended by the administrator"));
        let told = told.count();
        ensure!(told == 1, "{told} viewers were told that they were stopped");
    }
    for mut viewer in viewers {
        if !viewer.has_ended() {
            viewer.kill().await;
        }
    }
    stage.strike().await
}
