//! The scripts, each with what goes before it.

use fred::types::scripts::Script;

use crate::fault_injection::{self, Fault};

/// What goes before the scripts that append.
const APPENDING: &str = concat!(include_str!("trim.lua"), include_str!("entry.lua"));

/// One a verb, but for the commits, which have two.
pub(super) struct Scripts {
    pub(super) commit: Script,
    pub(super) append: Script,
    pub(super) read: Script,
    pub(super) top: Script,
    pub(super) nonce: Script,
    pub(super) fields: Script,
    pub(super) list: Script,
    pub(super) mark: Script,
    pub(super) unread: Script,
    pub(super) touch: Script,
    pub(super) presence: Script,
    pub(super) activity: Script,
}

impl Scripts {
    /// Those of a Redis Cluster (`sharded`), or of a Redis by itself.
    pub(super) fn new(sharded: bool) -> Self {
        let headed = |script: &str| Script::from_lua(include_str!("head.lua").to_owned() + script);
        let living = |script: &str| {
            let life = include_str!("life.lua");
            let life = if fault_injection::is_injected(Fault::KeepEpoch) {
                life.replace("server_id() ~= server", "false")
            } else {
                life.to_owned()
            };
            let script = include_str!("head.lua").to_owned() + &life + script;
            // In a Redis Cluster a PUBLISH goes to every server of it.
            Script::from_lua(if sharded { script.replace("'PUBLISH'", "'SPUBLISH'") } else { script })
        };
        Self {
            commit: living(&[APPENDING, include_str!("commit.lua")].concat()),
            append: living(&[APPENDING, include_str!("append.lua")].concat()),
            read: living(include_str!("read.lua")),
            top: headed(include_str!("top.lua")),
            nonce: Script::from_lua(include_str!("nonce.lua")),
            fields: Script::from_lua(include_str!("fields.lua")),
            list: Script::from_lua(include_str!("list.lua")),
            mark: headed(include_str!("mark.lua")),
            unread: headed(include_str!("unread.lua")),
            touch: Script::from_lua(include_str!("touch.lua")),
            presence: Script::from_lua(include_str!("presence.lua")),
            activity: Script::from_lua(include_str!("activity.lua")),
        }
    }
}
