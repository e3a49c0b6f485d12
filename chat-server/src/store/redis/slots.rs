//! The slots of a Redis Cluster: `CLUSTER SLOTS`, and redirections.

use std::ops::RangeInclusive;

use fred::types::Value;
use fred::util::redis_keyslot;

use crate::store::StoreError;

pub(super) const SLOTS: usize = 16_384;

/// The slot of a key or a channel.
pub(super) fn of(name: &str) -> usize {
    usize::from(redis_keyslot(name.as_bytes()))
}

/// Slots, and the host and port of the primary that has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) slots: RangeInclusive<u16>,
    pub(super) at: (String, u16),
}

/// Parses the reply to `CLUSTER SLOTS`. A server that does not know its own name is at the `host` at which it was
/// asked.
pub(super) fn read(answer: Value, host: &str) -> Result<Vec<Owned>, StoreError> {
    let unreadable = || StoreError::Corrupt("what Redis says of its slots can't be read".to_owned());
    let Value::Array(ranges) = answer else { return Err(unreadable()) };
    ranges.into_iter().map(|range| read_range(range, host).ok_or_else(unreadable)).collect()
}

/// Parses first, last, and the address of the primary; the rest is not used.
fn read_range(range: Value, host: &str) -> Option<Owned> {
    let [first, last, primary, ..] = &range.into_array()[..] else { return None };
    let [name, port, ..] = &primary.clone().into_array()[..] else { return None };
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let named = name.as_string().filter(|name| !name.is_empty() && name != "?");
    Some(Owned { slots: number(first)?..=number(last)?, at: (named.unwrap_or_else(|| host.to_owned()), number(port)?) })
}

/// Where, or when, a command has to be sent again. Redis has run nothing of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// Another server owns the slot. An empty host stands for that of the server that says so.
    Moved(String, u16),
    /// The slot is being moved to another server, which already has the keys.
    Ask(String, u16),
    /// Some of the keys are being moved.
    Later,
}

impl Redirect {
    /// Parses an error of Redis.
    pub(super) fn read(error: &str) -> Option<Self> {
        let mut words = error.split_whitespace();
        let kind = words.next()?;
        if kind == "TRYAGAIN" {
            return Some(Self::Later);
        }
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        let (host, port) = (host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?);
        match kind {
            "MOVED" => Some(Self::Moved(host, port)),
            "ASK" => Some(Self::Ask(host, port)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test that fails by unwrapping says enough.
mod tests {
    use super::*;

    fn server(name: Value, port: i64) -> Value {
        Value::Array(vec![name, Value::Integer(port), "id".into(), Value::Array(Vec::new())])
    }

    fn range(first: i64, last: i64, servers: Vec<Value>) -> Value {
        let bounds = [Value::Integer(first), Value::Integer(last)];
        Value::Array(bounds.into_iter().chain(servers).collect())
    }

    #[test]
    fn each_range_of_slots_has_its_primary() {
        let answer = Value::Array(vec![
            range(0, 5_460, vec![server("10.0.0.1".into(), 7_000), server("10.0.0.2".into(), 7_001)]),
            range(5_461, 16_383, vec![server("redis.example".into(), 7_002)]),
        ]);
        let owned = read(answer, "seed").unwrap();
        assert_eq!(owned[0], Owned { slots: 0..=5_460, at: ("10.0.0.1".to_owned(), 7_000) });
        assert_eq!(owned[1], Owned { slots: 5_461..=16_383, at: ("redis.example".to_owned(), 7_002) });
    }

    #[test]
    fn a_server_without_a_name_is_at_the_host_that_was_asked() {
        for name in [Value::Null, "".into(), "?".into()] {
            let owned = read(Value::Array(vec![range(0, 1, vec![server(name, 7_000)])]), "seed").unwrap();
            assert_eq!(owned[0].at, ("seed".to_owned(), 7_000));
        }
    }

    #[test]
    fn a_malformed_reply_is_refused() {
        for answer in [Value::Null, Value::Array(vec![Value::Null]), Value::Array(vec![range(0, 70_000, vec![])])] {
            assert!(read(answer, "seed").is_err());
        }
    }

    #[test]
    fn redirections_are_parsed() {
        let at = |host: &str| (host.to_owned(), 7_000);
        let moved = |host| Some(Redirect::Moved(at(host).0, 7_000));
        assert_eq!(Redirect::read("MOVED 3999 10.0.0.1:7000"), moved("10.0.0.1"));
        assert_eq!(Redirect::read("MOVED 3999 [::1]:7000"), moved("::1"));
        assert_eq!(Redirect::read("MOVED 3999 :7000"), moved(""));
        assert_eq!(Redirect::read("ASK 3999 h:7000"), Some(Redirect::Ask("h".to_owned(), 7_000)));
        assert_eq!(Redirect::read("TRYAGAIN Multiple keys request"), Some(Redirect::Later));
        for other in ["", "MOVED", "MOVED 1 h", "READONLY You can't", "ERR 1 h:1"] {
            assert_eq!(Redirect::read(other), None, "{other}");
        }
    }
}
