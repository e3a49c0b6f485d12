//! A real `redis-server` that can be killed, paused and started again.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{ports, signal, until};

/// The folder of its append-only files.
const FILES: &str = "appendonlydir";

/// A Redis that somebody else started.
pub(crate) struct RedisAt {
    pub(crate) addr: SocketAddr,
    pub(crate) password: Option<String>,
}

impl RedisAt {
    /// Asks one command on a connection of its own; lists in the answer are flat, nothing is an empty text.
    pub(crate) async fn ask(&self, command: &[&str]) -> Vec<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.addr).await.expect("redis takes connections"));
        if let Some(password) = &self.password {
            converse(&mut stream, &["AUTH", password]).await;
        }
        converse(&mut stream, command).await
    }
}

/// Sends a command, and reads the answer to it.
async fn converse(stream: &mut BufReader<TcpStream>, command: &[&str]) -> Vec<String> {
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(request.as_bytes()).await.expect("redis takes a command");
    let (mut answer, mut left) = (Vec::new(), 1_usize);
    while left > 0 {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("redis answers");
        let (kind, rest) = line.trim_end().split_at(1);
        left -= 1;
        match kind {
            "*" => left += rest.parse::<usize>().expect("a length"),
            "$" => {
                let length = rest.parse::<usize>().unwrap_or(0);
                let mut text = vec![0; if rest == "-1" { 0 } else { length + 2 }];
                stream.read_exact(&mut text).await.expect("redis answers");
                text.truncate(length);
                answer.push(String::from_utf8(text).expect("UTF-8"));
            }
            "-" => panic!("redis refuses {}: {rest}", command[0]),
            _ => answer.push(rest.to_owned()),
        }
    }
    answer
}

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
            // Never rewritten, so that a copy of the files is whole whenever it is taken.
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--auto-aof-rewrite-percentage", "0"])
            .args(["--daemonize", "no", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `redis-server` ({error}): `make setup` installs it"));
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

    /// SIGTERM, and waits for its end: nothing is lost.
    pub(crate) async fn stop(&mut self) {
        signal(self.pid(), "TERM");
        let child = std::sync::Mutex::new(self.child.take().expect("redis runs"));
        until("redis-server ends", || async { child.lock().unwrap().try_wait().expect("its status") }).await;
    }

    /// Copies what it has written so far to an empty folder.
    pub(crate) fn save_files(&self, to: &Path) {
        copy_files(&self.dir.join(FILES), to);
    }

    /// Puts what was saved in the place of what it has written since. It must not run.
    pub(crate) fn restore_files(&mut self, from: &Path) {
        assert!(self.child.is_none(), "this redis runs");
        std::fs::remove_dir_all(self.dir.join(FILES)).expect("to remove the append-only files");
        copy_files(from, &self.dir.join(FILES));
    }

    /// Removes all that it has written. It must not run.
    pub(crate) fn forget(&mut self) {
        assert!(self.child.is_none(), "this redis runs");
        std::fs::remove_dir_all(self.dir.join(FILES)).expect("to remove the append-only files");
    }

    /// The folder of its files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks one command on a connection of its own; lists in the answer are flat, nothing is an empty text.
    pub(crate) async fn ask(&self, command: &[&str]) -> Vec<String> {
        self.asked().ask(command).await
    }

    /// The same for who only asks.
    pub(crate) fn asked(&self) -> RedisAt {
        RedisAt { addr: self.addr, password: None }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
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

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder for files of redis");
    for file in std::fs::read_dir(from).expect("the files of redis") {
        let file = file.expect("a file of redis");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy of a file of redis");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
