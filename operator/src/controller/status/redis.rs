//! How Redis is, as far as the operator can tell: by its pod, and by what the nodes say.

use super::{Finding, Observed, pods};
use crate::api::reason::Reason;

/// What a node says when Redis refuses the user or the password
/// (chat-server/src/http/health.rs).
const REFUSED: &str = "Redis refuses the user or the password";
/// What it says when Redis can't be reached.
const AWAY: &str = "Redis can't be reached";

/// Whether the nodes can store.
pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let Some(redis) = &observed.cluster.spec.redis else {
        return Finding::yes(Reason::Embedded, "the chat is in its pod's memory, and gone with it");
    };
    let says = |words: &str| observed.words.iter().any(|said| said.contains(words));
    if says(REFUSED) {
        return Finding::no(Reason::RedisAuthenticationFailed, REFUSED);
    }
    if redis.managed.is_some() {
        return managed(
            observed,
            redis.managed.as_ref().map(|managed| managed.persistence.storage_class_name.as_str()),
        );
    }
    if says(AWAY) {
        return Finding::no(Reason::RedisUnreachable, AWAY);
    }
    if observed.fleet.staying().any(|node| node.ready) {
        Finding::yes(Reason::RedisAnswers, "")
    } else {
        Finding::new("Unknown", Reason::Unknown, "no node has said yet")
    }
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
