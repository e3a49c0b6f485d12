//! What one client, user or stranger may use up: every bound, with its answer.

use serde::Serialize;

use super::code::Code;

/// Most messages, or log entries, that one request returns.
pub const HISTORY_LIMIT: usize = 100;
/// Most bytes of what was said in one answer; a single message may be larger. Whoever does not read their answers makes the
/// node keep them.
pub const PAGE_BYTES: usize = 256 * 1024;
/// Most entries that are sent one by one to someone who comes back; one `gap` stands for more.
pub const RECOVERY_LIMIT: u64 = 500;
/// How long a page is that nobody gave a length.
const PAGE: usize = 50;
/// Most rooms that a person creates, joins and opens, the lobby not counted.
pub const MAX_ROOMS_PER_USER: usize = 500;
/// Most rooms that others add a person to.
pub const MAX_ROOMS_ADDED_TO: usize = 250;
/// Most direct messages of strangers that wait for a person's answer.
pub const MAX_REQUESTS: usize = 100;
/// Most invitations that wait for a person's word.
pub const MAX_INVITATIONS: usize = 100;
/// Most people that a person blocks.
pub const MAX_BLOCKED: usize = 500;
/// Most requests of a socket that may wait.
pub const QUEUED_REQUESTS: usize = 1024;
/// Most links of one room that let people in.
pub const MAX_INVITES: usize = 1_000;
/// Most people that one link lets in.
pub const MAX_INVITE_USES: u32 = 100_000;
/// How long a public room, and its name, is kept after its last member left.
pub const EMPTY_PUBLIC_DAYS: u64 = 30;
/// How long a private room is.
pub const EMPTY_PRIVATE_DAYS: u64 = 1;
/// The part of the store's memory that is for messages only, in percent.
pub const STORE_RESERVE_PERCENT: u32 = 10;
/// Longest life of a link, in seconds: a year.
pub const MAX_INVITE_SECONDS: u64 = 365 * 86_400;

/// Most people that a link lets in whose maker is neither owner nor moderator.
pub const MAX_MEMBER_INVITE_USES: u32 = 100;
/// Longest life of such a link, in seconds: a week.
pub const MAX_MEMBER_INVITE_SECONDS: u64 = 7 * 86_400;
/// Most sessions of a user; as many revoked ones are remembered.
pub const MAX_SESSIONS: usize = 50;

/// How many times as much as an address may do who may be many: all networks of an IPv6 /48, those behind a proxy that is not
/// named, and of new guests all who come to a node.
pub const MANY_STRANGERS: u32 = 20;

/// How many entries a page has that was asked for with this limit.
#[must_use]
pub fn page(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE).clamp(1, HISTORY_LIMIT)
}

/// What a client meets at a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A request is refused with this code, and `limit` names the bound.
    Refusal(Code),
    /// The handshake or the HTTP request is answered with this status.
    Http(u16),
    /// Anything else, in words.
    Other(&'static str),
}

/// A bound, as documents tell of it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Its name, which a refusal carries.
    pub name: &'static str,
    /// What it bounds.
    pub what: &'static str,
    /// Of whom.
    pub each: &'static str,
    /// How much that is, if no option says it.
    pub fixed: &'static str,
    /// The options that set it, without dashes.
    pub options: &'static [&'static str],
    /// What a client meets.
    pub answer: Answer,
}

macro_rules! limits {
    ($($limit:ident = $name:literal: $what:literal, $each:literal, $fixed:literal, $options:expr => $answer:expr;)+) => {
        /// A bound that a request can meet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum Limit {
            $(#[doc = $what] #[serde(rename = $name)] $limit,)+
        }

        /// Every bound.
        pub const ALL: &[Bound] = &[$(Bound {
            name: $name, what: $what, each: $each, fixed: $fixed, options: &$options, answer: $answer,
        },)+];
    };
}

