//! One to many real `chat-server` processes.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::redis_set::RedisSet;
use super::{BusProxy, Connect, Redis, ports, signal, until};

/// What stands between the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bus {
    /// One node with the embedded broker.
    Embedded,
    /// Nodes over a real Redis.
    Redis,
    /// Nodes over a Redis that somebody else started.
    Elsewhere,
}

/// What to start.
pub(crate) struct Plan {
    bus: Bus,
    nodes: usize,
    args: Vec<String>,
    proxied: bool,
    files: Option<usize>,
    log_level: Option<String>,
}

impl Plan {
    /// One node with the embedded broker, or two over Redis; rate limits are off unless told.
    pub(crate) fn on(bus: Bus) -> Self {
        let nodes = match bus {
            Bus::Embedded => 1,
            Bus::Redis | Bus::Elsewhere => 2,
        };
        Self { bus, nodes, args: Vec::new(), proxied: false, files: None, log_level: None }
            .flag("--messages-per-second", "0")
            .flag("--message-burst", "0")
            .flag("--changes-per-second", "0")
            .flag("--queries-per-second", "0")
            .flag("--handshakes-per-second-per-address", "0")
            .flag("--new-guests-per-second-per-address", "0")
    }

    /// Three nodes over these.
    pub(crate) fn over(redis: &RedisSet) -> Self {
        let mut plan = Self::on(Bus::Elsewhere).nodes(3);
        plan.args.extend(redis.flags());
        plan
    }

    /// So many nodes; the embedded broker has one whatever is asked.
    pub(crate) fn nodes(mut self, nodes: usize) -> Self {
        if self.bus != Bus::Embedded {
            self.nodes = nodes;
        }
        self
    }

    /// A flag for every node, in place of an earlier one of the same name.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        if let Some(at) = self.args.iter().position(|arg| arg == name) {
            value.clone_into(&mut self.args[at + 1]);
        } else {
            self.args.extend([name.to_owned(), value.to_owned()]);
        }
        self
    }

    /// Each node may open so many files.
    pub(crate) fn files(mut self, files: usize) -> Self {
        self.files = Some(files);
        self
    }

    /// Each node's `RUST_LOG`.
    pub(crate) fn log_level(mut self, level: &str) -> Self {
        self.log_level = Some(level.to_owned());
        self
    }

    /// The first node reaches Redis through [`Cluster::bus_proxy`].
    pub(crate) fn with_bus_proxy(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Starts Redis (if it is the bus) and the nodes, and waits until all are ready.
    pub(crate) async fn start(self) -> Cluster {
        let mut cluster = self.reserved();
        if let Some(redis) = &mut cluster.redis {
            redis.start().await;
        }
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for node in &mut cluster.nodes {
            node.ready().await;
        }
        cluster
    }

    /// Starts the nodes but not their Redis, and waits until they say that they live.
    pub(crate) async fn start_without_redis(self) -> Cluster {
        let mut cluster = self.reserved();
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for node in &mut cluster.nodes {
            node.answers("/livez").await;
        }
        cluster
    }

    fn reserved(self) -> Cluster {
        let dir = TempDir::with_prefix("chatcluster-").expect("a folder for the test");
        let redis = (self.bus == Bus::Redis).then(|| Redis::reserved(dir.path()));
        let bus_proxy = redis.as_ref().filter(|_| self.proxied).map(|redis| BusProxy::start(redis.addr()));
        let nodes = (0..self.nodes)
            .map(|number| {
                let mut args = self.args.clone();
                args.extend(["--node-id".to_owned(), format!("node-{number}")]);
                if let Some(redis) = &redis {
                    let proxy = bus_proxy.as_ref().filter(|_| number == 0);
                    args.extend(["--redis-url".to_owned(), proxy.map_or_else(|| redis.url(), BusProxy::url)]);
                }
                let mut node = Node::reserved(number, args, dir.path());
                node.files = self.files;
                node.env = self.log_level.clone().map(|level| ("RUST_LOG".to_owned(), level));
                node
            })
            .collect();
        Cluster { nodes, redis, bus_proxy, dir }
    }
}

/// Running nodes; stopped when dropped, and their logs shown when the test failed.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    redis: Option<Redis>,
    bus_proxy: Option<BusProxy>,
    dir: TempDir,
}

