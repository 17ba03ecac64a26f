//! Clips made by ffmpeg.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes 20 s of a small picture of noise, which no encoder makes small, and a tone to `path`.
///
/// # Errors
/// If ffmpeg is missing or fails.
pub async fn noise(path: &Path) -> Result<()> {
    let status = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25,noise=alls=90:allf=t"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-g", "25"])
        .args(["-c:a", "aac", "-b:a", "128k", "-f", "mp4"])
        .arg(path)
        .status()
        .await
        .context("run ffmpeg")?;
    anyhow::ensure!(status.success(), "ffmpeg made no clip");
    Ok(())
}

/// Writes 20 s of generated picture and sound in a constant bit rate (Mbit/s, all together) to `path`.
///
/// # Errors
/// If ffmpeg is missing or fails.
pub async fn constant_rate(path: &Path, mbit: u32) -> Result<()> {
    let video = format!("{}k", mbit * 1000 - 400);
    let buffer = format!("{}k", mbit * 225);
    let status = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-nal-hrd", "cbr"])
        .args(["-b:v", &video, "-minrate", &video, "-maxrate", &video, "-bufsize", &buffer])
        .args(["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "0"])
        .args(["-c:a", "aac", "-b:a", "128k", "-f", "mpegts"])
        .arg(path)
        .status()
        .await
        .context("run ffmpeg")?;
    anyhow::ensure!(status.success(), "ffmpeg made no clip");
    Ok(())
}
