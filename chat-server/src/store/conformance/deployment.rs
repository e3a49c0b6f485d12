//! A deployment of Redis in some topology. The tests of this process share it, each with a prefix of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

use crate::store::redis::{RedisConfig, TlsFiles};

/// How it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topology {
    Standalone,
    Sentinel,
    Cluster,
}

/// Which server: the redis-server of the machine (Debian 12 has 7.0), or one of Debian 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Seven,
    Eight,
    Valkey,
}

impl Version {
    /// The program, if it is not the machine's own.
    fn program(self) -> Option<String> {
        let name = match self {
            Self::Seven => return None,
            Self::Eight => "redis-server",
            Self::Valkey => "valkey-server",
        };
        // Whatever machine this is: on a fresh one, `make test` has no such server.
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        assert!(test.contains("platform::"), "{test} needs {name}, and so a module `platform`: see tests/platform.rs");
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/setup/debian-13");
        let found = Command::new(setup).args(["--find", name]).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr).trim_end());
        Some(String::from_utf8(found.stdout).unwrap().trim().to_owned())
    }
}

/// Servers with TLS and ACL, as `tests/redis/serve` starts them. They end with this process: then
/// the input of their keeper does.
pub(super) struct Deployment {
    topology: Topology,
    folder: PathBuf,
    ports: Vec<u16>,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    process: Child,
    /// Taken at the end: then the keeper ends, too.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Deployment {
    /// The one of this process.
    pub(super) fn shared(topology: Topology, version: Version) -> &'static Self {
        static SETS: [OnceLock<Deployment>; 9] = [const { OnceLock::new() }; 9];
        SETS[topology as usize * 3 + version as usize].get_or_init(|| Self::start(topology, version))
    }

    /// One of a test's own. Ends when dropped.
    pub(super) fn start(topology: Topology, version: Version) -> Self {
        // Somebody else may have taken a port in the meantime.
        let started = (0..5).find_map(|_| Self::try_start(topology, version));
        started.expect("no Redis starts: see what tests/redis/serve says")
    }

    fn try_start(topology: Topology, version: Version) -> Option<Self> {
        let (name, ports) = match topology {
            Topology::Standalone => ("standalone", 1),
            Topology::Sentinel => ("sentinel", 6),
            Topology::Cluster => ("cluster", 12),
        };
        let taken: Vec<_> = (0..ports).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = taken.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(taken);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // Removed by the keeper, because it outlives what this process can drop.
        let folder = TempDir::new().unwrap().keep();
        let mut command = Command::new(root.join("tests/redis/serve"));
        command.arg(name).arg(&folder).args(ports.iter().map(u16::to_string));
        command.envs(version.program().map(|program| ("REDIS_SERVER", program)));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut keeper =
            Keeper { input: process.stdin.take(), output: BufReader::new(process.stdout.take().unwrap()), process };
        if keeper.line() != "ready" {
            return None;
        }
        Some(Self { topology, folder, ports, keeper: Mutex::new(keeper) })
    }

    /// As the chat reaches it, under a prefix that no other test has.
    pub(super) fn config(&self) -> RedisConfig {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let host = |port: &u16| format!("127.0.0.1:{port}");
        let (url, sentinels) = match self.topology {
            Topology::Standalone => (format!("rediss://{}", host(&self.ports[0])), false),
            Topology::Sentinel => {
                let sentinels: Vec<_> = self.ports[3..].iter().map(host).collect();
                (format!("rediss-sentinel://{}", sentinels.join(",")), true)
            }
            Topology::Cluster => {
                let some: Vec<_> = self.ports.iter().step_by(2).take(3).map(host).collect();
                (format!("rediss-cluster://{}", some.join(",")), false)
            }
        };
        let of_sentinels = |value: &str| sentinels.then(|| value.to_owned());
        let file = |name: &str| self.folder.join(name);
        RedisConfig {
            username: Some("chat".to_owned()),
            password: Some("secret".to_owned()),
            sentinel_master: of_sentinels("chat"),
            sentinel_username: of_sentinels("chat"),
            sentinel_password: of_sentinels("watch"),
            tls: TlsFiles { ca: Some(file("ca.crt")), client: Some((file("client.crt"), file("client.key"))) },
            key_prefix: format!("chat:{}:", NEXT.fetch_add(1, Ordering::Relaxed)),
            ..RedisConfig::new(&url)
        }
    }

    /// Has the keeper carry out a line; answers what was said.
    pub(super) fn tell(&self, line: &str) -> Vec<String> {
        let mut keeper = self.keeper.lock().unwrap();
        writeln!(keeper.input.as_ref().unwrap(), "{line}").unwrap();
        std::iter::repeat_with(|| keeper.line()).take_while(|line| line != "done").collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        keeper.input = None;
        let _ = keeper.process.wait();
    }
}

impl Keeper {
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0 || line.is_empty());
        line.trim_end().to_owned()
    }
}