impl Cluster {
    /// A node; numbers go round, so that a scenario for three nodes runs on one.
    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number % self.nodes.len()]
    }

    /// A node to kill or to start again.
    pub(crate) fn node_mut(&mut self, number: usize) -> &mut Node {
        let count = self.nodes.len();
        &mut self.nodes[number % count]
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The Redis between the nodes.
    pub(crate) fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("this cluster has a Redis")
    }

    /// Starts its Redis again, and waits until every node takes clients. Each node finds Redis by itself, so that one
    /// that has tells nothing of the others; and `/readyz` is 200 all along, for an outage must not take all nodes out.
    pub(crate) async fn restart_redis(&mut self) {
        self.redis().start().await;
        for node in &self.nodes {
            until(&format!("{} takes clients", node.id), || Connect::bare().passes(node)).await;
        }
    }

    /// What stands between the first node and Redis.
    pub(crate) fn bus_proxy(&self) -> &BusProxy {
        self.bus_proxy.as_ref().expect("this cluster was planned with a proxy")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
        }
        if std::thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- the last lines of {} ---\n{}", node.id, tail(&node.log, 40));
            }
            if self.redis.is_some() {
                let log = self.dir.path().join("redis/redis.log");
                eprintln!("--- the last lines of redis ---\n{}", tail(&log, 10));
            }
        }
    }
}

/// One `chat-server` process.
pub(crate) struct Node {
    id: String,
    listen: SocketAddr,
    admin: SocketAddr,
    args: Vec<String>,
    program: PathBuf,
    env: Option<(String, String)>,
    files: Option<usize>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    fn reserved(number: usize, args: Vec<String>, dir: &Path) -> Self {
        Self::at(number, ports::free(), args, dir)
    }

    /// A node that will listen at this address; [`Node::restart`] starts it.
    pub(crate) fn at(number: usize, listen: SocketAddr, args: Vec<String>, dir: &Path) -> Self {
        let id = format!("node-{number}");
        let log = dir.join(format!("{id}.log"));
        Self {
            id,
            listen,
            admin: ports::free(),
            args,
            program: binary("chat-server"),
            log,
            env: None,
            files: None,
            child: None,
        }
    }

    /// The same node as another program: a `chat-server` with a bug, that a test must find.
    pub(crate) fn running(mut self, program: &Path, env: Option<(&str, &str)>) -> Self {
        program.clone_into(&mut self.program);
        self.env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self
    }

    /// Its `--node-id`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// `HOST:PORT` of the public port.
    pub(crate) fn authority(&self) -> String {
        self.listen.to_string()
    }

    /// The public port's URL, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// A URL on the admin port.
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// What a series of its metrics is now.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = reqwest::get(self.admin_url("/metrics")).await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no series {name}:\n{text}")).parse().expect("a number")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Stopping what has ended already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        signal(self.pid(), "TERM");
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
        self.child.as_ref().expect("the node runs").id()
    }

    /// The bytes of memory that it uses.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kib.expect("its memory").parse::<u64>().expect("a number") * 1024
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let id = self.id.clone();
        let child = self.child.as_mut().expect("the node was started");
        let status = {
            let child = std::sync::Mutex::new(&mut *child);
            until(&format!("{id} ends"), || async { child.lock().unwrap().try_wait().expect("its status") }).await
        };
        self.child = None;
        status
    }

    /// Starts it, again after its end at the same addresses, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.spawn();
        self.ready().await;
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.id);
        let log = self.log_file();
        let mut command = match self.files {
            Some(files) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={files}:{files}")).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHAT_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.envs(self.env.clone());
        let child = command
            .args(["--listen", &self.listen.to_string()])
            .args(["--admin-listen", &self.admin.to_string()])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        self.child = Some(child);
    }

    async fn ready(&mut self) {
        self.answers("/readyz").await;
    }

    async fn answers(&mut self, path: &str) {
        let url = self.admin_url(path);
        let id = self.id.clone();
        let log = self.log.clone();
        let child = std::sync::Mutex::new(self.child.as_mut().expect("the node was started"));
        until(&format!("{id} answers {path}"), || async {
            if let Some(status) = child.lock().unwrap().try_wait().expect("its status") {
                panic!("{id} ended at its start with {status}:\n{}", tail(&log, 40));
            }
            let answer = reqwest::get(&url).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.log).expect("the log of a node")
    }
}

/// A program of the same build: `target/<profile>/deps/suite-…` stands one folder below it.
pub(crate) fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of the test binary");
    let profile = own.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let binary = profile.join(name);
    assert!(binary.is_file(), "{} is missing: `make test` builds it", binary.display());
    binary
}

fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
