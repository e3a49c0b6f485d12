//! Processes that are pinned to a core, weighed, and surely stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at what sends no event.
const INTERVAL: Duration = Duration::from_millis(10);

/// What the kernel counts the CPU time of a process in; the same on all its architectures.
const TICKS_PER_SECOND: f64 = 100.0;

/// Takes the second core that this process may use for itself; the first is for the servers.
pub(crate) fn take_core() -> anyhow::Result<usize> {
    let allowed = sched_getaffinity(None).context("which cores there are")?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let (Some(servers), Some(clients)) = (cores.next(), cores.next()) else {
        bail!("two cores are needed: one for the servers, one for the clients");
    };
    let mut own = CpuSet::new();
    own.set(clients);
    sched_setaffinity(None, &own).context("to stay on one core")?;
    Ok(servers)
}

/// Seconds that all cores together were busy so far, whoever with.
pub(crate) fn busy_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    // User, nice, system, then idle and waiting for disks, then interrupts of two kinds and what other machines took.
    let [user, nice, system, _, _, hard, soft, stolen, ..] = ticks[..] else { bail!("/proc/stat: {stat}") };
    Ok((user + nice + system + hard + soft + stolen) / TICKS_PER_SECOND)
}

/// A running process; killed when dropped, and also when this process dies of whatever.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program on a core. What it prints goes to a file.
    pub(crate) fn start(name: &str, core: usize, log: &Path, program: &Command) -> anyhow::Result<Self> {
        let out = File::create(log).with_context(|| log.display().to_string())?;
        // Both put the program in their own place, so that its process id is the child's.
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string(), "setpriv", "--pdeathsig", "KILL"]);
        command.arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("a second handle of the log")?)
            .stderr(out)
            .spawn()
            .context("the program `taskset`, of Debian's package util-linux")?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Waits until this is so; an error if the process ends before.
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before {what}: {}", self.name, self.last_lines());
            }
            if Instant::now() > end {
                bail!("{}: waited {PATIENCE:?} in vain: {what}: {}", self.name, self.last_lines());
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }

    /// Waits until it has printed this line.
    pub(crate) fn wait_for_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.wait_until(line, |own| own.printed().lines().any(|printed| printed == line))
    }

    fn printed(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of what it printed.
    pub(crate) fn last_lines(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU that it used so far, all its threads together.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The name, which may hold anything, is in the last parentheses.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = |field: usize| after.split(' ').nth(field).and_then(|ticks| ticks.parse::<f64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { bail!("{}: {stat}", self.name) };
        Ok((user + system) / TICKS_PER_SECOND)
    }

    /// KiB of memory that it has in use.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
        kib.with_context(|| format!("{}: {status}", self.name))
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(path).with_context(|| format!("{} has ended: {}", self.name, self.last_lines()))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("to signal {}", self.name))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        // Stopping what has ended already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
