//! Handing sockets over to other nodes: told when, and at a pace that the others bear.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client::Client;
use super::context::Context;

/// How long after the time that a client was told its transport is ended: one that connects
/// elsewhere first and leaves then has gone by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How long the answers to what a client asked for are waited for.
const FINISH: Duration = Duration::from_secs(3);
/// How often it is looked whether they are given, and whether sockets are left.
const LOOK: Duration = Duration::from_millis(20);
/// How long the other ends may take to see that their transports ended.
const CLOSE: Duration = Duration::from_secs(2);

/// How fast sockets are handed over.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// So many a second, if the time is enough for it.
    pub per_second: u32,
    /// All of them within this time.
    pub at_most: Duration,
}

impl Pace {
    fn spread(self, sockets: usize) -> Duration {
        // No node has sockets beyond what an f64 counts.
        #[allow(clippy::cast_precision_loss)]
        let wanted = Duration::from_secs_f64(sockets as f64 / f64::from(self.per_second.max(1)));
        wanted.min(self.at_most)
    }
}

/// Which sockets are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// Those that poll when it is their turn: one that has become a WebSocket by then stays.
    Polling,
}

impl Which {
    fn includes(self, client: &Client) -> bool {
        self == Self::All || client.is_polling()
    }
}

/// Hands over these sockets of the node, those too that come while it goes on, for as long as it is
/// `wanted`. Sockets that don't go are left to their heartbeat.
pub async fn run(context: &Context, pace: Pace, which: Which, wanted: impl Fn() -> bool) {
    let end = Instant::now() + pace.at_most;
    let mut finishing = JoinSet::new();
    'rounds: loop {
        let mut clients: Vec<Arc<Client>> = context.clients.all();
        clients.retain(|client| which.includes(client) && !client.is_handed_over());
        if clients.is_empty() || !wanted() {
            break;
        }
        let begun = Instant::now();
        let left = Pace { at_most: end.saturating_duration_since(begun), ..pace };
        let spread = left.spread(clients.len());
        tracing::info!(sockets = clients.len(), seconds = spread.as_secs_f32(), "handing sockets over");
        let count = u32::try_from(clients.len()).unwrap_or(u32::MAX);
        let turns: Vec<_> = clients.into_iter().zip(0u32..).map(|(client, n)| (spread * n / count, client)).collect();
        for (after, client) in &turns {
            client.try_send("server:draining", &json!({ "reconnectAfterMs": after.as_millis() }));
        }
        for ((after, client), left) in turns.into_iter().zip((0..i64::from(count)).rev()) {
            context.metrics.handovers_pending.set(left + 1);
            sleep_until(begun + after + GRACE).await;
            if !wanted() {
                break 'rounds;
            }
            context.metrics.handovers_pending.set(left);
            if which.includes(&client) && client.begin_hand_over() {
                context.metrics.handed_over(client.is_polling());
                finishing.spawn(finish(client));
            }
        }
    }
    context.metrics.handovers_pending.set(0);
    // What was begun is brought to its end, whatever is wanted now: nobody else would.
    while finishing.join_next().await.is_some() {}
    let gone = async {
        while wanted() && context.clients.all().iter().any(|client| which.includes(client)) {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(CLOSE, gone).await;
}

/// Ends the transport once what was asked for is answered.
async fn finish(client: Arc<Client>) {
    let answered = async {
        while !client.is_idle() {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(FINISH, answered).await;
    client.hand_over();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_at_the_pace_unless_time_is_short() {
        let pace = Pace { per_second: 100, at_most: Duration::from_secs(20) };
        assert_eq!(pace.spread(0), Duration::ZERO);
        assert_eq!(pace.spread(500), Duration::from_secs(5));
        assert_eq!(pace.spread(1_000_000), Duration::from_secs(20));
    }
}
