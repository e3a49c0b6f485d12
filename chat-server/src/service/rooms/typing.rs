//! Saying that one is typing: passes, and is never stored.

use serde_json::json;

use super::Rooms;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::service::actor::Actor;
use crate::store::{Signal, SignalEvent};

impl Rooms {
    /// Tells the others in a room whether the actor is typing.
    ///
    /// # Errors
    /// As for writing there.
    pub async fn set_typing(&self, actor: &Actor, room: &RoomId, on: bool) -> Result<(), Refusal> {
        let user = &*actor.user;
        self.access(user, room).await?.standing(room).may_write()?;
        let signal = Signal {
            event: SignalEvent::Typing,
            except: Some(user.id.clone()),
            version: None,
            payload: json!({ "room": room, "user": user, "on": on }),
        };
        Ok(self.signal(room, &signal).await?)
    }
}
