//! Every metric of a node. `docs/metrics.md` is made from this list.

use super::label_values::{
    BrokerFailure, Cut, Ended, FirstWrite, HandshakeRefusal, Opened, Pace, Recovery, Request, Told, Transport, Verb,
    Version, Word,
};
use crate::domain::error::Code;
use crate::domain::trouble::Trouble;
use crate::lifecycle::NodeState;

/// What a metric is, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, with the unit and `_total` where conventions ask for them.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it counts or measures.
    pub unit: &'static str,
    /// A sentence for who reads it.
    pub help: &'static str,
    /// What tells its series apart, beside what a scrape adds.
    pub labels: &'static [Label],
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only up, and to 0 with a restart.
    Counter,
    /// Up and down.
    Gauge,
    /// How many were at most each of these, in seconds.
    Histogram(&'static [f64]),
}

/// A label and the closed set of its values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: fn() -> Vec<&'static str>,
}

impl Label {
    const fn of<W: Word>(name: &'static str) -> Self {
        Self { name, values: || W::all().into_iter().map(Word::as_str).collect() }
    }
}

/// Bounds of what people wait for; 1 s is what the objective for deliveries counts by.
const FELT: Kind = Kind::Histogram(&[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
/// Bounds of what a machine waits for.
const INSIDE: Kind = Kind::Histogram(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 3.0]);

macro_rules! catalogue {
    ($($id:ident = $name:literal, $kind:expr, $unit:literal, [$($label:literal: $set:ty),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub(super) const $id: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: $unit,
                help: $help,
                labels: &[$(Label::of::<$set>($label)),*],
            };
        )+

        /// Every metric of a node but those of its process, in the order of the page: first what users feel, then what
        /// explains it.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

catalogue! {
    DELIVERY_LATENCY = "chat_delivery_latency_seconds", FELT, "seconds", ["socket": Pace],
        "Time from an event being stored to it being written to a socket, once per socket. Events that a reconnecting client missed are not counted.";
    PUBLISH_LATENCY = "chat_publish_latency_seconds", FELT, "seconds", [],
        "Time from a message being received to it being stored and published; failed sends are not counted.";
    ACKS = "chat_acks_total", Kind::Counter, "requests", ["request": Request, "code": Option<Code>],
        "Requests answered, by kind and by error code; `ok` without an error.";
    DELIVERIES = "chat_deliveries_total", Kind::Counter, "events", [],
        "Room events written to sockets. An event written to 10 sockets counts as 10.";
    CONNECTIONS = "chat_connections", Kind::Gauge, "sockets", [],
        "Connected clients (Socket.IO sockets), over WebSocket or long polling.";
    SESSIONS_OPENED = "chat_sessions_opened_total", Kind::Counter, "sockets", ["how": Opened],
        "Sessions opened; `resumed` ones are reconnects.";
    NEW_GUESTS = "chat_new_guests_total", Kind::Counter, "guests", ["result": FirstWrite],
        "Guests that said or changed something for the first time: stored, or refused by a limit.";
    SOCKETS_ENDED = "chat_sockets_ended_total", Kind::Counter, "sockets", ["reason": Ended],
        "Sockets that ended, by reason. Clients normally reconnect after any reason other than `left`.";
    RECOVERIES = "chat_recoveries_total", Kind::Counter, "rooms", ["result": Recovery],
        "Attempts to resume a room where a reconnecting client left off, by result; one for each client and room.";
    HANDSHAKES_REFUSED = "chat_handshakes_refused_total", Kind::Counter, "handshakes", ["reason": HandshakeRefusal],
        "Handshakes refused, by reason.";
    CONNECTIONS_CUT = "chat_connections_cut_total", Kind::Counter, "connections", ["reason": Cut],
        "TCP connections that the node ended before a request was complete or between requests, by reason.";
    SLOW_SOCKETS = "chat_slow_sockets_total", Kind::Counter, "gaps", [],
        "Gaps sent to sockets that were too slow for the events of a room.";
    NODE_STATE = "chat_node_state", Kind::Gauge, "", ["state": NodeState],
        "1 for the state that the node was last set to, else 0.";
    HANDOVERS = "chat_handovers_total", Kind::Counter, "sockets", ["transport": Transport],
        "Sockets handed over to other nodes, by transport.";
    HANDOVERS_PENDING = "chat_handovers_pending", Kind::Gauge, "sockets", [],
        "Sockets that are still to be handed over, while the node drains or is cordoned.";
    PROBE_LATENCY = "chat_probe_latency_seconds", INSIDE, "seconds", [],
        "Round trip of the node's probe over the bus.";
    PROBE_UNHEARD = "chat_probe_unheard_seconds", Kind::Gauge, "seconds", [],
        "Age of the oldest probe that the node has not received back. Above 7 its bus is unhealthy: the node is not ready and hands its sockets over.";
    BUS_RENEWALS = "chat_bus_renewals_total", Kind::Counter, "renewals", [],
        "Subscriptions renewed because a probe was not received back.";
    GAPS_HEALED = "chat_gaps_healed_total", Kind::Counter, "gaps", [],
        "Gaps in the events of a room from the bus that were filled from the log.";
    TAILS_MISSED = "chat_tails_missed_total", Kind::Counter, "logs", [],
        "Times that a node had missed the newest events of a room on Redis pub/sub (the bus), as found by comparing with the room's log.";
    ROOMS = "chat_rooms", Kind::Gauge, "rooms", [],
        "Rooms with a connected member on this node.";
    BROKER_CALL = "chat_broker_call_duration_seconds", INSIDE, "seconds", ["verb": Verb],
        "Latency of calls to the broker, which is Redis.";
    BROKER_FAILURES = "chat_broker_failures_total", Kind::Counter, "calls", ["reason": BrokerFailure],
        "Failed calls to the broker, by reason.";
    BROKER_WAITING = "chat_broker_calls_waiting", Kind::Gauge, "calls", [],
        "Calls to the broker in flight: the queue to Redis.";
    BROKER_UP = "chat_broker_up", Kind::Gauge, "", [],
        "1 while the broker answers, else 0.";
    STORE_LOSSES = "chat_store_losses_total", Kind::Counter, "losses", [],
        "Times that the node found that Redis had lost what it had, as after FLUSHALL: once for each topic that all nodes share.";
    STORE_TROUBLE = "chat_store_trouble", Kind::Gauge, "", ["cause": Trouble],
        "1 for the cause for which Redis can't be used now, or refuses what it is asked; 0 for all others.";
    MEMORY_USED = "chat_broker_memory_used_ratio", Kind::Gauge, "", [],
        "Share of its memory limit (maxmemory) that the broker uses, of a Redis Cluster the fullest server. Above 0.9 only messages are taken. 0 without a limit.";
    REDIS_COMMANDS = "chat_redis_commands_total", Kind::Counter, "commands", [],
        "Commands sent to Redis; a script is one. 0 without Redis.";
    REDIS_CONNECTS = "chat_redis_connects_total", Kind::Counter, "connections", [],
        "Connections to Redis opened: two per server at the start, then reconnects. 0 without Redis.";
    CLOCK_OFFSET = "chat_broker_clock_offset_seconds", Kind::Gauge, "seconds", [],
        "How far the broker's clock is ahead of the node's. Latencies are corrected for it.";
    LOOP_LAG = "chat_event_loop_lag_seconds", INSIDE, "seconds", [],
        "How late timers of the node's event loop fire. Values up to 1 ms are the resolution of the timer, not lag.";
    LOOP_BUSY = "chat_event_loop_busy_seconds_total", Kind::Counter, "seconds", [],
        "Busy time of the node's worker threads, summed.";
    LOOP_WORKERS = "chat_event_loop_workers", Kind::Gauge, "threads", [],
        "Worker threads of the node.";
    TASKS = "chat_tasks", Kind::Gauge, "tasks", [],
        "Live asynchronous (Tokio) tasks of the node: a few per socket and per room.";
    TRACE_SPANS = "chat_trace_spans_total", Kind::Counter, "spans", ["result": Told],
        "Spans of traced messages, by the result of the export. 0 without a collector.";
    BUILD_INFO = "chat_build_info", Kind::Gauge, "", ["version": Version],
        "Always 1; the label is the version of the node.";
}

/// What the client library says of the process, and so names itself.
pub const PROCESS: &[Metric] = &[
    process("process_cpu_seconds_total", Kind::Counter, "seconds", "CPU time used, of the user and of the system."),
    process("process_max_fds", Kind::Gauge, "files", "Files that may be open."),
    process("process_open_fds", Kind::Gauge, "files", "Files that are open, sockets among them."),
    process("process_resident_memory_bytes", Kind::Gauge, "bytes", "Memory in use."),
    process("process_start_time_seconds", Kind::Gauge, "seconds", "When it began, in seconds since 1970."),
    process("process_threads", Kind::Gauge, "threads", "Threads."),
    process(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "bytes",
        "Addresses in use, whether there is memory behind them or not.",
    ),
];

const fn process(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, unit, help, labels: &[] }
}
