//! A real `redis-server` of a test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A place for a Redis: a port and a directory; and the process, while it runs. Stopped when dropped.
pub(super) struct Server {
    program: String,
    port: u16,
    directory: TempDir,
    process: Option<Child>,
}

impl Server {
    /// A place where nothing runs yet.
    pub(super) fn absent() -> Self {
        Self::place("redis-server")
    }

    fn place(program: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { program: program.to_owned(), port, directory: TempDir::new().unwrap(), process: None }
    }

    pub(super) fn start() -> Self {
        Self::of("redis-server")
    }

    /// Starts this program.
    pub(super) fn of(program: &str) -> Self {
        let mut server = Self::place(program);
        // Somebody else may have taken the port in the meantime.
        for _ in 0..5 {
            if server.run() {
                return server;
            }
            server = Self::place(program);
        }
        panic!("redis-server did not start");
    }

    /// Runs it; what it held before is there again. Whether it answers.
    pub(super) fn run(&mut self) -> bool {
        let process = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .arg("--dir")
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("these tests need redis-server (Debian: apt install redis-server): {error}")
            });
        let process = self.process.insert(process);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if process.try_wait().unwrap().is_some() {
                self.process = None;
                return false;
            }
            if ask(self.port, "PING").is_some_and(|answer| answer == "+PONG") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Ends it at once.
    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends the process a signal, such as `STOP`: it keeps its connections, and does not answer.
    pub(super) fn send(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }

    /// The append-only files as they are now.
    pub(super) fn saved(&self) -> TempDir {
        // Every write is in the file by then: `always` would be slower, one second is not waited for.
        assert_eq!(self.ask("CONFIG SET appendfsync always"), "+OK");
        let saved = TempDir::new().unwrap();
        copy(self.directory.path(), saved.path());
        saved
    }

    /// Puts back what was [`Server::saved`]; the process must not run.
    pub(super) fn restore(&self, saved: &TempDir) {
        copy(saved.path(), self.directory.path());
    }

    /// The command that makes another a replica of this one.
    pub(super) fn replicaof(&self) -> String {
        format!("REPLICAOF 127.0.0.1 {}", self.port)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The first line of the answer to a command.
    pub(super) fn ask(&self, command: &str) -> String {
        ask(self.port, command).unwrap()
    }

    /// Changes what the head of a log says: a table of Lua, by the places of `head.lua`.
    pub(super) fn change_head(&self, fields: &str, changes: &str) -> String {
        let script = "local topology = '<ddddddddss' local head = {struct.unpack(topology, redis.call('HGET', KEYS[1], '\\xffh'))} \
                      for place, value in pairs(CHANGES) do head[place] = value end \
                      return redis.call('HSET', KEYS[1], '\\xffh', struct.pack(topology, unpack(head, 1, 10)))";
        self.ask(&format!("EVAL \"{}\" 1 {fields}", script.replace("CHANGES", changes)))
    }

    /// A number out of INFO.
    pub(super) fn info(&self, section: &str, name: &str) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("INFO {section}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-rT").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line.trim_end().to_owned())
}
