//! A real `redis-server`, set up as docker-compose.yml does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::ports;
use crate::process::Process;

/// The running server.
pub(crate) struct Redis {
    addr: SocketAddr,
    folder: PathBuf,
    core: usize,
    pub(crate) process: Process,
    /// Whether it was stopped in the middle of what it did.
    is_stopped: bool,
}

impl Redis {
    /// Starts an empty one on a core, with its files in this folder.
    pub(crate) fn start(folder: &Path, core: usize) -> anyhow::Result<Self> {
        let files = folder.join("redis");
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files).with_context(|| files.display().to_string())?;
        let addr = ports::free();
        let process = start(addr, folder, core)?;
        Ok(Self { addr, folder: folder.to_owned(), core, process, is_stopped: false })
    }

    /// Is away from now on: killed, or stopped with its connections open.
    pub(crate) fn leave(&mut self, is_killed: bool) -> anyhow::Result<()> {
        if is_killed {
            self.process.kill();
            return Ok(());
        }
        self.is_stopped = true;
        self.process.signal(Signal::STOP)
    }

    /// Is there again, with all it had.
    pub(crate) fn come_back(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_stopped) {
            return self.process.signal(Signal::CONT);
        }
        self.process = start(self.addr, &self.folder, self.core)?;
        Ok(())
    }

    /// Where the servers find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// How many commands it has carried out, by their names.
    pub(crate) fn commands(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let answer = ask(self.addr, &["INFO", "commandstats"])?;
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        Ok(answer.lines().filter_map(line).collect())
    }
}

/// Starts one with the files that are in this folder, and waits until it answers.
fn start(addr: SocketAddr, folder: &Path, core: usize) -> anyhow::Result<Process> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &addr.port().to_string(), "--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
        .arg("--dir")
        .arg(folder.join("redis"));
    let mut process = Process::start("redis-server", core, &folder.join("redis.log"), &command)?;
    process.wait_until("it answers PING", |_| ask(addr, &["PING"]).is_ok_and(|answer| answer == "PONG"))?;
    Ok(process)
}

/// Asks for a text, on a connection of its own.
fn ask(addr: SocketAddr, command: &[&str]) -> anyhow::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(addr).context("redis takes connections")?);
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    if let Some(length) = line.strip_prefix('$') {
        let mut text = vec![0; length.parse::<usize>().context("a length")?];
        stream.read_exact(&mut text)?;
        return Ok(String::from_utf8_lossy(&text).into_owned());
    }
    match line.strip_prefix('+') {
        Some(answer) => Ok(answer.to_owned()),
        None => bail!("redis answers {} with {line}", command[0]),
    }
}
