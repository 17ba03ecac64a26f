//! Clips made by ffmpeg.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes 20 s of a small picture of noise, which no encoder makes small, and a tone to `path`.
///
/// # Errors
/// If ffmpeg is missing or fails.
pub async fn noise(path: &Path) -> Result<()> {
    let coding = ["-crf", "18", "-g", "25"];
    make(path, "testsrc2=size=320x180:rate=25,noise=alls=90:allf=t", &coding, "mp4").await
}

/// Writes 20 s of generated picture and sound in a constant bit rate (Mbit/s, all together) to `path`.
///
/// # Errors
/// If ffmpeg is missing or fails.
pub async fn constant_rate(path: &Path, mbit: u32) -> Result<()> {
    let video = format!("{}k", mbit * 1000 - 400);
    let buffer = format!("{}k", mbit * 225);
    let rate = ["-b:v", &video, "-minrate", &video, "-maxrate", &video, "-bufsize", &buffer];
    let pictures = ["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "0"];
    let coding = [&["-nal-hrd", "cbr"][..], &rate, &pictures].concat();
    make(path, "testsrc2=size=1280x720:rate=25", &coding, "mpegts").await
}

/// Writes 20 s of this picture, coded so, and a tone.
async fn make(path: &Path, picture: &str, coding: &[&str], format: &str) -> Result<()> {
    let status = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(["-f", "lavfi", "-i", picture])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-t", "20", "-c:v", "libx264", "-preset", "ultrafast"])
        .args(coding)
        .args(["-c:a", "aac", "-b:a", "128k", "-f", format])
        .arg(path)
        .status()
        .await
        .context("run ffmpeg")?;
    anyhow::ensure!(status.success(), "ffmpeg made no clip");
    Ok(())
}
