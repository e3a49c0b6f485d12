//! Bugs on purpose, for the history checker to find: a checker that never found one proves nothing.
//!
//! They are compiled in by the feature `fault-injection` only, which no image has, and even then one has
//! to be chosen with `CHAT_INJECT_FAULT`.

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
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
#[cfg(not(feature = "fault-injection"))]
#[must_use]
pub const fn is_injected(_: Fault) -> bool {
    false
}

/// Whether the bug is there and shows this time: once in so many.
#[cfg(not(feature = "fault-injection"))]
#[must_use]
pub const fn occurs(_: Fault, _: u64) -> bool {
    false
}

#[cfg(feature = "fault-injection")]
pub use on_purpose::{held_back, hold_back, is_injected, occurs};

#[cfg(feature = "fault-injection")]
mod on_purpose {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError};

    use serde_json::value::RawValue;

    use super::Fault;

    static TIMES: AtomicU64 = AtomicU64::new(0);

    fn chosen() -> Option<Fault> {
        static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let fault = match std::env::var("CHAT_INJECT_FAULT").ok()?.as_str() {
                "forget-nonce" => Fault::ForgetNonce,
                "drop-frame" => Fault::DropFrame,
                "lose-last-frame" => Fault::LoseLastFrame,
                "swap-deliveries" => Fault::SwapDeliveries,
                "recover-short" => Fault::RecoverShort,
                "ack-before-store" => Fault::AckBeforeStore,
                "keep-epoch" => Fault::KeepEpoch,
                _ => return None,
            };
            tracing::warn!(?fault, "this server has an injected fault");
            Some(fault)
        })
    }

    /// Whether the bug is there.
    #[must_use]
    pub fn is_injected(fault: Fault) -> bool {
        chosen() == Some(fault)
    }

    /// Whether the bug is there and shows this time: once in so many.
    #[must_use]
    pub fn occurs(fault: Fault, once_in: u64) -> bool {
        is_injected(fault) && TIMES.fetch_add(1, Ordering::Relaxed) % once_in == once_in - 1
    }

    static HELD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

    /// Whether an event is kept from a socket for now.
    #[must_use]
    pub fn hold_back(socket: &str, payload: &str) -> bool {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = occurs(Fault::SwapDeliveries, 100) && !held.contains_key(socket);
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
}
