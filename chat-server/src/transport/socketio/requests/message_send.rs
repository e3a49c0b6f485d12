//! `message:send`.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use crate::domain::content::Content;
use crate::domain::error::Refusal;
use crate::domain::id::{Nonce, RoomId};
use crate::domain::message::{Draft, EntryId};
use crate::domain::position::{Millis, Position};
use crate::transport::socketio::request::{Call, RateClass, Reply, Request};

/// Sends a message. The same nonce gets the same answer; another text under it is `conflict`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageSend {
    room: RoomId,
    nonce: Nonce,
    /// Kept exactly as it came.
    text: String,
    /// The message that this one answers.
    reply_to: Option<EntryId>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Sent {
    id: EntryId,
    position: Position,
    at: Millis,
}

impl Request for MessageSend {
    const NAME: &'static str = "message:send";
    const RATE: RateClass = RateClass::Message;
    const EXAMPLE: &'static str = r#"{"room":"lobby","nonce":"n1","text":"Hello"}"#;
    type Answer = Sent;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Sent>, Refusal> {
        let Self { room, nonce, text, reply_to } = self;
        let draft = Draft { room, nonce, content: Content::Text(text), reply_to };
        // A socket's requests are done one after the other: nobody else looks for them meanwhile.
        let known = || call.client.rights.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rights = known().remove(&draft.room).map(|rights| *rights);
        let sent = call.context.messages.send(call.actor, &draft, &mut rights, call.trace).await;
        if let Some(rights) = rights {
            known().insert(draft.room, Box::new(rights));
        }
        let sent = sent?;
        Ok(Sent { id: sent.id, position: sent.position, at: sent.at }.into())
    }
}
