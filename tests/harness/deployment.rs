//! nginx in front of three nodes over Redis: by docker compose, or the same nginx.conf, nodes and Redis as processes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{Node, Redis, ports, setup, signal, stock, until};

/// How many nodes there are at first.
pub(crate) const NODES: usize = 3;

/// A running chat behind nginx; stopped, and forgotten, when dropped.
pub(crate) enum Deployment {
    /// Containers, as `docker-compose.yml` says.
    Compose(Compose),
    /// Processes of this machine.
    Processes(Box<Processes>),
}

impl Deployment {
    /// Starts the containers. Pages of `origin` may connect too.
    pub(crate) fn compose(origin: &str) -> Self {
        Self::Compose(Compose::start(origin))
    }

    /// Starts the processes. Pages of `origin` may connect too.
    pub(crate) async fn processes(origin: &str) -> Self {
        Self::Processes(Box::new(Processes::start(origin).await))
    }

    /// Where the chat is.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Compose(compose) => format!("http://127.0.0.1:{}", compose.port),
            Self::Processes(processes) => processes.url(),
        }
    }

    /// `kill -9` for the node of that id.
    pub(crate) fn kill(&mut self, node: &str) {
        match self {
            Self::Compose(compose) => compose.kill(node),
            Self::Processes(processes) => processes.kill(node),
        }
    }

    /// SIGTERM for the node of that id, and a start after its end; waits until it is ready.
    pub(crate) async fn restart(&mut self, node: &str) {
        match self {
            Self::Compose(compose) => compose.restart(node),
            Self::Processes(processes) => processes.restart(node).await,
        }
    }

    /// Makes it so many nodes, and waits until the new ones are ready.
    pub(crate) async fn scale(&mut self, nodes: usize) {
        match self {
            Self::Compose(compose) => compose.scale(nodes),
            Self::Processes(processes) => processes.scale(nodes).await,
        }
    }

    /// Ends it; nothing of it may be left.
    pub(crate) fn stop(mut self) {
        match &mut self {
            Self::Compose(compose) => compose.down(),
            Self::Processes(processes) => processes.stop(),
        }
    }
}

/// A project of docker compose.
pub(crate) struct Compose {
    project: String,
    port: u16,
    origin: String,
    up: bool,
}

impl Compose {
    /// Why there can be no containers here.
    pub(crate) fn missing() -> Option<String> {
        for args in [&["version"][..], &["compose", "version"]] {
            // An engine that does not answer would be waited for without end.
            let output = Command::new("timeout").arg("20").arg("docker").args(args).stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let complaint = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
                    return Some(format!("`docker {}` says: {complaint}", args.join(" ")));
                }
                Err(error) => return Some(format!("`docker {}`: {error}", args.join(" "))),
            }
        }
        None
    }

    fn start(origin: &str) -> Self {
        // Scenarios run side by side in one process: each has a project of its own.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let project = format!("chatcluster-test-{}-{number}", std::process::id());
        let mut compose = Self { project, port: ports::free().port(), origin: origin.to_owned(), up: true };
        compose.run(&["up", "--build", "--detach", "--wait", "--quiet-pull"]);
        compose
    }

    fn command(&self, args: &[&str]) -> Output {
        Command::new("docker")
            .args(["compose", "--project-name", &self.project, "--progress", "quiet"])
            .args(args)
            .current_dir(stock::source(".."))
            .env("CHAT_PORT", self.port.to_string())
            .env("CHAT_ALLOWED_ORIGINS", &self.origin)
            // Clients of many networks are played by this machine, which nginx sees as the network's gateway.
            .env("NGINX_REAL_IP_FROM", "0.0.0.0/0")
            .stdin(Stdio::null())
            .output()
            .expect("the program `docker`")
    }

    fn run(&mut self, args: &[&str]) -> String {
        let output = self.command(args);
        if !output.status.success() {
            let logs = self.command(&["logs", "--tail", "30"]);
            panic!(
                "docker compose {} ended with {}:\n{}\n{}",
                args.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&logs.stdout)
            );
        }
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn kill(&mut self, node: &str) {
        let container = self.container(node);
        docker(&["kill", &container]);
    }

    fn restart(&mut self, node: &str) {
        let container = self.container(node);
        docker(&["restart", "--time", "60", &container]);
        self.run(&["up", "--detach", "--wait", "--no-recreate"]);
    }

    fn container(&mut self, node: &str) -> String {
        let containers = self.run(&["ps", "--quiet", "chat-server"]);
        let said = format!("\"node\":\"{node}\"");
        let container = containers.lines().find(|container| {
            let logs = Command::new("docker").args(["logs", container]).output().expect("the program `docker`");
            String::from_utf8_lossy(&logs.stdout).contains(&said)
        });
        container.unwrap_or_else(|| panic!("no container says that it is {node}")).to_owned()
    }

    fn scale(&mut self, nodes: usize) {
        let scale = format!("chat-server={nodes}");
        self.run(&["up", "--detach", "--wait", "--no-recreate", "--scale", &scale]);
    }

    fn down(&mut self) {
        self.run(&["down", "--volumes"]);
        let left = self.run(&["ps", "--all", "--quiet"]);
        assert_eq!(left, "", "nothing is left after `docker compose down`");
        self.up = false;
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if self.up {
            let logs = self.command(&["logs", "--tail", "30", "chat-server", "nginx"]);
            eprintln!("{}", String::from_utf8_lossy(&logs.stdout));
            // The test has failed already; what can be removed is.
            let _ = self.command(&["down", "--volumes", "--timeout", "2"]);
        }
    }
}

