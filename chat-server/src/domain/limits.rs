//! Bounds that hold for everyone, whatever the configuration.

/// Most messages, or log entries, that one request returns.
pub const HISTORY_LIMIT: usize = 100;
/// Most entries that are sent one by one to someone who comes back; one `gap` stands for more.
pub const RECOVERY_LIMIT: u64 = 500;
/// How long a page is that nobody gave a length.
const PAGE: usize = 50;
/// Most rooms one person can be in, the lobby not counted.
pub const MAX_ROOMS_PER_USER: usize = 500;
/// Most links of one room that let people in.
pub const MAX_INVITES: usize = 1_000;
/// Most people that one link lets in.
pub const MAX_INVITE_USES: u32 = 100_000;
/// Longest life of a link, in seconds: a year.
pub const MAX_INVITE_SECONDS: u64 = 365 * 86_400;

/// How many entries a page has that was asked for with this limit.
#[must_use]
pub fn page(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, HISTORY_LIMIT)
}
