//! A real `redis-server` that can be killed, paused and started again.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ports, signal, until};

/// One `redis-server`, on a loopback port and in a folder of its own; stopped when dropped.
pub(crate) struct Redis {
    addr: SocketAddr,
    dir: PathBuf,
    child: Option<Child>,
}

impl Redis {
    /// Chooses where it will be, without starting it.
    pub(crate) fn reserved(dir: &Path) -> Self {
        let dir = dir.join("redis");
        std::fs::create_dir_all(&dir).expect("a folder for redis");
        Self { addr: ports::free(), dir, child: None }
    }

    /// What to pass as `--redis-url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// Starts it, or starts it again with what its append-only file holds, and waits until it answers.
    pub(crate) async fn start(&mut self) {
        assert!(self.child.is_none(), "this redis runs already");
        let log = self.log_file();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.addr.port().to_string()])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--daemonize", "no", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start `redis-server` ({error}): install Debian's package `redis-server`")
            });
        self.child = Some(child);
        let addr = self.addr;
        until("redis-server answers PING", || async move {
            let mut stream = TcpStream::connect(addr).await.ok()?;
            stream.write_all(b"PING\r\n").await.ok()?;
            let mut answer = [0_u8; 7];
            stream.read_exact(&mut answer).await.ok()?;
            (&answer == b"+PONG\r\n").then_some(())
        })
        .await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Stopping what has ended already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        signal(self.pid(), "STOP");
    }

    /// Lets it go on, with whatever waits in its sockets.
    pub(crate) fn go_on(&self) {
        signal(self.pid(), "CONT");
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("redis runs").id()
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.dir.join("redis.log")).expect("the log of redis")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
