//! The requests of a client, a file each: what it says, what answers it, and which use case does it.
//!
//! A new request is a file below `requests/` and a line in the list at the end of this one. The list is what dispatches,
//! what is fuzzed, what `tests/chat_malformed.rs` breaks field by field, and what `docs/protocol.md`, `docs/asyncapi.yaml`
//! and the page's types are generated from.

use serde::Serialize;
use serde_json::value::RawValue;

use super::first_write;
use super::protocol::Packet;
use super::request::{Call, RateClass, Reply, Request};
use crate::domain::error::{Code, Refusal};

/// `{ok: true, …}`.
///
/// # Errors
/// `unavailable`: the answer can't be written as JSON, which no type here allows to happen.
fn ok<A: Serialize>(answer: &A) -> Result<Box<RawValue>, Refusal> {
    let unwritten = |error: serde_json::Error| Refusal::new(Code::Unavailable, error.to_string());
    let members = serde_json::to_string(answer).map_err(unwritten)?;
    let rest = members.strip_prefix('{').unwrap_or("}");
    let comma = if rest == "}" { "" } else { "," };
    RawValue::from_string(format!(r#"{{"ok":true{comma}{rest}"#)).map_err(unwritten)
}

/// `{ok: false, error}`.
pub(super) fn refused(refusal: &Refusal) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Refused<'a> {
        ok: bool,
        error: &'a Refusal,
    }
    super::event::raw(&Refused { ok: false, error: refusal })
}

async fn serve<R: Request>(packet: Packet, call: Call<'_>) -> Result<Reply<Box<RawValue>>, Refusal> {
    let request: R = packet.read()?;
    if let Some(class) = R::RATE.taken_before() {
        call.actor.take_token(class)?;
    }
    if R::RATE == RateClass::Change && !R::PROTECTS {
        call.context.reserve.spare()?;
    }
    if R::KEEPS {
        first_write::store(call.context, call.client).await?;
    }
    let Reply { answer, then } = request.handle(call).await?;
    Ok(Reply { answer: ok(&answer)?, then })
}

/// A request, for those who walk the list.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The event's name.
    pub name: &'static str,
    /// Which limit it counts towards.
    pub rate: RateClass,
    /// A well-formed payload: JSON.
    pub example: &'static str,
    /// Whether it can be read from this packet: whatever comes, it is read or refused.
    pub reads: fn(&str) -> bool,
}

macro_rules! requests {
    ($($module:ident::$request:ident,)+) => {
        $(pub(super) mod $module;)+

        /// Does what a packet asks for.
        pub(super) async fn dispatch(packet: Packet, call: Call<'_>) -> Result<Reply<Box<RawValue>>, Refusal> {
            match packet.event.as_str() {
                $(<$module::$request as Request>::NAME => serve::<$module::$request>(packet, call).await,)+
                _ => Err(Refusal::new(Code::Unsupported, "this server knows no such request")),
            }
        }

        /// Every request.
        pub const ALL: &[Listed] = &[$(Listed {
            name: <$module::$request as Request>::NAME,
            rate: <$module::$request as Request>::RATE,
            example: <$module::$request as Request>::EXAMPLE,
            reads: |text| Packet::parse(text, false).read::<$module::$request>().is_ok(),
        },)+];

        #[cfg(test)]
        pub(super) fn contract(schemas: &mut schemars::SchemaGenerator) -> Vec<super::contract::Contract> {
            vec![$(super::contract::Contract::of::<$module::$request>(schemas),)+]
        }
    };
}

requests! {
    room_create::RoomCreate,
    room_list::RoomList,
    room_join::RoomJoin,
    room_leave::RoomLeave,
    room_update::RoomUpdate,
    room_members::RoomMembers,
    room_invite::RoomInvite,
    room_accept::RoomAccept,
    room_invites::RoomInvites,
    room_revoke::RoomRevoke,
    dm_open::DmOpen,
    dm_close::DmClose,
    user_block::UserBlock,
    profile_set::ProfileSet,
    message_send::MessageSend,
    history_get::HistoryGet,
    log_get::LogGet,
    read_mark::ReadMark,
    typing_set::TypingSet,
    session_list::SessionList,
    session_revoke::SessionRevoke,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::socketio::request::Done;

    #[test]
    fn an_answer_says_ok_before_its_members() {
        #[derive(Serialize)]
        struct Answer {
            room: &'static str,
        }
        assert_eq!(ok(&Answer { room: "r" }).unwrap().get(), r#"{"ok":true,"room":"r"}"#);
        assert_eq!(ok(&Done {}).unwrap().get(), r#"{"ok":true}"#);
    }

    #[test]
    fn every_example_is_read() {
        for request in ALL {
            assert!((request.reads)(&format!(r#"["{}",{}]"#, request.name, request.example)), "{}", request.name);
        }
    }

    #[test]
    fn no_two_requests_have_one_name() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|request| request.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
