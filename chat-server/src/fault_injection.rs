//! Injected faults, which the history checker has to find: a checker that never found one proves nothing.
//!
//! The feature `fault-injection` compiles them in; no image has it. `CHAT_INJECT_FAULT` selects one.

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A message that is sent again is stored again.
    ForgetNonce,
    /// Now and then an event is not sent to a socket.
    DropFrame,
    /// Now and then the bus loses an entry, and nobody compares with the log: the last entry of a
    /// quiet room is never delivered.
    LoseLastFrame,
    /// Now and then two events to a socket change places.
    SwapDeliveries,
    /// A recovery lacks the last missed entry.
    RecoverShort,
    /// A message is acknowledged before it is stored.
    AckBeforeStore,
    /// A store that lost entries goes on in the old epoch.
    KeepEpoch,
}

/// Whether this fault is injected. A constant without the feature.
#[cfg(not(feature = "fault-injection"))]
#[must_use]
pub const fn is_injected(_: Fault) -> bool {
    false
}

/// Whether this fault is injected and occurs this time: once in `once_in` times.
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

    /// Whether this fault is injected.
    #[must_use]
    pub fn is_injected(fault: Fault) -> bool {
        chosen() == Some(fault)
    }

    /// Whether this fault is injected and occurs this time: once in `once_in` times.
    #[must_use]
    pub fn occurs(fault: Fault, once_in: u64) -> bool {
        is_injected(fault) && TIMES.fetch_add(1, Ordering::Relaxed) % once_in == once_in - 1
    }

    static HELD: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

    /// Whether an event to a socket is held back for now.
    #[must_use]
    pub fn hold_back(socket: &str, payload: &str) -> bool {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        let hold = occurs(Fault::SwapDeliveries, 100) && !held.contains_key(socket);
        if hold {
            held.insert(socket.to_owned(), payload.to_owned());
        }
        hold
    }

    /// Takes the event that was held back from a socket.
    #[must_use]
    pub fn held_back(socket: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(socket)?).ok()
    }
}
