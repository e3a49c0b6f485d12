//! The limits that load and faults are not about.

/// Options of `chat-server` that `0` lifts. A new limit of what one person or one address may do comes here, too.
pub(crate) const LIFTED_LIMITS: [&str; 6] = [
    "--messages-per-second",
    "--message-burst",
    "--changes-per-second",
    "--queries-per-second",
    "--handshakes-per-second-per-address",
    "--new-guests-per-second-per-address",
];
