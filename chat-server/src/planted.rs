//! Bugs on purpose, for the history checker to find: a checker that never found one proves nothing.
//!
//! They are compiled in by the feature `planted-bugs` only, which no image has, and even then one has
//! to be chosen with `CHAT_PLANTED_BUG`.

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A message is stored again when it is sent again.
    ForgetNonce,
    /// A socket is not sent an event, now and then.
    DropFrame,
    /// The bus loses an entry now and then, and nobody compares with the log: the last one of a
    /// quiet room is never heard.
    LoseLastFrame,
    /// Two events change places on their way to a socket, now and then.
    SwapDeliveries,
    /// What was missed is replayed, but for its last entry.
    RecoverShort,
    /// A message is acknowledged before it is stored.
    AckBeforeStore,
    /// A store that came back with less than it had goes on in the old epoch.
    KeepEpoch,
}

/// Whether the bug is there. A constant without the feature.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn is_planted(_: Bug) -> bool {
    false
}

/// Whether the bug is there and shows this time: once in so many.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn shows(_: Bug, _: u64) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
pub use on_purpose::{Saboteur, held_back, hold_back, is_planted, shows};

#[cfg(feature = "planted-bugs")]
mod on_purpose {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use async_trait::async_trait;
    use serde_json::value::RawValue;

    use super::Bug;
    use crate::broker::{Broker, BrokerError, Commit, Committed, Entry, Fields, Keep, Range, Slice, Topic, Traffic};
    use crate::domain::activity::{Activity, Report};
    use crate::domain::id::{NodeId, UserId};
    use crate::domain::position::{Offset, Position};

    static TIMES: AtomicU64 = AtomicU64::new(0);

    fn chosen() -> Option<Bug> {
        static CHOSEN: OnceLock<Option<Bug>> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let bug = match std::env::var("CHAT_PLANTED_BUG").ok()?.as_str() {
                "forget-nonce" => Bug::ForgetNonce,
                "drop-frame" => Bug::DropFrame,
                "lose-last-frame" => Bug::LoseLastFrame,
                "swap-deliveries" => Bug::SwapDeliveries,
                "recover-short" => Bug::RecoverShort,
                "ack-before-store" => Bug::AckBeforeStore,
                "keep-epoch" => Bug::KeepEpoch,
                _ => return None,
            };
            tracing::warn!(?bug, "this server has a bug on purpose");
            Some(bug)
        })
    }

    /// Whether the bug is there.
    #[must_use]
    pub fn is_planted(bug: Bug) -> bool {
        chosen() == Some(bug)
    }

    /// Whether the bug is there and shows this time: once in so many.
    #[must_use]
    pub fn shows(bug: Bug, once_in: u64) -> bool {
        is_planted(bug) && TIMES.fetch_add(1, Ordering::Relaxed) % once_in == once_in - 1
    }

    static HELD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

    /// Whether an event is kept from a socket for now.
    #[must_use]
    pub fn hold_back(socket: &str, payload: &str) -> bool {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = shows(Bug::SwapDeliveries, 100) && !held.contains_key(socket);
        if hold {
            held.insert(socket.to_owned(), payload.to_owned());
        }
        hold
    }

    /// What was kept from a socket.
    #[must_use]
    pub fn held_back(socket: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(socket)?).ok()
    }

    /// A broker with a bug.
    pub struct Saboteur(pub Arc<dyn Broker>);

    #[async_trait]
    impl Broker for Saboteur {
        async fn commit(&self, topic: &Topic, mut commit: Commit) -> Result<Committed, BrokerError> {
            if let Some(append) = &mut commit.append
                && append.counted
            {
                if is_planted(Bug::ForgetNonce) {
                    append.nonce = None;
                }
                if is_planted(Bug::AckBeforeStore) {
                    let range = Range { after: Offset::MAX - 1, before: None, limit: 1, keep: Keep::Oldest };
                    let slice = self.0.read(topic, range).await?;
                    let (broker, topic) = (self.0.clone(), topic.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        let _ = broker.commit(&topic, commit).await;
                    });
                    let position = Position { epoch: slice.lineage.epoch, offset: slice.top + 1 };
                    return Ok(Committed::Done { entry: Some((position, 0)) });
                }
            }
            self.0.commit(topic, commit).await
        }

        async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, BrokerError> {
            if is_planted(Bug::ForgetNonce) {
                return Ok(None);
            }
            self.0.find_nonce(topic, by, nonce).await
        }

        async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, BrokerError> {
            if is_planted(Bug::LoseLastFrame) {
                return Err(BrokerError::Unavailable("not compared, on purpose".to_owned()));
            }
            self.0.tops(topics).await
        }

        async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, BrokerError> {
            self.0.fields(topic, names).await
        }

        async fn list(
            &self,
            topic: &Topic,
            prefix: &str,
            after: Option<&str>,
            limit: usize,
        ) -> Result<Vec<(String, String)>, BrokerError> {
            self.0.list(topic, prefix, after, limit).await
        }

        async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, BrokerError> {
            self.0.count(topic, prefix).await
        }

        async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, BrokerError> {
            self.0.touch(topic, ttl_ms).await
        }

        async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, BrokerError> {
            self.0.read(topic, range).await
        }

        async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, BrokerError> {
            self.0.mark_read(topic, user, offset).await
        }

        async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, BrokerError> {
            self.0.unread(topics, user).await
        }

        async fn signal(&self, topic: &Topic, payload: String) -> Result<(), BrokerError> {
            self.0.signal(topic, payload).await
        }

        async fn subscribe(&self, topics: &[Topic]) -> Result<(), BrokerError> {
            self.0.subscribe(topics).await
        }

        async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), BrokerError> {
            self.0.unsubscribe(topics).await
        }

        fn probes(&self, node: &NodeId) -> Vec<Topic> {
            self.0.probes(node)
        }

        async fn renew_bus(&self, topic: &Topic) {
            self.0.renew_bus(topic).await;
        }

        async fn set_presence(
            &self,
            node: &NodeId,
            user: &UserId,
            card: Option<&str>,
        ) -> Result<(bool, bool), BrokerError> {
            self.0.set_presence(node, user, card).await
        }

        async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), BrokerError> {
            self.0.beat(node, ttl_ms).await
        }

        async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, BrokerError> {
            self.0.presence(users).await
        }

        async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, BrokerError> {
            self.0.online(after, limit).await
        }

        async fn online_count(&self) -> Result<u64, BrokerError> {
            self.0.online_count().await
        }

        async fn reap(&self, limit: usize) -> Result<Vec<UserId>, BrokerError> {
            self.0.reap(limit).await
        }

        async fn check(&self) -> Result<(), BrokerError> {
            self.0.check().await
        }

        async fn record(&self, activity: &Activity) -> Result<(), BrokerError> {
            self.0.record(activity).await
        }

        async fn activity(&self, hours: u32, days: u32) -> Result<Report, BrokerError> {
            self.0.activity(hours, days).await
        }

        fn trouble(&self) -> Option<&'static str> {
            self.0.trouble()
        }

        fn is_available(&self) -> bool {
            self.0.is_available()
        }

        fn traffic(&self) -> Traffic {
            self.0.traffic()
        }
    }
}
