//! The names of the events that are entries of a room's log.
//!
//! A name comes from the store, and becomes part of a frame. Whoever can publish on the bus must not make a node send
//! another event, such as `session`.

/// The events that this build appends to logs.
pub const LOG_EVENTS: [&str; 4] = ["message:new", "member:joined", "member:left", "room:updated"];
/// Events with a colon that are never in a log.
const NOT_LOGGED: [&str; 7] = [
    "room:added",
    "room:invited",
    "room:settings",
    "user:blocked",
    "server:draining",
    "read:marked",
    "session:revoked",
];

/// Whether this build appends events of this name to logs.
#[must_use]
pub fn is_known(name: &str) -> bool {
    LOG_EVENTS.contains(&name)
}

/// Whether an entry that is stored under this name may be sent to clients: a newer node may have appended an event that
/// this build does not know. Its name is two words of lower case, with a colon between.
#[must_use]
pub fn is_deliverable(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let shaped = name.len() <= 64 && name.split_once(':').is_some_and(|(noun, verb)| is_word(noun) && is_word(verb));
    is_known(name) || (shaped && !NOT_LOGGED.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_events_of_a_newer_node_are_delivered_and_events_of_the_node_itself_are_not() {
        assert!(LOG_EVENTS.iter().all(|name| is_known(name) && is_deliverable(name)));
        assert!(is_deliverable("message:edited") && !is_known("message:edited"));
        for name in NOT_LOGGED.iter().chain(&["session", "gap", "typing", "presence", "", ":", "a:", "a:b:c", "A:b"]) {
            assert!(!is_deliverable(name) && !is_known(name), "{name}");
        }
        assert!(!is_deliverable("a:b\",{}]") && !is_deliverable(&format!("a:{}", "b".repeat(64))));
    }
}
