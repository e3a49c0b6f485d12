//! Bounds that hold for everyone, whatever the configuration.

/// Most messages, or log entries, that one request returns.
pub const HISTORY_LIMIT: usize = 100;
/// Most entries that are sent one by one to someone who comes back; one `gap` stands for more.
pub const RECOVERY_LIMIT: u64 = 500;
