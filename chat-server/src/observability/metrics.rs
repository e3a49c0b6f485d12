//! What a node counts, for Prometheus. Labels come from closed sets: never a room or a user.
//!
//! [`catalogue`] says what there is. Series are made at the start and held, so that counting is an addition.

use prometheus::{Counter, Encoder, Gauge, IntCounter, IntGauge, Registry, TextEncoder};

use crate::domain::error::Code;
use crate::domain::trouble::Trouble;
use crate::lifecycle::NodeState;
use histogram::Histogram;
use label_values::Version;
pub use label_values::{
    BrokerFailure, Cut, Ended, FirstWrite, HandshakeRefusal, Opened, Pace, Recovery, Request, Told, Transport, Verb,
    Word,
};
use registrar::{Each, Registrar};

pub mod catalogue;
pub mod histogram;
pub mod label_values;
mod lag;
pub mod registrar;

/// What is asked for only when the metrics are read.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// What the node was asked for last.
    pub state: NodeState,
    /// Whether the broker answers.
    pub broker_is_up: bool,
    /// Why it can't be used, if so.
    pub trouble: Option<Trouble>,
    /// Commands sent to Redis since the start.
    pub redis_commands: u64,
    /// Connections to Redis since the start.
    pub redis_connects: u64,
}

/// All that a node counts. Clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// From an event's being stored to its being written.
    pub delivery_latency: Each<Pace, Histogram>,
    /// From a message's being read to its being stored and published.
    pub publish_latency: Histogram,
    /// Sockets that are connected.
    pub connections: IntGauge,
    /// Rooms with a member on this node.
    pub rooms: IntGauge,
    /// Events of rooms' logs written to sockets.
    pub deliveries: IntCounter,
    /// Sockets that became a session.
    pub sessions_opened: Each<Opened, IntCounter>,
    /// Guests who said or changed something for the first time.
    pub new_guests: Each<FirstWrite, IntCounter>,
    /// Sockets that ended.
    pub sockets_ended: Each<Ended, IntCounter>,
    /// Positions that clients came back with.
    pub recoveries: Each<Recovery, IntCounter>,
    /// Holes in a log's offsets that were filled from the log.
    pub gaps_healed: IntCounter,
    /// Sockets that were given a gap instead of events that they were too slow for.
    pub slow_sockets: IntCounter,
    /// Ends of quiet rooms' logs that were not heard and found by comparing.
    pub tails_missed: IntCounter,
    /// Sockets that are still to be handed over.
    pub handovers_pending: IntGauge,
    /// From saying something to oneself to hearing it.
    pub probe_latency: Histogram,
    /// For how long that was not heard.
    pub probe_unheard: Gauge,
    /// Times the bus was begun anew for it.
    pub bus_renewals: IntCounter,
    /// How long the broker took.
    pub broker_calls: Each<Verb, Histogram>,
    /// Calls that came to nothing.
    pub broker_failures: Each<BrokerFailure, IntCounter>,
    /// Calls without an answer yet.
    pub broker_waiting: IntGauge,
    /// Times that the store lost what it had.
    pub store_losses: IntCounter,
    /// The share of its memory that the broker uses.
    pub memory_used: Gauge,
    /// How far the broker's clock is ahead.
    pub clock_offset: Gauge,
    /// Spans that were to be told to the collector.
    pub trace_spans: Each<Told, IntCounter>,
    acks: Each<Request, Each<Option<Code>, IntCounter>>,
    handshakes_refused: Each<HandshakeRefusal, IntCounter>,
    connections_cut: Each<Cut, IntCounter>,
    handovers: Each<Transport, IntCounter>,
    state: Each<NodeState, IntGauge>,
    broker_up: IntGauge,
    trouble: Each<Trouble, IntGauge>,
    redis_commands: IntCounter,
    redis_connects: IntCounter,
    loop_lag: Histogram,
    loop_busy: Counter,
    loop_workers: IntGauge,
    tasks: IntGauge,
}

