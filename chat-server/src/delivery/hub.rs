//! Attaching outlets to the feeds of rooms.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::oneshot;

use super::feed::Feed;
use super::mailbox::{Attached, Attachment, FeedHandle, IfAttached, Message};
use super::outlet::Outlet;
use super::registry::Registry;
use super::shared::Shared;
use crate::domain::id::RoomId;
use crate::domain::position::{Lineage, Offset, Position};
use crate::store::StoreError;

/// How often an attachment is tried where feeds end meanwhile.
const ATTEMPTS: usize = 3;
/// Rooms that one outlet is attached to at a time.
const ATTACHED_AT_ONCE: usize = 16;

/// Attaches outlets to the feeds of rooms. Clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
}

impl Hub {
    /// A hub without feeds.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), registry: Arc::default() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The rooms that the node delivers.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomId> {
        self.registry.all().into_iter().map(|(room, _)| room).collect()
    }

    /// Attaches an outlet to a room. It receives what comes after the returned position, which is at or after
    /// `at_least`; but nothing before [`Hub::ready`], even if it was attached before.
    ///
    /// # Errors
    /// The store's.
    pub async fn attach<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        room: &RoomId,
        at_least: Offset,
    ) -> Result<Position, StoreError> {
        self.restart(outlet, room, at_least, None).await.map(|attached| attached.head)
    }

    /// As [`Hub::attach`], for a client that opens its session: attaches it to all its rooms, of each of which it may have
    /// everything up to a position. Rooms that the node does not serve yet are subscribed to and read together, and clients
    /// that reconnect from about the same position share one read of the log.
    ///
    /// # Errors
    /// The store's.
    pub async fn attach_all<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        rooms: &[(RoomId, Option<Position>)],
    ) -> Result<Vec<Attached>, StoreError> {
        self.feeds(rooms.iter().map(|(room, _)| room));
        // Not mapped while they are polled: the compiler can't tell that such a stream may be sent.
        let each: Vec<_> = rooms.iter().map(|(room, since)| self.restart(outlet, room, 0, since.as_ref())).collect();
        stream::iter(each).buffered(ATTACHED_AT_ONCE).try_collect().await
    }

    /// Attaches an outlet to a room whose log says at `joined` that the user joined. `None`: the outlet is attached and
    /// has received that entry, or will. Otherwise as [`Hub::attach`].
    ///
    /// # Errors
    /// The store's.
    pub async fn attach_joined<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        room: &RoomId,
        joined: Offset,
    ) -> Result<Option<Position>, StoreError> {
        let attached = self.send_attach(outlet, room, joined, None, IfAttached::Continue);
        Ok(attached.await?.map(|attached| attached.head))
    }

    async fn restart<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        room: &RoomId,
        at_least: Offset,
        since: Option<&Position>,
    ) -> Result<Attached, StoreError> {
        let attached = self.send_attach(outlet, room, at_least, since, IfAttached::Restart);
        attached.await?.ok_or_else(|| StoreError::Unavailable("the room's feed did not restart the outlet".into()))
    }

    async fn send_attach<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        room: &RoomId,
        at_least: Offset,
        since: Option<&Position>,
        if_attached: IfAttached,
    ) -> Result<Option<Attached>, StoreError> {
        outlet.attached_to(room);
        // A feed may end between the look-up and the message: then the next attempt starts another.
        for _ in 0..ATTEMPTS {
            let (reply, answer) = oneshot::channel();
            let attachment = Attachment { outlet: outlet.clone(), at_least, since: since.cloned(), if_attached };
            if let Some(feed) = self.feeds(std::iter::once(room)).pop()
                && feed.send(Message::Attach(Box::new((attachment, reply)))).await
                && let Ok(answer) = answer.await
            {
                return answer;
            }
        }
        Err(StoreError::Unavailable("the room's feed ended".into()))
    }

    /// Where the events of a room start for an outlet that was attached at `head` and has everything up to `since`,
    /// which the log covers in this `lineage`.
    ///
    /// # Errors
    /// The store's.
    pub async fn level<O: Outlet>(
        &self,
        outlet: &Arc<O>,
        room: &RoomId,
        mut head: Position,
        lineage: &Lineage,
        since: &Position,
    ) -> Result<Position, StoreError> {
        if !lineage.holds(&head) {
            // The feed does not know yet that the store lost entries that it delivered.
            self.send(room, Message::Backfill).await;
            head = self.attach(outlet, room, 0).await?;
        }
        // The client may have received entries from another node that this feed has not.
        Ok(if since.offset > head.offset { since.clone() } else { head })
    }

    /// Starts the delivery of a room to an attached outlet that has everything up to `position`.
    pub async fn ready<O: Outlet>(&self, outlet: &Arc<O>, room: &RoomId, position: Position) {
        self.send(room, Message::Ready(Box::new((outlet.id(), position)))).await;
    }

    /// Ends the delivery of a room to an outlet.
    pub async fn detach<O: Outlet>(&self, outlet: &Arc<O>, room: &RoomId) {
        self.send(room, Message::Detach(outlet.id())).await;
    }

    async fn send(&self, room: &RoomId, message: Message) {
        if let Some(feed) = self.registry.get(room) {
            // A feed that has ended has no outlets.
            feed.send(message).await;
        }
    }

    /// The feeds of rooms. Those that do not run yet start together.
    fn feeds<'a>(&self, rooms: impl Iterator<Item = &'a RoomId>) -> Vec<FeedHandle> {
        let (mut handles, mut new) = (Vec::new(), Vec::new());
        for room in rooms {
            let (handle, mailbox) = self.registry.get_or_insert(room);
            if let Some(mailbox) = mailbox {
                let feed = Feed::new(self.shared.clone(), self.registry.clone(), room.clone(), handle.clone());
                new.push((feed, mailbox));
            }
            handles.push(handle);
        }
        if !new.is_empty() {
            tokio::spawn(Feed::start_all(self.shared.clone(), new));
        }
        handles
    }
}