/// What the compose file starts, without containers. Nodes have an address each and a port in common, as containers do,
/// and a name server that tells of them, as Docker's does.
pub(crate) struct Processes {
    nginx_at: SocketAddr,
    nodes: Vec<Node>,
    args: Vec<String>,
    node_port: u16,
    hosts: PathBuf,
    dnsmasq: Service,
    nginx: Option<Service>,
    _redis: Redis,
    dir: TempDir,
}

impl Processes {
    /// Starts them. Pages of `origin` may connect too.
    pub(crate) async fn start(origin: &str) -> Self {
        Self::start_with(origin, &[]).await
    }

    /// Starts them, the nodes with more flags.
    pub(crate) async fn start_with(origin: &str, flags: &[&str]) -> Self {
        let dir = TempDir::with_prefix("chatcluster-").expect("a folder for the test");
        // Started by root, nginx works as somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("to open the folder");
        let mut redis = Redis::reserved(dir.path());
        redis.start().await;
        let mut args = ["--redis-url", &redis.url(), "--allowed-origins", origin].map(str::to_owned).to_vec();
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        let base_path = flags.iter().skip_while(|flag| **flag != "--base-path").nth(1).copied().unwrap_or_default();
        let (hosts, resolver, nginx_at) = (dir.path().join("hosts"), ports::free(), ports::free());
        let node_port = ports::free().port();
        fs::write(&hosts, "").expect("the list of nodes");
        let dnsmasq = start_dnsmasq(&hosts, resolver, dir.path());
        let nginx = Some(start_nginx(dir.path(), nginx_at, node_port, resolver, base_path));
        let nodes = Vec::new();
        let mut processes = Self { nginx_at, nodes, args, node_port, hosts, dnsmasq, nginx, _redis: redis, dir };
        processes.scale(NODES).await;
        reaches_a_node(nginx_at, base_path).await;
        processes
    }

    async fn scale(&mut self, nodes: usize) {
        for number in self.nodes.len()..nodes {
            let listen = node_address(number, self.node_port);
            let mut args = self.args.clone();
            args.extend(["--node-id".to_owned(), format!("node-{number}")]);
            let mut node = Node::at(number, listen, args, self.dir.path());
            node.restart().await;
            self.nodes.push(node);
        }
        let addresses = self.nodes.iter().map(|node| node.authority().parse().expect("an address"));
        fs::write(&self.hosts, hosts(addresses)).expect("the list of nodes");
        self.dnsmasq.read_again();
    }

    /// Where the chat is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.nginx_at)
    }

    /// nginx, as what clients take for the chat.
    pub(crate) fn front(&self) -> Node {
        Node::at(0, self.nginx_at, Vec::new(), Path::new("/nowhere"))
    }

    /// The node of that id.
    pub(crate) fn named(&self, id: &str) -> &Node {
        self.nodes.iter().find(|node| node.id() == id).unwrap_or_else(|| panic!("there is no node {id}"))
    }

    /// A node, to look at.
    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// A node, to kill or to start again.
    pub(crate) fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn kill(&mut self, node: &str) {
        self.node_named(node).kill();
    }

    async fn restart(&mut self, node: &str) {
        let node = self.node_named(node);
        node.terminate();
        let status = node.ended().await;
        assert!(status.success(), "{} ended with {status}", node.id());
        node.restart().await;
    }

    fn node_named(&mut self, id: &str) -> &mut Node {
        let found = self.nodes.iter_mut().find(|node| node.id() == id);
        found.unwrap_or_else(|| panic!("there is no node {id}"))
    }

    fn stop(&mut self) {
        self.nginx = None;
        for node in &mut self.nodes {
            node.kill();
        }
    }
}

