//! How Redis is, as far as the operator can tell: by its pod, and by what the nodes say.

use std::borrow::Cow;

use super::{Finding, Observed, pods};
use crate::api::reason::Reason;

/// How what a node says of Redis begins (chat-server/src/store/redis: link, shards, fit, durable), and what it
/// means; what is more exact comes first.
const TROUBLES: [(&str, Reason); 11] = [
    ("Redis refuses the user or the password", Reason::RedisAuthenticationFailed),
    ("Redis shows a certificate that can't be trusted", Reason::RedisTlsFailed),
    ("Redis breaks TLS off", Reason::RedisTlsFailed),
    ("the user of Redis may not do all that is needed", Reason::RedisRightsMissing),
    ("Redis throws messages away when it is full", Reason::RedisEvicts),
    ("Redis can't keep messages as --durability asks for", Reason::RedisNotDurable),
    ("no sentinel leads to a primary of Redis that can be reached", Reason::RedisUnreachable),
    ("a shard of the Redis Cluster can't be reached", Reason::RedisUnreachable),
    ("Redis does not say who has which slots", Reason::RedisUnreachable),
    ("this Redis belongs to a Redis Cluster", Reason::RedisUnreachable),
    ("Redis can't be reached", Reason::RedisUnreachable),
];

/// Whether the nodes can store.
pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let Some(redis) = &observed.cluster.spec.redis else {
        return Finding::yes(Reason::Embedded, "the chat is in its pod's memory, and gone with it");
    };
    let trouble = trouble(&said(observed));
    // That a managed one is away shows better in its pod.
    if let Some((reason, words)) = &trouble
        && (redis.managed.is_none() || *reason != Reason::RedisUnreachable)
    {
        return Finding::no(*reason, words.as_str());
    }
    if redis.managed.is_some() {
        return managed(
            observed,
            redis.managed.as_ref().map(|managed| managed.persistence.storage_class_name.as_str()),
        );
    }
    if observed.fleet.staying().any(|node| node.ready) {
        Finding::yes(Reason::RedisAnswers, "")
    } else {
        Finding::new("Unknown", Reason::Unknown, "no node has said yet")
    }
}

/// What the nodes say: those that run but are not ready, and the last words of one that would not start.
fn said<'a>(observed: &Observed<'a>) -> Vec<Cow<'a, str>> {
    let last = pods::trouble(observed.node_pods, &observed.now).map(|(_, words)| Cow::Owned(words));
    observed.words.iter().map(|words| Cow::Borrowed(words.as_str())).chain(last).collect()
}

/// The first of these that a node says, and all that it says of it.
fn trouble(said: &[Cow<'_, str>]) -> Option<(Reason, String)> {
    TROUBLES.iter().find_map(|(words, reason)| {
        let found = said.iter().find_map(|said| said.find(words).and_then(|at| said.get(at..)))?;
        Some((*reason, found.trim_end().to_owned()))
    })
}

fn managed(observed: &Observed<'_>, class: Option<&str>) -> Finding {
    let ready = observed.stateful_set.and_then(|set| set.status.as_ref()).and_then(|status| status.ready_replicas);
    if ready.unwrap_or_default() > 0 {
        return Finding::yes(Reason::RedisAnswers, "");
    }
    if !observed.storage_class {
        let class = class.unwrap_or_default();
        return Finding::no(Reason::StorageClassNotFound, format!("there is no StorageClass {class}"));
    }
    match pods::trouble(observed.redis_pods, &observed.now) {
        Some((reason, words)) => Finding::no(reason, words),
        None => Finding::no(Reason::RedisStarting, "its pod is not ready"),
    }
}
