//! A contender's servers, running.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::contender::{Contender, Kind};
use crate::lifted_limits::LIFTED_LIMITS;
use crate::ports;
use crate::process::{Process, take_core};
use crate::redis::Redis;

/// What there is to start servers with.
pub(crate) struct Stage {
    /// The servers' core.
    core: usize,
    /// Where logs and Redis' files go.
    folder: PathBuf,
    /// Where the programs are that cargo built.
    programs: PathBuf,
    /// The modules that the peers on Node.js need, if they are installed.
    modules: Option<PathBuf>,
    /// Whether to say which processes were started.
    says_pids: bool,
}

/// One chat.
pub(crate) struct Servers {
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) nodes: Vec<Process>,
    redis: Option<Redis>,
}

/// What was used between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Seconds of CPU of all servers.
    pub(crate) servers: f64,
    /// Of their Redis.
    pub(crate) redis: f64,
    /// Commands that Redis carried out.
    pub(crate) commands: u64,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

impl Stage {
    /// With the programs beside this one. Logs go into `folder`.
    pub(crate) fn set(folder: &Path, says_pids: bool) -> anyhow::Result<Self> {
        let folder = folder.join("logs");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let folder = std::fs::canonicalize(&folder)?;
        let programs = std::env::current_exe()?.parent().map(Path::to_owned).context("a folder of programs")?;
        // What it installs, it installs on all cores: before this process keeps to one.
        let modules = modules();
        Ok(Self { core: take_core()?, folder, programs, modules, says_pids })
    }

    /// Why a contender can't be started here; nothing if it can.
    pub(crate) fn lacks(&self, contender: &Contender) -> Option<String> {
        let lacks = |program: &str| {
            let path = self.programs.join(program);
            (!path.exists()).then(|| format!("there is no {}", path.display()))
        };
        match contender.kind {
            Kind::Ours => lacks("chat-server"),
            Kind::Socketioxide => lacks("peer-socketioxide"),
            Kind::Node { .. } if !server_cjs().exists() => Some(format!("there is no {}", server_cjs().display())),
            Kind::Node { .. } if self.modules.is_none() => Some("its modules are not installed".to_owned()),
            Kind::Node { .. } => None,
        }
    }

    /// Starts a chat of this contender with so many processes, and waits until it takes connections.
    pub(crate) fn start(&self, contender: &Contender, processes: usize) -> anyhow::Result<Servers> {
        let redis = contender.redis.then(|| Redis::start(&self.folder, self.core)).transpose()?;
        let url = redis.as_ref().map(Redis::url);
        let mut servers = Servers { addrs: Vec::new(), nodes: Vec::new(), redis };
        for number in 0..processes {
            let addr = ports::free();
            let process = self.start_one(contender, number, addr, url.as_deref())?;
            servers.addrs.push(addr);
            servers.nodes.push(process);
        }
        if self.says_pids {
            eprintln!("bench: {}: processes {:?}", contender.name, servers.pids());
        }
        Ok(servers)
    }

    fn start_one(
        &self,
        contender: &Contender,
        number: usize,
        addr: SocketAddr,
        redis: Option<&str>,
    ) -> anyhow::Result<Process> {
        let (name, port) = (format!("{}-{number}", contender.name), addr.port().to_string());
        let log = self.folder.join(format!("{name}.log"));
        let start = |command: &Command| Process::start(&name, self.core, &log, command);
        match contender.kind {
            Kind::Ours => {
                let admin = ports::free();
                let mut command = Command::new(self.programs.join("chat-server"));
                command.args(["--listen", &addr.to_string(), "--admin-listen", &admin.to_string()]);
                command.args(["--node-id", &format!("node-{number}")]);
                // As shipped but for this.
                for flag in LIFTED_LIMITS {
                    command.args([flag, "0"]);
                }
                command.args(redis.iter().flat_map(|url| ["--redis-url", url]));
                let mut process = start(&command)?;
                process.wait_until("it is ready", |_| is_ready(admin))?;
                Ok(process)
            }
            Kind::Socketioxide => {
                let mut command = Command::new(self.programs.join("peer-socketioxide"));
                command.args(["--port", &port]);
                command.args(redis.iter().flat_map(|url| ["--redis", url]));
                let mut process = start(&command)?;
                process.wait_for_line("ready")?;
                Ok(process)
            }
            Kind::Node { engine, adapter } => {
                let mut command = Command::new("node");
                command.arg(server_cjs()).args(["--port", &port, "--engine", engine, "--adapter", adapter]);
                command.args(redis.iter().flat_map(|url| ["--redis", url]));
                if let Some(modules) = &self.modules {
                    command.env("NODE_PATH", modules);
                }
                let mut process = start(&command)?;
                process.wait_for_line("ready")?;
                Ok(process)
            }
        }
    }
}

impl Servers {
    /// What was used since they were started.
    pub(crate) fn used(&self) -> anyhow::Result<Used> {
        let mut used = Used::default();
        for node in &self.nodes {
            used.servers += node.cpu_seconds()?;
        }
        if let Some(redis) = &self.redis {
            used.redis = redis.process.cpu_seconds()?;
            used.commands = self.commands()?.iter().map(|(_, calls)| calls).sum();
        }
        Ok(used)
    }

    /// What Redis carried out so far: names of commands, and how often.
    pub(crate) fn commands(&self) -> anyhow::Result<Vec<(String, u64)>> {
        self.redis.as_ref().map_or_else(|| Ok(Vec::new()), Redis::commands)
    }

    /// The Redis between them.
    pub(crate) fn redis(&mut self) -> anyhow::Result<&mut Redis> {
        self.redis.as_mut().context("these have no Redis")
    }

    /// KiB of memory of all servers, without Redis.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        self.nodes.iter().map(Process::resident_kib).sum()
    }

    /// Their process ids, for who wants to look at them with a profiler.
    fn pids(&self) -> Vec<u32> {
        self.nodes.iter().chain(self.redis.as_ref().map(|redis| &redis.process)).map(Process::pid).collect()
    }
}

fn server_cjs() -> PathBuf {
    root().join("tests/bench/peers/node/server.cjs")
}

/// The folder of the modules for Node.js, installed first if they were not.
fn modules() -> Option<PathBuf> {
    let output = Command::new(root().join("tests/setup/bench-peers")).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    if !output.status.success() {
        eprintln!("bench: tests/setup/bench-peers: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        return None;
    }
    Some(PathBuf::from(printed.trim_end()))
}

/// Whether a node of ours says that it is ready.
fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}
