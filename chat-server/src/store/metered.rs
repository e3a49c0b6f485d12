//! The broker, measured: whatever is asked of it, how long it took and what came to nothing. A commit that is followed
//! is a span.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use prometheus::IntGauge;

use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, UserId};
use crate::domain::message::EntryId;
use crate::domain::position::{Offset, Position};
use crate::observability::metrics::{BrokerFailure, Metrics, Verb};
use crate::observability::traces::{Followed, Traces};
use crate::store::{
    ActivityStore, Bus, Commit, Committed, Entry, FieldStore, Fields, Health, LogStore, PresenceStore, Range,
    ReadMarks, Slice, Store, StoreError, Topic, Traffic,
};

/// A broker that counts into metrics. It adds nothing to the promises of [`Store`](super::Store) and takes nothing from them.
pub struct Metered {
    broker: Arc<dyn Store>,
    metrics: Metrics,
    traces: Traces,
}

/// A call that waits for its answer, until it is dropped.
struct Waiting<'a>(&'a IntGauge);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a IntGauge) -> Self {
        waiting.inc();
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metered {
    /// That broker, measured.
    #[must_use]
    pub fn new(broker: Arc<dyn Store>, metrics: Metrics, traces: Traces) -> Self {
        Self { broker, metrics, traces }
    }

    /// Begins the span of a commit that is followed: whoever hears the entry is below it.
    fn follow(&self, commit: &mut Commit) -> Option<Followed> {
        let trace = &mut commit.append.as_mut()?.trace;
        let followed = self.traces.commit(trace.as_ref()?)?;
        *trace = followed.traceparent();
        Some(followed)
    }

    async fn measure<T>(&self, verb: Verb, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let _waiting = Waiting::begin(&self.metrics.broker_waiting);
        let begun = Instant::now();
        let done = call.await;
        self.metrics.broker_calls.of(verb).observe(begun.elapsed());
        if let Err(error) = &done {
            self.metrics.broker_failures.of(reason(error)).inc();
        }
        done
    }
}

#[async_trait]
impl LogStore for Metered {
    async fn commit(&self, topic: &Topic, mut commit: Commit) -> Result<Committed, StoreError> {
        let followed = self.follow(&mut commit);
        let done = self.measure(Verb::Commit, self.broker.commit(topic, commit)).await;
        if let Some(followed) = followed {
            end(followed, &done);
        }
        done
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        self.measure(Verb::Read, self.broker.find_nonce(topic, by, nonce)).await
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        self.measure(Verb::Read, self.broker.read(topic, range)).await
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        self.measure(Verb::Tops, self.broker.tops(topics)).await
    }
}

#[async_trait]
impl FieldStore for Metered {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        self.measure(Verb::Fields, self.broker.fields(topic, names)).await
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.measure(Verb::Fields, self.broker.list(topic, prefix, after, limit)).await
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        self.measure(Verb::Fields, self.broker.count(topic, prefix)).await
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        self.measure(Verb::Touch, self.broker.touch(topic, ttl_ms)).await
    }
}

#[async_trait]
impl ReadMarks for Metered {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError> {
        self.measure(Verb::Marks, self.broker.mark_read(topic, user, offset)).await
    }

    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError> {
        self.measure(Verb::Marks, self.broker.unread(topics, user)).await
    }
}

#[async_trait]
impl Bus for Metered {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.measure(Verb::Signal, self.broker.signal(topic, payload)).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.measure(Verb::Subscribe, self.broker.subscribe(topics)).await
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.measure(Verb::Subscribe, self.broker.unsubscribe(topics)).await
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        self.broker.probes(node)
    }

    async fn renew_bus(&self, topic: &Topic) {
        self.metrics.bus_renewals.inc();
        self.broker.renew_bus(topic).await;
    }
}

#[async_trait]
impl PresenceStore for Metered {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        self.measure(Verb::Presence, self.broker.set_presence(node, user, card)).await
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError> {
        self.measure(Verb::Presence, self.broker.beat(node, ttl_ms)).await
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        self.measure(Verb::Presence, self.broker.presence(users)).await
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        self.measure(Verb::Presence, self.broker.online(after, limit)).await
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        self.measure(Verb::Presence, self.broker.online_count()).await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.measure(Verb::Presence, self.broker.reap(limit)).await
    }
}

#[async_trait]
impl ActivityStore for Metered {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        self.measure(Verb::Activity, self.broker.record(activity)).await
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        self.measure(Verb::Activity, self.broker.activity(hours, days)).await
    }
}

#[async_trait]
impl Health for Metered {
    async fn check(&self) -> Result<(), StoreError> {
        self.broker.check().await
    }

    fn trouble(&self) -> Option<&'static str> {
        self.broker.trouble()
    }

    fn traffic(&self) -> Traffic {
        self.broker.traffic()
    }

    fn is_available(&self) -> bool {
        self.broker.is_available()
    }
}

/// Ends the span of a commit.
fn end(followed: Followed, done: &Result<Committed, StoreError>) {
    match done {
        Ok(Committed::Done { entry }) => {
            let entry =
                entry.as_ref().map(|(Position { epoch, offset }, _)| EntryId { epoch: epoch.clone(), offset: *offset });
            followed.committed("done", entry.as_ref());
        }
        Ok(Committed::Repeated(entry)) => followed.committed("repeated", Some(&entry.id())),
        Ok(Committed::Refused(_)) => followed.committed("refused", None),
        Err(error) => followed.failed(reason(error).as_str()),
    }
}

fn reason(error: &StoreError) -> BrokerFailure {
    match error {
        StoreError::Unavailable(_) | StoreError::Misconfigured(_) => BrokerFailure::Unavailable,
        StoreError::Corrupt(_) => BrokerFailure::Corrupt,
    }
}
