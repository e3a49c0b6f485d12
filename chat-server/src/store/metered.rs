//! A store, measured: how long each call takes, and which fail. A commit whose message is traced becomes a span.

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
    ActivityStore, Bus, Commit, Committed, Entry, FieldStore, Fields, Head, LogStore, Marked, PresenceStore, Range,
    ReadMarks, Seen, Slice, StoreError, Stores, Topic,
};

/// Measures all parts of a store but its health. All guarantees stay the same.
#[must_use]
pub fn metered(stores: Stores, metrics: &Metrics, traces: &Traces) -> Stores {
    Stores {
        log: Metered::new(stores.log, metrics, traces),
        fields: Metered::new(stores.fields, metrics, traces),
        marks: Metered::new(stores.marks, metrics, traces),
        bus: Metered::new(stores.bus, metrics, traces),
        presence: Metered::new(stores.presence, metrics, traces),
        activity: Metered::new(stores.activity, metrics, traces),
        health: stores.health,
    }
}

/// One part of a store, measured.
struct Metered<S: ?Sized> {
    inner: Arc<S>,
    metrics: Metrics,
    traces: Traces,
}

/// Counts a call as waiting until it is dropped.
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

impl<S: ?Sized> Metered<S> {
    fn new(inner: Arc<S>, metrics: &Metrics, traces: &Traces) -> Arc<Self> {
        Arc::new(Self { inner, metrics: metrics.clone(), traces: traces.clone() })
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

impl Metered<dyn LogStore> {
    /// Starts the span of a traced commit. Spans of the delivery are its children.
    fn follow(&self, commit: &mut Commit) -> Option<Followed> {
        let trace = &mut commit.append.as_mut()?.trace;
        let followed = self.traces.commit(trace.as_ref()?)?;
        *trace = followed.traceparent();
        Some(followed)
    }
}

#[async_trait]
impl LogStore for Metered<dyn LogStore> {
    async fn commit(&self, topic: &Topic, mut commit: Commit) -> Result<Committed, StoreError> {
        let followed = self.follow(&mut commit);
        let done = self.measure(Verb::Commit, self.inner.commit(topic, commit)).await;
        if let Some(followed) = followed {
            end(followed, &done);
        }
        done
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        self.measure(Verb::Read, self.inner.find_nonce(topic, by, nonce)).await
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        self.measure(Verb::Read, self.inner.read(topic, range)).await
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        self.measure(Verb::Tops, self.inner.tops(topics)).await
    }

    async fn heads(&self, topics: &[Topic]) -> Result<Vec<Head>, StoreError> {
        self.measure(Verb::Read, self.inner.heads(topics)).await
    }
}

#[async_trait]
impl FieldStore for Metered<dyn FieldStore> {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        self.measure(Verb::Fields, self.inner.fields(topic, names)).await
    }

    async fn values(&self, topics: &[Topic], names: &[String]) -> Result<Vec<Vec<Option<String>>>, StoreError> {
        self.measure(Verb::Fields, self.inner.values(topics, names)).await
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.measure(Verb::Fields, self.inner.list(topic, prefix, after, limit)).await
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        self.measure(Verb::Fields, self.inner.count(topic, prefix)).await
    }

    async fn verify(&self, held: &[(Topic, String)]) -> Result<Vec<bool>, StoreError> {
        self.measure(Verb::Fields, self.inner.verify(held)).await
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        self.measure(Verb::Touch, self.inner.touch(topic, ttl_ms)).await
    }
}

#[async_trait]
impl ReadMarks for Metered<dyn ReadMarks> {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<Marked, StoreError> {
        self.measure(Verb::Marks, self.inner.mark_read(topic, user, offset)).await
    }

    async fn readers(
        &self,
        topic: &Topic,
        cursor: &str,
        limit: usize,
    ) -> Result<(Vec<UserId>, Option<String>), StoreError> {
        self.measure(Verb::Marks, self.inner.readers(topic, cursor, limit)).await
    }

    async fn forget(&self, topic: &Topic, users: &[UserId]) -> Result<(), StoreError> {
        self.measure(Verb::Marks, self.inner.forget(topic, users)).await
    }

    async fn seen(&self, topics: &[Topic], user: &UserId, names: &[String]) -> Result<Vec<Seen>, StoreError> {
        self.measure(Verb::Marks, self.inner.seen(topics, user, names)).await
    }
}

#[async_trait]
impl Bus for Metered<dyn Bus> {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.measure(Verb::Signal, self.inner.signal(topic, payload)).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.measure(Verb::Subscribe, self.inner.subscribe(topics)).await
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        self.measure(Verb::Subscribe, self.inner.unsubscribe(topics)).await
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        self.inner.probes(node)
    }

    async fn renew_bus(&self, topic: &Topic) {
        self.metrics.bus_renewals.inc();
        self.inner.renew_bus(topic).await;
    }
}

#[async_trait]
impl PresenceStore for Metered<dyn PresenceStore> {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        self.measure(Verb::Presence, self.inner.set_presence(node, user, card)).await
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64, occupied: bool) -> Result<bool, StoreError> {
        self.measure(Verb::Presence, self.inner.beat(node, ttl_ms, occupied)).await
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        self.measure(Verb::Presence, self.inner.presence(users)).await
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        self.measure(Verb::Presence, self.inner.online(after, limit)).await
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        self.measure(Verb::Presence, self.inner.online_count()).await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        self.measure(Verb::Presence, self.inner.reap(limit)).await
    }
}

#[async_trait]
impl ActivityStore for Metered<dyn ActivityStore> {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        self.measure(Verb::Activity, self.inner.record(activity)).await
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        self.measure(Verb::Activity, self.inner.activity(hours, days)).await
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
        Ok(Committed::Refused(_) | Committed::Full) => followed.committed("refused", None),
        Err(error) => followed.failed(reason(error).as_str()),
    }
}

fn reason(error: &StoreError) -> BrokerFailure {
    match error {
        StoreError::Unavailable(_) | StoreError::Refused(..) | StoreError::Misconfigured(_) => {
            BrokerFailure::Unavailable
        }
        StoreError::Corrupt(_) => BrokerFailure::Corrupt,
    }
}
