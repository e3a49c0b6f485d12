//! How far one has read.

use super::Messages;
use crate::domain::error::Refusal;
use crate::domain::id::RoomId;
use crate::domain::position::Offset;
use crate::service::actor::Actor;
use crate::store::{Marked, Notice, Topic};

impl Messages {
    /// Marks a room as read up to an offset, cut at the head, and tells the person's other sockets. Returns what is left.
    ///
    /// # Errors
    /// As for taking part in the room.
    pub async fn mark_read(&self, actor: &Actor, room: &RoomId, offset: Offset) -> Result<u64, Refusal> {
        let user = &*actor.user;
        self.rooms.access(user, room).await?.standing(room).may_take_part()?;
        let Marked { offset, epoch, unread } = self.marks.mark_read(&Topic::room(room), &user.id, offset).await?;
        let by_socket = actor.connection.map(|connection| connection.to_string());
        self.rooms.notify(&user.id, &Notice::Read { room: room.clone(), offset, epoch, unread, by_socket }).await;
        Ok(unread)
    }
}
