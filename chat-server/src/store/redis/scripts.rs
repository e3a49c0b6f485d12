//! The Lua scripts: one for each call of a store, so that nobody sees half of a change.
//!
//! To add a script:
//! 1. Write `scripts/NAME.lua`. Its first comment says what it does, its `KEYS`, its `ARGV` and its reply.
//!    A command that no script used before also goes into `scripts/acl_check.lua` and into the ACL rules of
//!    `docs/redis.md`.
//! 2. Add a line to the list below. The libraries in brackets go before the script, in this order.
//!
//! The method that runs it calls `self.run(&self.scripts.NAME, keys, args)`. What a reply holds is parsed by
//! `replies.rs`. Names of keys come from `keys.rs`, which also describes each key.

use fred::types::scripts::Script;

use crate::fault_injection::{self, Fault};

/// The head of a log: where it is, and its layout.
const HEAD: &str = include_str!("scripts/lib/head.lua");
/// The epoch of a log: a new one begins when Redis may have lost entries.
const EPOCH: &str = include_str!("scripts/lib/epoch.lua");
/// Retention.
const TRIM: &str = include_str!("scripts/lib/trim.lua");
/// An entry in the log and on the bus.
const ENTRY: &str = include_str!("scripts/lib/entry.lua");
/// Tells which permissions the user lacks. `server_check.rs` runs it on each server.
pub(super) const ACL_CHECK: &str = include_str!("scripts/acl_check.lua");

macro_rules! scripts {
    ($($name:ident: [$($library:ident),*],)*) => {
        /// All scripts but `acl_check`, each with its libraries.
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        impl Scripts {
            /// The scripts for a Redis Cluster (`sharded`), or for a single Redis.
            pub(super) fn new(sharded: bool) -> Self {
                let script = |libraries: &[&str], text: &str| {
                    let mut all = libraries.concat() + text;
                    if fault_injection::is_injected(Fault::KeepEpoch) {
                        all = all.replace("server_id() ~= server", "false");
                    }
                    // In a Redis Cluster a PUBLISH goes to every server of it.
                    Script::from_lua(if sharded { all.replace("'PUBLISH'", "'SPUBLISH'") } else { all })
                };
                Self {
                    $($name: script(&[$($library),*], include_str!(concat!("scripts/", stringify!($name), ".lua"))),)*
                }
            }
        }
    };
}

scripts! {
    commit: [HEAD, EPOCH, TRIM, ENTRY],
    append: [HEAD, EPOCH, TRIM, ENTRY],
    read_log: [HEAD, EPOCH],
    read_heads: [HEAD, EPOCH],
    find_nonce: [],
    read_fields: [],
    list_fields: [],
    verify_fields: [],
    touch: [],
    mark_read: [HEAD],
    count_gone: [HEAD],
    presence: [],
    activity: [],
}
