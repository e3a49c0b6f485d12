//! Who is compared.

use crate::dialect::Dialect;

/// What the servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `chat-server`, as it is shipped.
    Ours,
    /// Bare socketioxide, alone or with its Redis adapter.
    Socketioxide,
    /// Socket.IO on Node.js.
    Node {
        /// What carries its WebSockets: `ws` or `uws`.
        engine: &'static str,
        /// What is between its processes: `none`, `redis` or `redis-streams`.
        adapter: &'static str,
    },
}

/// A number of servers that are one chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// As the tables have it.
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    /// How many processes.
    pub(crate) processes: usize,
    /// Whether a Redis is between them.
    pub(crate) redis: bool,
}

/// All of them.
pub(crate) const ALL: [Contender; 9] = [
    alone("node-ws", "Node socket.io, ws", Kind::Node { engine: "ws", adapter: "none" }),
    alone("node-uws", "Node socket.io, uWebSockets.js", Kind::Node { engine: "uws", adapter: "none" }),
    alone("socketioxide", "bare socketioxide", Kind::Socketioxide),
    alone("ours", "chat-server, embedded", Kind::Ours),
    over_redis(2, "node-redis", "2 × Node, Redis adapter", Kind::Node { engine: "ws", adapter: "redis" }),
    over_redis(
        2,
        "node-redis-streams",
        "2 × Node, streams adapter",
        Kind::Node { engine: "ws", adapter: "redis-streams" },
    ),
    over_redis(2, "socketioxide-redis", "2 × socketioxide-redis", Kind::Socketioxide),
    over_redis(2, "ours-redis", "2 × chat-server", Kind::Ours),
    over_redis(3, "ours-redis-3", "3 × chat-server", Kind::Ours),
];

const fn alone(name: &'static str, title: &'static str, kind: Kind) -> Contender {
    Contender { name, title, kind, processes: 1, redis: false }
}

const fn over_redis(processes: usize, name: &'static str, title: &'static str, kind: Kind) -> Contender {
    Contender { name, title, kind, processes, redis: true }
}

impl Contender {
    /// The one of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|contender| contender.name == name)
    }

    /// Its title where the number of its processes is another.
    pub(crate) fn whose(&self) -> &'static str {
        self.title.split_once(" × ").map_or(self.title, |(_, whose)| whose)
    }

    /// What its servers understand.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Ours => Dialect::Chat,
            Kind::Socketioxide | Kind::Node { .. } => Dialect::Bare,
        }
    }
}
