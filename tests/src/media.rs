//! Received transport streams, judged by decoding them with ffmpeg.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Decodes the picture; one hash per frame, in order.
///
/// # Errors
/// If ffmpeg finds anything wrong with the stream.
pub fn frame_hashes(ts: &Path) -> Result<Vec<String>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-i"])
        .arg(ts)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .context("run ffmpeg")?;
    let said = complaints(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "ffmpeg on {}: {said}", ts.display());
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect())
}

/// Decodes the sound.
///
/// # Errors
/// If ffmpeg finds anything wrong with it, or there is none.
pub fn sound_decodes(ts: &Path) -> Result<()> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-i"])
        .arg(ts)
        .args(["-map", "0:a:0", "-f", "null", "-"])
        .output()
        .context("run ffmpeg")?;
    let said = complaints(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "ffmpeg on {}: {said}", ts.display());
    Ok(())
}

/// What ffmpeg says that concerns the stream. A recording that begins and ends in the middle of things is
/// no fault: the last frame of sound may be cut.
fn complaints(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr).trim().to_owned()
}

/// Where `part` lies in `whole` repeated without end, as an offset into `whole`.
pub fn position_in_loop(part: &[String], whole: &[String]) -> Option<usize> {
    if part.is_empty() || whole.is_empty() {
        return None;
    }
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, hash) in whole.iter().enumerate() {
        places.entry(hash).or_default().push(place);
    }
    places.get(part[0].as_str())?.iter().copied().find(|&start| {
        part.iter().enumerate().all(|(i, hash)| *hash == whole[(start + i) % whole.len()])
    })
}

/// Peak signal-to-noise ratio of two pictures' streams of equal length, mean over frames, dB.
///
/// # Errors
/// If ffmpeg cannot compare them.
pub fn psnr(a: &Path, b: &Path, filter: &str) -> Result<f64> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "info", "-i"])
        .arg(a)
        .arg("-i")
        .arg(b)
        .args(["-lavfi", filter, "-f", "null", "-"])
        .output()
        .context("run ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines()
        .rev()
        .find_map(|line| line.split_once("average:")?.1.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("ffmpeg gave no PSNR: {said}"))
}

/// Makes a clip as the headend passes it through: H.264 with a random access point each second, and AAC, in
/// MPEG-TS, `seconds` long, from `source` if that is a file, else from a generated picture with sound.
///
/// # Errors
/// If ffmpeg cannot.
pub fn make_clip(source: Option<&Path>, seconds: u32, ts: &Path) -> Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]);
    match source {
        Some(file) => {
            command.arg("-i").arg(file);
        }
        None => {
            command.args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"]);
            command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
        }
    }
    let status = command
        .args(["-t", &seconds.to_string(), "-vf", "scale=640:360,fps=25"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k"])
        .args(["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "0"])
        .args(["-c:a", "aac", "-ac", "2", "-b:a", "128k", "-f", "mpegts"])
        .arg(ts)
        .status()
        .context("run ffmpeg")?;
    ensure!(status.success(), "ffmpeg made no clip");
    Ok(())
}
