//! What people talk over: nodes, a Redis or many, and a proxy on every link.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::proxy::Proxy;
use super::run::Plan;
use super::set::Set;
pub(crate) use super::set::Shape;
use crate::harness::deployment::{Service, hosts, node_address, start_dnsmasq, start_nginx};
use crate::harness::lifted_limits::LIFTED_LIMITS;
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
pub(crate) struct InjectedFault {
    pub(crate) program: PathBuf,
    pub(crate) bug: String,
}

/// What people may do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limits {
    /// As much as they like.
    Lifted,
    /// What the nodes allow as shipped, but for these flags. The addresses of the loopback network are those of clients.
    Shipped(&'static [(&'static str, &'static str)]),
}

/// What Redis the nodes are over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Over {
    /// One.
    One,
    /// Many.
    Set(Shape),
}

/// A Redis that runs.
pub(crate) enum Store {
    One(Mutex<Redis>),
    Set(Mutex<Set>),
}

impl Store {
    /// The one, for what only one can be made to do.
    pub(crate) fn one(&self) -> &Mutex<Redis> {
        match self {
            Self::One(redis) => redis,
            Self::Set(_) => panic!("this run is over many servers"),
        }
    }

    /// The many.
    pub(crate) fn set(&self) -> &Mutex<Set> {
        match self {
            Self::One(_) => panic!("this run is over one server"),
            Self::Set(set) => set,
        }
    }
}

/// Running nodes over a Redis; stopped when dropped.
pub(crate) struct Stage {
    pub(crate) nodes: Vec<Mutex<Node>>,
    pub(crate) store: Store,
    /// From people to each node.
    pub(crate) links: Vec<Proxy>,
    /// From each node to the one Redis.
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
    /// Starts the nodes of a plan, and makes its rooms besides the lobby.
    pub(crate) async fn start(plan: &Plan) -> Self {
        let dir = TempDir::with_prefix("chatcluster-stage-").expect("a folder for the run");
        let port = ports::free().port();
        let (mut nodes, mut links, mut buses) = (Vec::new(), Vec::new(), Vec::new());
        let mut store = match plan.over {
            Over::One => {
                let mut redis = Redis::reserved(dir.path());
                redis.start().await;
                Store::One(Mutex::new(redis))
            }
            Over::Set(shape) => Store::Set(Mutex::new(Set::start(shape))),
        };
        for number in 0..plan.nodes {
            let mut args = args(number, plan);
            match &mut store {
                Store::One(redis) => {
                    let bus = Proxy::start(ports::free(), redis.get_mut().addr());
                    args.extend(["--redis-url".to_owned(), format!("redis://{}", bus.addr())]);
                    buses.push(bus);
                }
                Store::Set(set) => args.extend(set.get_mut().flags()),
            }
            let listen = ports::free();
            let mut node = Node::at(number, listen, args, dir.path());
            if let Some(InjectedFault { program, bug }) = &plan.injected {
                node = node.running(program, Some(("CHAT_INJECT_FAULT", bug)));
            }
            node.restart().await;
            let public = if plan.behind_nginx { node_address(number, port) } else { ports::free() };
            links.push(Proxy::start(public, listen));
            nodes.push(node);
        }
        let rooms = make_rooms(&nodes[0], plan.rooms).await;
        if let Store::Set(set) = &mut store {
            set.get_mut().find(&rooms);
        }
        let nginx = plan.behind_nginx.then(|| Nginx::start(dir.path(), port, &links));
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        Self { nodes, store, links, buses, rooms, nginx, dir }
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

    /// Where strangers find it, past the proxies that people connect through.
    pub(crate) async fn doors(&self) -> Vec<SocketAddr> {
        if let Some(nginx) = &self.nginx {
            return vec![nginx.at];
        }
        let mut doors = Vec::new();
        for node in &self.nodes {
            doors.push(node.lock().await.authority().parse().expect("an address"));
        }
        doors
    }

    /// Where the logs of the rooms are, as Redis has it.
    pub(crate) async fn heads(&self) -> Heads {
        match &self.store {
            Store::One(redis) => heads(&self.rooms, &redis.lock().await.asked()).await,
            Store::Set(set) => set.lock().await.heads(),
        }
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
        Self { at, _services: [start_nginx(dir, at, port, resolver, ""), dnsmasq] }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.get_mut().kill();
        }
    }
}

fn args(number: usize, plan: &Plan) -> Vec<String> {
    let mut args = vec!["--node-id".to_owned(), format!("node-{number}")];
    let mut set = |flag: &str, value: &str| args.extend([flag.to_owned(), value.to_owned()]);
    match plan.limits {
        Limits::Lifted => LIFTED_LIMITS.into_iter().for_each(|flag| set(flag, "0")),
        Limits::Shipped(flags) => {
            // Some proxy is named, so that other loopback addresses are not taken for one.
            set("--trusted-proxies", if plan.behind_nginx { "127.0.0.1" } else { "127.9.9.200" });
            flags.iter().for_each(|(flag, value)| set(flag, value));
        }
    }
    args
}
