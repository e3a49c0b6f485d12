//! Condition RedisReady, derived from the Redis pod and from what the nodes report.

use std::borrow::Cow;

use super::observed::{Finding, Observed};
use crate::api::reason::Reason;
use crate::controller::pods;

/// How the errors of a node about Redis begin, and their reasons; the more specific come first. They are defined in
/// chat-server/src: domain/trouble.rs, and store/redis: cluster/, server_check.rs, durability.rs.
const SYMPTOMS: [(&str, Reason); 15] = [
    ("Redis refuses the user or the password", Reason::RedisAuthenticationFailed),
    ("Redis shows a certificate that can't be trusted", Reason::RedisTlsFailed),
    ("Redis breaks TLS off", Reason::RedisTlsFailed),
    ("the user of Redis may not do all that is needed", Reason::RedisRightsMissing),
    ("Redis throws messages away when it is full", Reason::RedisEvicts),
    ("Redis can't keep messages as --durability asks for", Reason::RedisNotDurable),
    ("Redis takes no writes", Reason::RedisRefuses),
    ("Redis loads its data", Reason::RedisRefuses),
    ("Redis runs a script that does not end", Reason::RedisRefuses),
    ("the Redis Cluster is down", Reason::RedisRefuses),
    ("no sentinel leads to a primary of Redis that can be reached", Reason::RedisUnreachable),
    ("a shard of the Redis Cluster can't be reached", Reason::RedisUnreachable),
    ("Redis does not say who has which slots", Reason::RedisUnreachable),
    ("this Redis belongs to a Redis Cluster", Reason::RedisUnreachable),
    ("Redis can't be reached", Reason::RedisUnreachable),
];

/// Whether the nodes can store messages.
pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let Some(redis) = &observed.cluster.spec.redis else {
        return Finding::yes(Reason::Embedded, "the chat is in the memory of its pod and is lost when the pod ends");
    };
    let symptom = symptom(&messages(observed));
    // For an unreachable managed Redis, its pod has the better reason.
    if let Some((reason, message)) = &symptom
        && (redis.managed.is_none() || *reason != Reason::RedisUnreachable)
    {
        return Finding::no(*reason, message.as_str());
    }
    if redis.managed.is_some() {
        return managed(
            observed,
            redis.managed.as_ref().map(|managed| managed.persistence.storage_class_name.as_str()),
        );
    }
    if observed.fleet.non_terminating().any(|node| node.ready) {
        Finding::yes(Reason::RedisAnswers, "")
    } else {
        Finding::new("Unknown", Reason::Unknown, "no node has reported yet")
    }
}

/// Messages of the nodes: of those that are not ready, and the last log lines of one that crashed.
fn messages<'a>(observed: &Observed<'a>) -> Vec<Cow<'a, str>> {
    let crash = pods::failure(observed.node_pods, &observed.now).map(|(_, message)| Cow::Owned(message));
    observed.node_messages.iter().map(|message| Cow::Borrowed(message.as_str())).chain(crash).collect()
}

/// The first known symptom, with the message from there on.
fn symptom(messages: &[Cow<'_, str>]) -> Option<(Reason, String)> {
    SYMPTOMS.iter().find_map(|(prefix, reason)| {
        let found = messages.iter().find_map(|message| message.find(prefix).and_then(|at| message.get(at..)))?;
        Some((*reason, found.trim_end().to_owned()))
    })
}

fn managed(observed: &Observed<'_>, class: Option<&str>) -> Finding {
    let ready = observed.stateful_set.and_then(|set| set.status.as_ref()).and_then(|status| status.ready_replicas);
    if ready.unwrap_or_default() > 0 {
        return Finding::yes(Reason::RedisAnswers, "");
    }
    if !observed.storage_class_exists {
        let class = class.unwrap_or_default();
        return Finding::no(Reason::StorageClassNotFound, format!("StorageClass {class} does not exist"));
    }
    match pods::failure(observed.redis_pods, &observed.now) {
        Some((reason, message)) => Finding::no(reason, message),
        None => Finding::no(Reason::RedisStarting, "the Redis pod is not ready"),
    }
}
