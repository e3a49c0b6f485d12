//! What people talk over: nodes, a Redis, and a proxy on every link.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::proxy::Proxy;
use crate::harness::deployment::{Service, hosts, node_address, start_dnsmasq, start_nginx};
use crate::harness::{Client, Node, Redis, RedisAt, ports};

/// Where a room's log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) epoch: String,
    pub(crate) top: u64,
}

/// By room.
pub(crate) type Heads = BTreeMap<String, Head>;

/// Asks for the epoch and the last offset of a log.
const HEAD: &str = r"
    local head = redis.call('HGET', KEYS[1], '\255h')
    if not head then return {'', '0'} end
    local top, _, _, _, _, _, _, _, epoch = struct.unpack('<ddddddddss', head)
    return {epoch, string.format('%d', top)}";

/// Where the logs of the rooms are, as a Redis has it.
pub(crate) async fn heads(rooms: &[String], redis: &RedisAt) -> Heads {
    let mut heads = Heads::new();
    for room in rooms {
        let answer = redis.ask(&["EVAL", HEAD, "1", &format!("chat:{{room:{room}}}:f")]).await;
        let top = answer[1].parse().unwrap_or(0);
        heads.insert(room.clone(), Head { epoch: answer[0].clone(), top });
    }
    heads
}

/// Makes so many rooms; answers their names and the lobby's, which is the last.
pub(crate) async fn make_rooms(node: &Node, rooms: usize) -> Vec<String> {
    let host = Client::guest(node, "Host").await;
    let mut names = Vec::new();
    for number in 0..rooms {
        names.push(host.create(&format!("room {number}"), "public").await);
    }
    host.close().await;
    names.push("lobby".to_owned());
    names
}

/// The program that the nodes are.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) program: PathBuf,
    pub(crate) bug: String,
}

/// Running nodes over a Redis; stopped when dropped.
pub(crate) struct Stage {
    pub(crate) nodes: Vec<Mutex<Node>>,
    pub(crate) redis: Mutex<Redis>,
    /// From people to each node.
    pub(crate) links: Vec<Proxy>,
    /// From each node to Redis.
    pub(crate) buses: Vec<Proxy>,
    /// The rooms that people talk in, the lobby last.
    pub(crate) rooms: Vec<String>,
    nginx: Option<Nginx>,
    dir: TempDir,
}

/// nginx in front of the links, and its name server.
struct Nginx {
    at: SocketAddr,
    _services: [Service; 2],
}

impl Stage {
    /// Starts so many nodes, makes so many rooms besides the lobby.
    pub(crate) async fn start(nodes: usize, rooms: usize, behind_nginx: bool, planted: Option<&Planted>) -> Self {
        let dir = TempDir::with_prefix("chatcluster-stage-").expect("a folder for the run");
        let port = ports::free().port();
        let mut redis = Redis::reserved(dir.path());
        redis.start().await;
        let (mut running, mut links, mut buses) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..nodes {
            let bus = Proxy::start(ports::free(), redis.addr());
            let listen = ports::free();
            let mut node = Node::at(number, listen, args(number, bus.addr()), dir.path());
            if let Some(Planted { program, bug }) = planted {
                node = node.running(program, Some(("CHAT_PLANTED_BUG", bug)));
            }
            node.restart().await;
            let public = if behind_nginx { node_address(number, port) } else { ports::free() };
            links.push(Proxy::start(public, listen));
            buses.push(bus);
            running.push(node);
        }
        let names = make_rooms(&running[0], rooms).await;
        let nginx = behind_nginx.then(|| Nginx::start(dir.path(), port, &links));
        let nodes = running.into_iter().map(Mutex::new).collect();
        Self { nodes, redis: Mutex::new(redis), links, buses, rooms: names, nginx, dir }
    }

    /// A folder that is there as long as the stage.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where people connect.
    pub(crate) fn urls(&self) -> Vec<String> {
        match &self.nginx {
            Some(nginx) => vec![format!("http://{}", nginx.at)],
            None => self.links.iter().map(|link| format!("http://{}", link.addr())).collect(),
        }
    }

    /// Where the logs of the rooms are, as this Redis has it.
    pub(crate) async fn heads(&self, redis: &Redis) -> Heads {
        heads(&self.rooms, &redis.asked()).await
    }

    /// What the nodes said last.
    pub(crate) async fn last_words(&self) -> String {
        let mut words = String::new();
        for node in &self.nodes {
            let node = node.lock().await;
            words.push_str(&format!("--- the last lines of {}\n{}\n", node.id(), node.last_words(15)));
        }
        words
    }
}

impl Nginx {
    fn start(dir: &Path, port: u16, links: &[Proxy]) -> Self {
        // Started by root, nginx works as somebody else.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("to open the folder");
        let (list, resolver, at) = (dir.join("hosts"), ports::free(), ports::free());
        fs::write(&list, hosts(links.iter().map(Proxy::addr))).expect("the list of nodes");
        let dnsmasq = start_dnsmasq(&list, resolver, dir);
        Self { at, _services: [start_nginx(dir, at, port, resolver), dnsmasq] }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.get_mut().kill();
        }
    }
}

fn args(number: usize, redis: SocketAddr) -> Vec<String> {
    let (id, url) = (format!("node-{number}"), format!("redis://{redis}"));
    ["--messages-per-second", "0", "--message-burst", "0", "--node-id", &id, "--redis-url", &url]
        .map(str::to_owned)
        .to_vec()
}
