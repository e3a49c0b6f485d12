//! Every metric of a node. `docs/metrics.md` is made from this list.

use super::words::{
    BrokerFailure, Ended, HandshakeRefusal, Opened, Pace, Recovery, Request, Told, Transport, Verb, Version, Word,
};
use crate::domain::error::Code;
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
        "From an event's being stored to its being written to a socket, once for each socket. What a client gets that comes back is not among it.";
    PUBLISH_LATENCY = "chat_publish_latency_seconds", FELT, "seconds", [],
        "From a message's being read to its being stored and published, for those that were.";
    ACKS = "chat_acks_total", Kind::Counter, "requests", ["request": Request, "code": Option<Code>],
        "Requests answered, by outcome.";
    DELIVERIES = "chat_deliveries_total", Kind::Counter, "events", [],
        "Events of rooms' logs written to sockets.";
    CONNECTIONS = "chat_connections", Kind::Gauge, "sockets", [],
        "Sockets that are connected.";
    SESSIONS_OPENED = "chat_sessions_opened_total", Kind::Counter, "sockets", ["how": Opened],
        "Sockets that became a session; the resumed are reconnects.";
    SOCKETS_ENDED = "chat_sockets_ended_total", Kind::Counter, "sockets", ["reason": Ended],
        "Sockets that ended, by reason: but for those that left, why clients reconnect.";
    RECOVERIES = "chat_recoveries_total", Kind::Counter, "rooms", ["result": Recovery],
        "Rooms that clients came back to with a position, by what became of it.";
    HANDSHAKES_REFUSED = "chat_handshakes_refused_total", Kind::Counter, "handshakes", ["reason": HandshakeRefusal],
        "Handshakes refused, by reason.";
    SLOW_SOCKETS = "chat_slow_sockets_total", Kind::Counter, "gaps", [],
        "Times a socket was too slow and got a gap instead.";
    NODE_STATE = "chat_node_state", Kind::Gauge, "", ["state": NodeState],
        "1 for what the node was asked for last, else 0.";
    HANDOVERS = "chat_handovers_total", Kind::Counter, "sockets", ["transport": Transport],
        "Sockets that were ended to go on with another node, by transport.";
    HANDOVERS_PENDING = "chat_handovers_pending", Kind::Gauge, "sockets", [],
        "Sockets whose turn to be handed over has not come yet, while a node drains or is cordoned.";
    PROBE_LATENCY = "chat_probe_latency_seconds", INSIDE, "seconds", [],
        "From the node's saying something to itself to its hearing it from the bus.";
    PROBE_UNHEARD = "chat_probe_unheard_seconds", Kind::Gauge, "seconds", [],
        "For how long the node has not heard what it says to itself: above 7 it is deaf.";
    BUS_RENEWALS = "chat_bus_renewals_total", Kind::Counter, "renewals", [],
        "Times the bus was begun anew since nothing was heard from it.";
    GAPS_HEALED = "chat_gaps_healed_total", Kind::Counter, "gaps", [],
        "Holes in a log filled by reading it.";
    TAILS_MISSED = "chat_tails_missed_total", Kind::Counter, "logs", [],
        "Ends of quiet logs found by comparing with the store.";
    ROOMS = "chat_rooms", Kind::Gauge, "rooms", [],
        "Rooms with a member on this node.";
    BROKER_CALL = "chat_broker_call_duration_seconds", INSIDE, "seconds", ["verb": Verb],
        "How long the broker, which is Redis, took to do what it was asked for.";
    BROKER_FAILURES = "chat_broker_failures_total", Kind::Counter, "calls", ["reason": BrokerFailure],
        "Calls of the broker that came to nothing, by reason.";
    BROKER_WAITING = "chat_broker_calls_waiting", Kind::Gauge, "calls", [],
        "Calls of the broker that wait for their answer: the queue to Redis.";
    BROKER_UP = "chat_broker_up", Kind::Gauge, "", [],
        "1 while the broker answers, else 0.";
    REDIS_COMMANDS = "chat_redis_commands_total", Kind::Counter, "commands", [],
        "Commands sent to Redis, scripts among them; 0 without Redis.";
    REDIS_CONNECTS = "chat_redis_connects_total", Kind::Counter, "connections", [],
        "Connections to Redis that came to be: two to each server that it uses at the start, and then reconnects; 0 without Redis.";
    CLOCK_OFFSET = "chat_broker_clock_offset_seconds", Kind::Gauge, "seconds", [],
        "How far the broker's clock is ahead of the node's; latencies are free of it.";
    LOOP_LAG = "chat_event_loop_lag_seconds", INSIDE, "seconds", [],
        "How much later than asked for a timer of the node runs, at most 1 ms of which is the timer's own coarseness.";
    LOOP_BUSY = "chat_event_loop_busy_seconds_total", Kind::Counter, "seconds", [],
        "Time that the node's worker threads spent at work, all together.";
    LOOP_WORKERS = "chat_event_loop_workers", Kind::Gauge, "threads", [],
        "Worker threads of the node.";
    TASKS = "chat_tasks", Kind::Gauge, "tasks", [],
        "Tasks that live in the node: a few for each socket and each room.";
    TRACE_SPANS = "chat_trace_spans_total", Kind::Counter, "spans", ["result": Told],
        "Spans of messages that are followed, by what became of them; 0 without a collector.";
    BUILD_INFO = "chat_build_info", Kind::Gauge, "", ["version": Version],
        "1, and of which version the node is.";
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
