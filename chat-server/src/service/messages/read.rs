//! How far one has read.

use super::Messages;
use crate::domain::error::Refusal;
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Offset;
use crate::service::actor::Actor;
use crate::store::{Keep, Notice, Range, StoreError, Topic};

impl Messages {
    /// Marks a room as read up to an offset, cut at the head, and tells the person's other sockets. Returns what is left.
    ///
    /// # Errors
    /// As for taking part in the room.
    pub async fn mark_read(&self, actor: &Actor, room: &RoomId, offset: Offset) -> Result<u64, Refusal> {
        let user = &*actor.user;
        self.rooms.access(user, room).await?.standing(room).may_take_part()?;
        let topic = Topic::room(room);
        let head = Range { after: Offset::MAX - 1, before: None, limit: 1, keep: Keep::Oldest };
        let offset = offset.min(self.log.read(&topic, head).await?.top);
        let unread = self.marks.mark_read(&topic, &user.id, offset).await?;
        let by_socket = actor.connection.map(|connection| connection.to_string());
        self.rooms.notify(&user.id, &Notice::Read { room: room.clone(), offset, unread, by_socket }).await;
        Ok(unread)
    }

    /// How many messages of others one has not read, in each room.
    ///
    /// # Errors
    /// The store's.
    pub async fn unread(&self, user: &UserId, rooms: &[RoomId]) -> Result<Vec<u64>, StoreError> {
        let topics: Vec<_> = rooms.iter().map(Topic::room).collect();
        self.marks.unread(&topics, user).await
    }
}
