//! People who come, talk for as long as somebody wants, fall silent, and catch up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::account::Millis;
use super::crowd::{Crowd, Manner, Status};
use super::now;
use super::outcome::Ended;
use super::stage::Heads;

/// How long people may take to come in, to have their sends acked, and to catch up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How often people are asked how they are.
const LOOK: Duration = Duration::from_millis(250);

/// People, and their accounts.
pub(crate) struct Talk {
    pub(crate) crowd: Arc<Crowd>,
    /// When the talk began.
    begun: Option<Millis>,
    accounts: PathBuf,
}

impl Talk {
    /// Nobody, yet.
    pub(crate) fn over(manner: Manner) -> Self {
        let accounts = tempfile::TempDir::with_prefix("chatcluster-history-").expect("a folder for the accounts");
        let accounts = accounts.keep();
        Self { crowd: Arc::new(Crowd::new(manner, accounts.clone())), begun: None, accounts }
    }

    /// So many more people come; waits until all are in their rooms.
    pub(crate) async fn come(&mut self, people: u32) {
        Arc::get_mut(&mut self.crowd).expect("nobody else has the people").come(people);
        let all = self.crowd.people();
        let came = self.until(PATIENCE, &json!({}), |status| status.entered == all).await;
        came.unwrap_or_else(|status| panic!("not all people came in: {status:?}"));
    }

    /// All who are there begin to talk.
    pub(crate) async fn begin(&mut self) {
        self.begun.get_or_insert_with(now);
        self.crowd.talk().await;
    }

    /// Waits until each of them, on the average, had so many more of their messages acked.
    pub(crate) async fn goes_on(&self, acks: u32) {
        let nothing = json!({});
        let enough = self.crowd.status(&nothing).await.acked + acks * self.crowd.people();
        let talked = self.until(PATIENCE, &nothing, |status| status.acked >= enough).await;
        talked.unwrap_or_else(|status| panic!("people don't get on with their talk to {enough} acks: {status:?}"));
    }

    /// Waits until they are as they should be; answers what they are if they don't come to it.
    async fn until(
        &self,
        patience: Duration,
        targets: &Value,
        reached: impl Fn(&Status) -> bool,
    ) -> Result<(), Status> {
        let end = Instant::now() + patience;
        loop {
            let status = self.crowd.status(targets).await;
            if reached(&status) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// They fall silent, catch up with the logs as those are then, and end.
    pub(crate) async fn end(self, patience: Duration, read: impl AsyncFn() -> Heads) -> Ended {
        self.crowd.quiet().await;
        let mut unfinished = Vec::new();
        let mut heads = Heads::new();
        while unfinished.is_empty() {
            if let Err(status) = self.until(patience, &json!({}), |status| status.waiting == 0).await {
                unfinished.push(format!("sends without an ack: {status:?}"));
            }
            let before = std::mem::replace(&mut heads, read().await);
            let targets = heads.iter().map(|(room, head)| (room.clone(), head.top.into()));
            let targets = Value::Object(targets.collect());
            if let Err(status) = self.until(patience, &targets, |status| status.behind == 0).await {
                unfinished.push(format!("not all caught up: {status:?}"));
            }
            // Who catches up may hear only then of a loss, and send again what was lost.
            if heads == before {
                break;
            }
        }
        let Self { crowd, begun, accounts } = self;
        let lines = Arc::into_inner(crowd).expect("nobody else has the people").end().await;
        Ended { lines, begun: begun.unwrap_or_else(now), heads, unfinished, accounts }
    }
}