limits! {
    Messages = "messages": "`message:send` and `typing:set`", "user on a node", "",
        ["messages-per-second", "message-burst"] => Answer::Refusal(Code::RateLimited);
    Changes = "changes": "requests of the class `change`", "user on a node", "60 s of the rate at once",
        ["changes-per-second"] => Answer::Refusal(Code::RateLimited);
    Queries = "queries": "requests of the class `query`", "user on a node", "10 s of the rate at once",
        ["queries-per-second"] => Answer::Refusal(Code::RateLimited);
    QueuedRequests = "queued-requests": "requests that wait for their turn", "socket", "1,024 or 1 MiB",
        [] => Answer::Refusal(Code::RateLimited);
    MessageBytes = "message-bytes": "text, in bytes of UTF-8", "message", "",
        ["max-message-bytes"] => Answer::Refusal(Code::TooLarge);
    Rooms = "rooms": "rooms created, joined and opened, the lobby not included", "user", "500",
        [] => Answer::Refusal(Code::Forbidden);
    RoomsAdded = "rooms-added": "rooms that others add the user to, and direct messages of users who share a room", "user",
        "250", [] => Answer::Other("the user is invited instead, or gets a message request");
    Received = "received": "invitations to the user and new direct messages with them, by all others", "user on a node",
        "60 s of the rate at once", ["changes-per-second"] => Answer::Refusal(Code::RateLimited);
    Requests = "requests": "message requests of strangers that wait for an answer", "user", "100",
        [] => Answer::Other("the oldest one makes room");
    Invitations = "invitations": "invitations that wait to be accepted", "user", "100",
        [] => Answer::Other("the oldest one makes room");
    Blocked = "blocked": "users whom the user blocks", "user", "500", [] => Answer::Refusal(Code::Forbidden);
    Invites = "invites": "open invite links; uses 1 to 100,000; one second to one year", "room", "1,000",
        [] => Answer::Refusal(Code::Forbidden);
    MemberInvites = "member-invites": "an invite link whose maker is neither owner nor moderator", "link",
        "100 uses, one week", [] => Answer::Refusal(Code::Forbidden);
    Sessions = "sessions": "sessions; revoked ones that are remembered", "user", "50, and 50",
        [] => Answer::Other("the session that was not used for the longest time is revoked");
    EmptyRooms = "empty-rooms": "time that a room is kept after its last member left, with its name and links", "room",
        "30 days if it is public, else 1 day", [] => Answer::Other("`not_found`; the name is free");
    StoreMemory = "store-memory": "changes and what new guests say first, as memory of Redis is in use (`maxmemory`)", "cluster",
        "90 %; the rest is for messages", [] => Answer::Refusal(Code::Unavailable);
    PageBytes = "page-bytes": "what was said, in one answer of history or log; `complete` tells of more", "request",
        "100 entries, 256 KiB", [] => Answer::Other("the rest is for the next request");
    PacketBytes = "packet-bytes": "a packet, `maxPayload`", "socket", "four times the text, and at least 64 KiB",
        ["max-message-bytes"] => Answer::Other("the connection is closed");
    PacketsPerPoll = "packets-per-poll": "packets in one answer of long polling", "poll", "16",
        [] => Answer::Other("the next answer has the rest");
    Upgrades = "upgrades": "attempts to go from long polling to a WebSocket", "session",
        "1; 10 s until its probe, 20 s more, 1 KiB", [] => Answer::Other("the session goes on polling");
    Backlog = "backlog": "events that wait for a slow reader", "socket",
        "1,024 packets or 128 KiB, and 1,024 entries or 1 MiB a room for all its sockets",
        [] => Answer::Other("one `gap` replaces what the socket missed");
    Connections = "connections": "clients, from the handshake on", "node", "",
        ["max-connections"] => Answer::Http(503);
    Handshakes = "handshakes": "handshakes of strangers", "address on a node ([which](#addresses))",
        "60 s of the rate at once", ["handshakes-per-second-per-address"] => Answer::Http(503);
    NewGuests = "new-guests": "guests who say or change something for the first time",
        "address on a node ([which](#addresses))", "300 s of the rate at once", ["new-guests-per-second-per-address"]
            => Answer::Refusal(Code::RateLimited);
    NodeGuests = "node-guests": "the same, of all addresses", "node", "20 times as many as for an address",
        ["new-guests-per-second-per-address"] => Answer::Refusal(Code::RateLimited);
    OpenFiles = "open-files": "TCP connections", "node", "two a client and 1,000, as the limit of open files allows",
        ["max-connections"] => Answer::Other("the oldest one whose request is not complete is closed, or 503");
    RequestHead = "request-head": "the head of an HTTP request", "connection", "10 s, 32 KiB",
        [] => Answer::Http(408);
    RequestBody = "request-body": "the body of an HTTP request", "connection", "30 s, `maxPayload`",
        [] => Answer::Http(408);
    IdleConnection = "idle-connection": "time without a request", "connection", "75 s",
        [] => Answer::Other("the connection is closed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_enforced() {
        for (name, enforced) in [
            ("node-guests", format!("{MANY_STRANGERS} times as many as for an address")),
            ("rooms", MAX_ROOMS_PER_USER.to_string()),
            ("rooms-added", MAX_ROOMS_ADDED_TO.to_string()),
            ("requests", MAX_REQUESTS.to_string()),
            ("invitations", MAX_INVITATIONS.to_string()),
            ("blocked", MAX_BLOCKED.to_string()),
            ("invites", format!("{},{:03}", MAX_INVITES / 1000, MAX_INVITES % 1000)),
            ("member-invites", format!("{MAX_MEMBER_INVITE_USES} uses, one week")),
            ("sessions", format!("{MAX_SESSIONS}, and {MAX_SESSIONS}")),
            ("empty-rooms", format!("{EMPTY_PUBLIC_DAYS} days if it is public, else {EMPTY_PRIVATE_DAYS} day")),
            ("store-memory", format!("{} %; the rest is for messages", 100 - STORE_RESERVE_PERCENT)),
            ("page-bytes", format!("{HISTORY_LIMIT} entries, {} KiB", PAGE_BYTES / 1024)),
        ] {
            let told = ALL.iter().find(|bound| bound.name == name).map(|bound| bound.fixed);
            assert_eq!(told, Some(enforced.as_str()), "{name}");
        }
    }
}
