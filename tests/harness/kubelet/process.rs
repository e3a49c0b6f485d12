//! The main process of a container.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use tokio::process::{Child, Command};

/// The main processes of a Pod that run, by container.
#[derive(Default)]
pub(super) struct Pids(Mutex<BTreeMap<String, u32>>);

impl Pids {
    pub(super) fn all(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn set(&self, container: &str, pid: Option<u32>) {
        let mut pids = self.0.lock().unwrap();
        match pid {
            Some(pid) => pids.insert(container.to_owned(), pid),
            None => pids.remove(container),
        };
    }
}

/// A program in its sandbox, where it is the process 1.
pub(super) struct Process {
    /// What made the sandbox, which ends with it and as it ended.
    sandbox: Child,
    /// Its id outside; nothing if it ended at once.
    pub(super) pid: Option<u32>,
}

impl Process {
    /// Starts it, and waits until the program itself is there to receive signals.
    pub(super) async fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut sandbox = command.spawn()?;
        let nsenter = sandbox.id().expect("it runs");
        let pid = loop {
            if sandbox.try_wait()?.is_some() {
                break None;
            }
            // nsenter, bubblewrap, and what is first in the sandbox: before it becomes the program, it makes that.
            let inner = child_of(nsenter).and_then(child_of);
            let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if let Some(pid) = inner.filter(|pid| !matches!(name(pid).trim(), "bwrap" | "setpriv" | ".setpriv" | "")) {
                break Some(pid);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        };
        Ok(Self { sandbox, pid })
    }

    /// Sends it a signal, if it still runs.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        if let (Some(pid), Some(_)) = (self.pid, self.sandbox.id()) {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed());
            // It may be ending just now.
            let _ = rustix::process::kill_process(pid.expect("not 0"), signal);
        }
    }

    /// Waits for its end: its exit code, 128 and the signal if it was one.
    pub(super) async fn ended(&mut self) -> i32 {
        let status: ExitStatus = self.sandbox.wait().await.expect("its status");
        // Without a code, it was the sandbox itself that was killed.
        status.code().unwrap_or(137)
    }
}

fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
