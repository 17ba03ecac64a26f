//! Who ran for how long, and where.

use std::time::Instant;

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

/// Processor time of some processes from a moment on.
pub(crate) struct Look {
    processes: Vec<u32>,
    begun: Instant,
    before: f64,
}

impl Look {
    /// From now on.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) fn begin(processes: &[u32]) -> Result<Self> {
        let mut look = Self { processes: processes.to_vec(), begun: Instant::now(), before: 0.0 };
        look.before = look.seconds()?;
        Ok(look)
    }

    /// Processor time since, seconds.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) fn seconds(&self) -> Result<f64> {
        let all = self.processes.iter().map(|&pid| seconds(pid)).sum::<Result<f64>>()?;
        Ok(all - self.before)
    }

    /// Time by the clock since, seconds.
    pub(crate) fn wall(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// The first of the second, per cent.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) fn share(&self) -> Result<f64> {
        Ok(100.0 * self.seconds()? / self.wall())
    }
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

/// The machine, for the head of the table.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = info.matches("processor\t").count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory: Option<f64> = read("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let profile = if cfg!(debug_assertions) { "development" } else { "release" };
    format!(
        "{}, {cores} cores, {:.0} GiB, Linux {}, {profile} profile",
        name.unwrap_or("unknown processor"),
        memory.unwrap_or_default() / f64::from(1 << 20),
        kernel.trim(),
    )
}

/// What others take of the machine, per cent, looked at for half a second.
pub(crate) fn others() -> Option<f64> {
    let look = || {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let times: Vec<f64> =
            stat.lines().next()?.split_whitespace().skip(1).flat_map(str::parse).collect();
        // Idle, and waiting for a disk.
        Some((times.iter().take(8).sum::<f64>(), times.get(3)? + times.get(4)?))
    };
    let (all, idle) = look()?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let (more, idler) = look()?;
    Some(100.0 * (1.0 - (idler - idle) / (more - all).max(1.0)))
}
