//! Who ran for how long, and where.

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Ticks of a second in /proc/PID/stat; the same on every Linux that this runs on (USER_HZ).
const HZ: f64 = 100.0;

/// Holds all threads of a process on one core. On a machine with one core nothing happens.
///
/// # Errors
/// If the process is gone.
pub(crate) fn pin(pid: u32, core: usize) -> Result<()> {
    if std::fs::read_to_string("/proc/cpuinfo")?.matches("processor\t").count() <= core {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(core)?;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let id: i32 = task?.file_name().to_string_lossy().parse()?;
        sched_setaffinity(Pid::from_raw(id), &set)?;
    }
    Ok(())
}

/// User and system time of a process so far, seconds.
///
/// # Errors
/// If the process is gone.
pub(crate) fn seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("a name in brackets")?.1;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system) = (fields.next().context("utime")?, fields.next().context("stime")?);
    Ok((user.parse::<f64>()? + system.parse::<f64>()?) / HZ)
}

/// Resident memory of a process, bytes.
///
/// # Errors
/// If the process is gone.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("a value")?.parse()?;
    Ok(kib * 1024)
}

/// The processor's name, for the head of the table.
pub(crate) fn name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    name.unwrap_or("unknown processor").to_owned()
}
