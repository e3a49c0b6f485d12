//! Handing sockets over to other nodes: each is told when, and they go at a pace that the other nodes bear.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client::Client;
use super::context::Context;

/// How long after the announced time a session is ended: a client that connects elsewhere first and disconnects then has
/// gone by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How long a session may take to answer the requests that it received.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often that, and whether sockets are left, is looked at.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long clients may take to see that their sessions ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How fast sockets are handed over.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Sockets a second, where that is fast enough for `at_most`.
    pub per_second: u32,
    /// The time within which all are handed over.
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

/// Selection sockets are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// Those that poll at their turn: one that was upgraded to a WebSocket by then stays.
    Polling,
}

impl Selection {
    fn includes(self, client: &Client) -> bool {
        self == Self::All || client.is_polling()
    }
}

/// Hands sockets of the node over, those too that connect meanwhile, for as long as that is `wanted`. Sockets that don't
/// go are left to their heartbeat.
pub async fn run(context: &Context, pace: Pace, selection: Selection, wanted: impl Fn() -> bool) {
    let end = Instant::now() + pace.at_most;
    let mut finishing = JoinSet::new();
    'rounds: loop {
        let mut clients: Vec<Arc<Client>> = context.clients.all();
        clients.retain(|client| selection.includes(client) && !client.is_handed_over());
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
            if selection.includes(&client) && client.begin_hand_over() {
                context.metrics.handed_over(client.is_polling());
                finishing.spawn(finish(client));
            }
        }
    }
    context.metrics.handovers_pending.set(0);
    // Sessions that are about to end do end, whatever is wanted now: nothing else would end them.
    while finishing.join_next().await.is_some() {}
    let gone = async {
        while wanted() && context.clients.all().iter().any(|client| selection.includes(client)) {
            sleep(INTERVAL).await;
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, gone).await;
}

/// Ends a session once its requests are answered.
async fn finish(client: Arc<Client>) {
    let answered = async {
        while !client.is_idle() {
            sleep(INTERVAL).await;
        }
    };
    let _ = timeout(ANSWER_TIMEOUT, answered).await;
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
