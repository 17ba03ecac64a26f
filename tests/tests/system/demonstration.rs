//! `make demo`, shorter.

use std::path::PathBuf;

use anyhow::Result;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plays_stops_by_itself_and_sums_up() -> Result<()> {
    let demo: PathBuf = std::env::current_exe()?
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("braidcast-demo"))
        .find(|path| path.is_file())
        .expect("cargo build --workspace --bins was run");
    let output = tokio::process::Command::new(demo)
        .env("DEMO_SECONDS", "12")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for part in
        ["console        http://", "local stream   http://", "stalls         0 ", "media from"]
    {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    Ok(())
}
