//! What a node counts, for Prometheus. Labels come from closed sets: never a room or a user.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::domain::error::Code;
use crate::lifecycle::State;

/// Why a handshake was refused before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeRefusal {
    /// The broker can't be reached.
    Unavailable,
    /// The node keeps the sockets that it has and takes no others.
    Cordoned,
    /// The node is about to stop.
    Draining,
    /// The node has all the sockets it takes.
    Full,
    /// The page's origin is not allowed.
    Origin,
}

impl HandshakeRefusal {
    const ALL: [Self; 5] = [Self::Unavailable, Self::Cordoned, Self::Draining, Self::Full, Self::Origin];

    /// The word in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Cordoned => State::Cordoned.as_str(),
            Self::Draining => State::Draining.as_str(),
            Self::Full => "full",
            Self::Origin => "origin",
        }
    }
}

/// All that a node counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Sockets that are connected.
    pub connections: IntGauge,
    /// Rooms with a member on this node.
    pub rooms: IntGauge,
    /// Events of rooms' logs written to sockets.
    pub deliveries: IntCounter,
    /// Holes in a log's offsets that were filled from the log.
    pub gaps_healed: IntCounter,
    /// Sockets that were given a gap instead of events that they were too slow for.
    pub slow_sockets: IntCounter,
    /// Ends of quiet rooms' logs that were not heard and found by comparing.
    pub tails_missed: IntCounter,
    acks: IntCounterVec,
    handshakes_refused: IntCounterVec,
    handovers: IntCounterVec,
    state: IntGaugeVec,
}

impl Metrics {
    /// Registers everything; each series is there from the start, at 0.
    ///
    /// # Errors
    /// A name was used twice: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let connections = IntGauge::new("chat_connections", "Sockets that are connected.")?;
        let rooms = IntGauge::new("chat_rooms", "Rooms with a member on this node.")?;
        let deliveries = IntCounter::new("chat_deliveries_total", "Events of rooms' logs written to sockets.")?;
        let gaps_healed = IntCounter::new("chat_gaps_healed_total", "Holes in a log filled by reading it.")?;
        let slow_sockets =
            IntCounter::new("chat_slow_sockets_total", "Times a socket was too slow and got a gap instead.")?;
        let acks = IntCounterVec::new(Opts::new("chat_acks_total", "Requests answered, by outcome."), &["code"])?;
        let handshakes_refused = IntCounterVec::new(
            Opts::new("chat_handshakes_refused_total", "Handshakes refused, by reason."),
            &["reason"],
        )?;
        let tails_missed =
            IntCounter::new("chat_tails_missed_total", "Ends of quiet logs found by comparing with the store.")?;
        let handovers = IntCounterVec::new(
            Opts::new("chat_handovers_total", "Sockets that were ended to go on with another node, by transport."),
            &["transport"],
        )?;
        let state = IntGaugeVec::new(
            Opts::new("chat_node_state", "1 for what the node was asked for last, else 0."),
            &["state"],
        )?;
        registry.register(Box::new(state.clone()))?;
        registry.register(Box::new(tails_missed.clone()))?;
        registry.register(Box::new(handovers.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(rooms.clone()))?;
        registry.register(Box::new(deliveries.clone()))?;
        registry.register(Box::new(gaps_healed.clone()))?;
        registry.register(Box::new(slow_sockets.clone()))?;
        registry.register(Box::new(acks.clone()))?;
        registry.register(Box::new(handshakes_refused.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        for code in std::iter::once("ok").chain(Code::ALL.map(Code::as_str)) {
            acks.with_label_values(&[code]);
        }
        for reason in HandshakeRefusal::ALL {
            handshakes_refused.with_label_values(&[reason.as_str()]);
        }
        for polling in [true, false] {
            handovers.with_label_values(&[transport(polling)]);
        }
        Ok(Self {
            registry,
            connections,
            rooms,
            deliveries,
            gaps_healed,
            slow_sockets,
            tails_missed,
            acks,
            handshakes_refused,
            handovers,
            state,
        })
    }

    /// Counts an answer; `None` is a success.
    pub fn acked(&self, refused: Option<Code>) {
        self.acks.with_label_values(&[refused.map_or("ok", Code::as_str)]).inc();
    }

    /// Counts a handshake that was refused.
    pub fn handshake_refused(&self, reason: HandshakeRefusal) {
        self.handshakes_refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a socket that was handed over.
    pub fn handed_over(&self, polling: bool) {
        self.handovers.with_label_values(&[transport(polling)]).inc();
    }

    /// Everything in Prometheus' text format, of a node that is in this state.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self, state: State) -> Result<String, prometheus::Error> {
        for other in State::ALL {
            self.state.with_label_values(&[other.as_str()]).set(i64::from(other == state));
        }
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

fn transport(polling: bool) -> &'static str {
    if polling { "polling" } else { "websocket" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_in_one_state_and_the_others_are_named() {
        let metrics = Metrics::new().unwrap();
        let states = |state| -> Vec<String> {
            let text = metrics.render(state).unwrap();
            text.lines().filter_map(|line| line.strip_prefix("chat_node_state").map(str::to_owned)).collect()
        };
        let serving = [r#"{state="cordoned"} 0"#, r#"{state="draining"} 0"#, r#"{state="serving"} 1"#];
        assert_eq!(states(State::Serving), serving);
        let cordoned = [r#"{state="cordoned"} 1"#, r#"{state="draining"} 0"#, r#"{state="serving"} 0"#];
        assert_eq!(states(State::Cordoned), cordoned);
    }

    #[test]
    fn every_reason_to_refuse_a_handshake_is_there_from_the_start() {
        let text = Metrics::new().unwrap().render(State::Serving).unwrap();
        for reason in ["unavailable", "cordoned", "draining", "full", "origin"] {
            let series = format!("chat_handshakes_refused_total{{reason=\"{reason}\"}} 0");
            assert!(text.contains(&series), "no {series} in\n{text}");
        }
    }
}
