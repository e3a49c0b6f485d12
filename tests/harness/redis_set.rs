//! Redis as people run it: behind sentinels or as a Cluster, with TLS and ACL.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use super::{ports, setup};

/// How it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Standalone,
    Sentinel,
    Cluster,
}

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The machine's own; Debian 12 has 7.0.
    Machine,
    /// Redis 8, of `make setup-all`.
    Eight,
}

/// Servers, as `tests/redis/serve` starts them and names them; stopped when dropped.
pub(crate) struct RedisSet {
    form: Form,
    ports: Vec<u16>,
    folder: PathBuf,
    keeper: Child,
    /// Taken at the end: then the keeper ends, and all servers before it.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl RedisSet {
    /// Starts them, and waits until all are there.
    pub(crate) fn start(form: Form, version: Version) -> Self {
        Self::start_with(form, version, &[])
    }

    /// The same with these lines more in the configuration of each server.
    pub(crate) fn start_with(form: Form, version: Version, lines: &[&str]) -> Self {
        let (name, count) = match form {
            Form::Standalone => ("standalone", 1),
            Form::Sentinel => ("sentinel", 6),
            Form::Cluster => ("cluster", 12),
        };
        let ports: Vec<u16> = (0..count).map(|_| ports::free().port()).collect();
        let dir = TempDir::with_prefix("chatcluster-redis-").expect("a folder for redis");
        let folder = dir.path().join("set");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(tests.join("redis/serve"));
        command.arg(name).arg(&folder).args(ports.iter().map(u16::to_string)).env("REDIS_LINES", lines.join("\n"));
        if version == Version::Eight {
            command.env("REDIS_SERVER", setup::find("debian-13", &["redis-server"]));
        }
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tests/redis/serve");
        let input = keeper.stdin.take();
        let mut output = BufReader::new(keeper.stdout.take().expect("its output"));
        assert_eq!(line(&mut output), "ready", "tests/redis/serve {name}");
        Self { form, ports, folder, keeper, input, output, _dir: dir }
    }

    /// What a node needs to reach it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let hosts = |ports: &mut dyn Iterator<Item = &u16>| {
            ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
        };
        let url = match self.form {
            Form::Standalone => format!("rediss://{}", hosts(&mut self.ports.iter())),
            Form::Sentinel => format!("rediss-sentinel://{}", hosts(&mut self.ports[3..].iter())),
            Form::Cluster => format!("rediss-cluster://{}", hosts(&mut self.ports.iter().step_by(2).take(3))),
        };
        let file = |name: &str| self.folder.join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.crt"), file("client.crt"), file("client.key"));
        let mut flags = vec![
            ["--redis-url", &url],
            ["--redis-username", "chat"],
            ["--redis-password", "secret"],
            ["--redis-ca-file", &ca],
            ["--redis-cert-file", &certificate],
            ["--redis-key-file", &key],
        ];
        if self.form == Form::Sentinel {
            flags.extend([
                ["--redis-sentinel-master", "chat"],
                ["--redis-sentinel-username", "chat"],
                ["--redis-sentinel-password", "watch"],
            ]);
        }
        flags.concat().into_iter().map(str::to_owned).collect()
    }

    /// The port of a server, by its name.
    pub(crate) fn port(&self, name: &str) -> u16 {
        let place = usize::from(name.as_bytes()[0] - b'a');
        self.ports[if self.form == Form::Cluster { 2 * place } else { place }]
    }

    /// Has the keeper do something: see `tests/redis/serve`. What it says meanwhile.
    pub(crate) fn tell(&mut self, order: &str) -> Vec<String> {
        writeln!(self.input.as_ref().expect("it runs"), "{order}").expect("it takes an order");
        std::iter::repeat_with(|| line(&mut self.output)).take_while(|line| line != "done").collect()
    }
}

impl Drop for RedisSet {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.keeper.wait();
    }
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(output.read_line(&mut line).expect("a line") > 0, "tests/redis/serve ended");
    line.trim_end().to_owned()
}