/// A program in the background; asked to end when dropped (nginx then ends its workers by itself).
pub(crate) struct Service(Child);

impl Service {
    /// Has the name server read its list again.
    pub(crate) fn read_again(&self) {
        signal(self.0.id(), "HUP");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            signal(self.0.id(), "TERM");
            let _ = self.0.wait();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("{}", last_words(self.dir.path()));
        }
    }
}

fn docker(args: &[&str]) {
    let status = Command::new("docker").args(args).stdout(Stdio::null()).status().expect("the program `docker`");
    assert!(status.success(), "docker {}", args.join(" "));
}

/// Where a node is that nginx finds: each has an address of its own, and all have one port.
pub(crate) fn node_address(number: usize, port: u16) -> SocketAddr {
    let last = u8::try_from(number + 2).expect("few nodes");
    SocketAddr::from((Ipv4Addr::new(127, 77, 0, last), port))
}

/// What the name server reads.
pub(crate) fn hosts(nodes: impl Iterator<Item = SocketAddr>) -> String {
    nodes.map(|node| format!("{} chat-server\n", node.ip())).collect()
}

fn log(path: &Path) -> (Stdio, Stdio) {
    let file = fs::File::create(path).expect("a log");
    (file.try_clone().expect("a second handle").into(), file.into())
}

/// A name server that knows the addresses of a file.
pub(crate) fn start_dnsmasq(hosts: &Path, at: SocketAddr, dir: &Path) -> Service {
    let (out, err) = log(&dir.join("dnsmasq.log"));
    let user = Command::new("id").arg("-un").output().expect("the program `id`").stdout;
    let user = String::from_utf8(user).expect("a name");
    let child = Command::new("dnsmasq")
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"])
        .args(["--listen-address=127.0.0.1", "--log-facility=-", "--pid-file="])
        .arg(format!("--port={}", at.port()))
        .arg(format!("--addn-hosts={}", hosts.display()))
        // It would become another user, who can't read the list.
        .arg(format!("--user={}", user.trim()))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .env("PATH", path())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `dnsmasq` ({error}): `make setup` installs it"));
    Service(child)
}

/// What nginx allows one address, as `docker-compose.yml` has it.
fn address_limits() -> Vec<(String, String)> {
    let compose = fs::read_to_string(stock::source("../docker-compose.yml")).expect("the compose file");
    let names = ["NGINX_CONNECTIONS_PER_ADDRESS", "NGINX_HANDSHAKES_PER_SECOND", "NGINX_PAGES_PER_SECOND"];
    let default = |name: &str| {
        let begin = format!("{name}: ${{{name}-");
        let default = compose.lines().find_map(|line| line.trim().strip_prefix(&begin)?.strip_suffix('}'));
        default.unwrap_or_else(|| panic!("no {begin}")).to_owned()
    };
    names.map(|name| (name.to_owned(), default(name))).into()
}

/// The nginx of this repository, before all nodes that the name server knows.
pub(crate) fn start_nginx(
    dir: &Path,
    at: SocketAddr,
    node_port: u16,
    resolver: SocketAddr,
    base_path: &str,
) -> Service {
    let mut conf = fs::read_to_string(stock::source("../nginx/nginx.conf.template")).expect("the template");
    let own = [
        ("NGINX_LISTEN", at.to_string()),
        ("NGINX_UPSTREAM", format!("chat-server:{node_port}")),
        ("NGINX_RESOLVER", resolver.to_string()),
        ("NGINX_REAL_IP_FROM", "127.0.0.1".to_owned()),
        ("NGINX_BASE_PATH", base_path.to_owned()),
    ];
    for (name, value) in own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(address_limits()) {
        conf = conf.replace(&format!("${{{name}}}"), &value);
    }
    fs::write(dir.join("nginx.conf"), conf).expect("nginx.conf");
    let (out, err) = log(&dir.join("nginx.log"));
    let child = Command::new(setup::find("nginx", &[]))
        .arg("-p")
        .arg(dir)
        .args(["-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start nginx ({error})"));
    Service(child)
}

/// Waits until this nginx finds a node that takes clients.
pub(crate) async fn reaches_a_node(nginx: SocketAddr, base_path: &str) {
    until("nginx reaches a node", || async {
        let answer =
            reqwest::get(format!("http://{nginx}{base_path}/socket.io/?EIO=4&transport=polling")).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

/// The last that nginx and the name server of this folder have logged.
pub(crate) fn last_words(dir: &Path) -> String {
    let log = |name: &str| {
        let text = fs::read_to_string(dir.join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("--- {name}\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
    };
    ["nginx.log", "dnsmasq.log"].map(log).join("\n")
}

/// Where administrators' programs are too.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
