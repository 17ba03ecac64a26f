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

/// The width that pictures are scaled to before they are compared.
const WIDTH: usize = 160;
/// The height.
const HEIGHT: usize = 90;

/// The brightness of each frame of a stream, 160x90.
pub struct Luma(Vec<u8>);

impl Luma {
    /// Decodes `ts`.
    ///
    /// # Errors
    /// If ffmpeg finds anything wrong with it.
    pub fn of(ts: &Path) -> Result<Self> {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "warning", "-i"])
            .arg(ts)
            .args(["-map", "0:v:0", "-fps_mode", "passthrough"])
            .args(["-vf", &format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray")])
            .args(["-f", "rawvideo", "-"])
            .output()
            .context("run ffmpeg")?;
        let said = complaints(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "ffmpeg on {}: {said}", ts.display());
        Ok(Self(output.stdout))
    }

    /// How many frames.
    pub fn len(&self) -> usize {
        self.0.len() / (WIDTH * HEIGHT)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn frame(&self, i: usize) -> &[u8] {
        &self.0[i * WIDTH * HEIGHT..][..WIDTH * HEIGHT]
    }

    /// Peak signal-to-noise ratio, dB, against `whole` played in a loop from the place that fits best, frame by
    /// frame in order: one frame that is missing puts all that follow out of step. Where the loop begins anew, the
    /// last frame may stand a little longer, since sound and picture are not of equal length.
    pub fn psnr_in_loop(&self, whole: &Self) -> Option<f64> {
        if self.is_empty() || whole.is_empty() {
            return None;
        }
        let error = |i: usize, at: usize| -> u64 {
            let pairs = self.frame(i).iter().zip(whole.frame(at % whole.len()));
            pairs.map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum()
        };
        // Stretches of equal frames leave several places that fit alike at first: the whole way decides.
        let spread =
            |start: usize| (0..self.len().min(100)).step_by(10).map(move |i| (i, start + i));
        let mut starts: Vec<usize> = (0..whole.len()).collect();
        starts.sort_by_cached_key(|&start| spread(start).map(|(i, at)| error(i, at)).sum::<u64>());
        let walk = |start: usize| -> u64 {
            let (mut at, mut squares) = (start, 0);
            for i in 0..self.len() {
                let (next, same) = (error(i, at), error(i, at + whole.len() - 1));
                if at.is_multiple_of(whole.len()) && i > 0 && same < next {
                    squares += same;
                } else {
                    squares += next;
                    at += 1;
                }
            }
            squares
        };
        let squares = starts.into_iter().take(6).map(walk).min()?;
        let mean = squares as f64 / (self.len() * WIDTH * HEIGHT) as f64;
        Some(10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10())
    }
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