impl Metrics {
    /// Registers everything; each series is there from the start, at 0.
    ///
    /// # Errors
    /// A name was used twice: a mistake in the catalogue.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Registrar(&registry);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        make.gauges::<Version>(catalogue::BUILD_INFO)?.of(Version).set(1);
        Ok(Self {
            delivery_latency: make.histograms(catalogue::DELIVERY_LATENCY)?,
            publish_latency: make.histogram(catalogue::PUBLISH_LATENCY)?,
            connections: make.gauge(catalogue::CONNECTIONS)?,
            rooms: make.gauge(catalogue::ROOMS)?,
            deliveries: make.counter(catalogue::DELIVERIES)?,
            sessions_opened: make.counters(catalogue::SESSIONS_OPENED)?,
            new_guests: make.counters(catalogue::NEW_GUESTS)?,
            sockets_ended: make.counters(catalogue::SOCKETS_ENDED)?,
            recoveries: make.counters(catalogue::RECOVERIES)?,
            gaps_healed: make.counter(catalogue::GAPS_HEALED)?,
            slow_sockets: make.counter(catalogue::SLOW_SOCKETS)?,
            tails_missed: make.counter(catalogue::TAILS_MISSED)?,
            handovers_pending: make.gauge(catalogue::HANDOVERS_PENDING)?,
            probe_latency: make.histogram(catalogue::PROBE_LATENCY)?,
            probe_unheard: make.fine_gauge(catalogue::PROBE_UNHEARD)?,
            bus_renewals: make.counter(catalogue::BUS_RENEWALS)?,
            broker_calls: make.histograms(catalogue::BROKER_CALL)?,
            broker_failures: make.counters(catalogue::BROKER_FAILURES)?,
            broker_waiting: make.gauge(catalogue::BROKER_WAITING)?,
            memory_used: make.fine_gauge(catalogue::MEMORY_USED)?,
            clock_offset: make.fine_gauge(catalogue::CLOCK_OFFSET)?,
            trace_spans: make.counters(catalogue::TRACE_SPANS)?,
            acks: make.counters_by(catalogue::ACKS)?,
            handshakes_refused: make.counters(catalogue::HANDSHAKES_REFUSED)?,
            connections_cut: make.counters(catalogue::CONNECTIONS_CUT)?,
            handovers: make.counters(catalogue::HANDOVERS)?,
            state: make.gauges(catalogue::NODE_STATE)?,
            broker_up: make.gauge(catalogue::BROKER_UP)?,
            trouble: make.gauges(catalogue::STORE_TROUBLE)?,
            store_losses: make.counter(catalogue::STORE_LOSSES)?,
            redis_commands: make.counter(catalogue::REDIS_COMMANDS)?,
            redis_connects: make.counter(catalogue::REDIS_CONNECTS)?,
            loop_lag: make.histogram(catalogue::LOOP_LAG)?,
            loop_busy: make.fine_counter(catalogue::LOOP_BUSY)?,
            loop_workers: make.gauge(catalogue::LOOP_WORKERS)?,
            tasks: make.gauge(catalogue::TASKS)?,
            registry,
        })
    }

    /// Counts an answer; `None` is a success.
    pub fn acked(&self, request: Request, refused: Option<Code>) {
        self.acks.of(request).of(refused).inc();
    }

    /// Counts a handshake that was refused.
    pub fn handshake_refused(&self, reason: HandshakeRefusal) {
        self.handshakes_refused.of(reason).inc();
    }

    /// Counts a TCP connection that the node ended outside of a request.
    pub fn connection_cut(&self, reason: Cut) {
        self.connections_cut.of(reason).inc();
    }

    /// Counts a socket that was handed over.
    pub fn handed_over(&self, polling: bool) {
        self.handovers.of(if polling { Transport::Polling } else { Transport::Websocket }).inc();
    }

    /// Everything in Prometheus' text format. Within the node's runtime, of which it tells, too.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self, now: Now) -> Result<String, prometheus::Error> {
        for (state, gauge) in self.state.iter() {
            gauge.set(i64::from(state == now.state));
        }
        self.broker_up.set(now.broker_is_up.into());
        for (trouble, gauge) in self.trouble.iter() {
            gauge.set(i64::from(now.trouble == Some(trouble)));
        }
        raise(&self.redis_commands, now.redis_commands);
        raise(&self.redis_connects, now.redis_connects);
        let runtime = tokio::runtime::Handle::current().metrics();
        let busy: f64 =
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
        self.loop_busy.inc_by((busy - self.loop_busy.get()).max(0.0));
        self.loop_workers.set(whole(runtime.num_workers()));
        self.tasks.set(whole(runtime.num_alive_tasks()));
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

/// Brings a counter to what somebody else has counted.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn render(state: NodeState) -> String {
        let now =
            Now { state, broker_is_up: true, trouble: Some(Trouble::ReadOnly), redis_commands: 7, redis_connects: 2 };
        Metrics::new().unwrap().render(now).unwrap()
    }

    #[tokio::test]
    async fn a_node_is_in_one_state_and_the_others_are_named() {
        let states = |state| -> Vec<String> {
            render(state).lines().filter_map(|line| line.strip_prefix("chat_node_state").map(str::to_owned)).collect()
        };
        let serving = [r#"{state="cordoned"} 0"#, r#"{state="draining"} 0"#, r#"{state="serving"} 1"#];
        assert_eq!(states(NodeState::Serving), serving);
        let cordoned = [r#"{state="cordoned"} 1"#, r#"{state="draining"} 0"#, r#"{state="serving"} 0"#];
        assert_eq!(states(NodeState::Cordoned), cordoned);
    }

    #[tokio::test]
    async fn every_series_of_the_catalogue_is_there_from_the_start_and_no_other() {
        let text = render(NodeState::Serving);
        let there: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let names: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let known: BTreeSet<&str> = catalogue::ALL.iter().chain(catalogue::PROCESS).map(|metric| metric.name).collect();
        assert_eq!(names, known);
        for metric in catalogue::ALL {
            let series = metric.labels.iter().map(|label| (label.values)().len()).product::<usize>();
            let name = match metric.kind {
                catalogue::Kind::Histogram(_) => format!("{}_count", metric.name),
                _ => metric.name.to_owned(),
            };
            let of_it = there.iter().filter(|line| line.split(['{', ' ']).next() == Some(name.as_str())).count();
            assert_eq!(of_it, series, "{name} in\n{text}");
        }
    }

    #[tokio::test]
    async fn what_redis_was_asked_is_told_as_it_stands() {
        let text = render(NodeState::Serving);
        assert!(text.contains("chat_redis_commands_total 7\n") && text.contains("chat_redis_connects_total 2\n"));
    }
}
