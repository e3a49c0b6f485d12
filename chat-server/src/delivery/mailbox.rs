//! The messages that a feed receives, and the handle by which it is sent them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::outlet::Outlet;
use crate::domain::id::ConnectionId;
use crate::domain::position::{Offset, Position};
use crate::observability::traces::Followed;
use crate::store::{Entry, Signal, StoreError};

/// Messages that may wait for a feed. A feed that falls further behind reads the log instead.
const CAPACITY: usize = 1024;

/// What an outlet that is attached to the room already does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfAttached {
    /// It is held back, and starts anew at [`Message::Ready`].
    Restart,
    /// It goes on as it is, if it has received what it is attached for.
    Continue,
}

/// Where an outlet was attached to a room.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The outlet receives everything after this position.
    pub head: Position,
    /// The feed's backlog holds what lies between the position that the outlet came with and `head`: the outlet can
    /// start at its own position.
    pub kept: bool,
}

/// An outlet that is to be attached.
pub(super) struct Attachment {
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) at_least: Offset,
    /// What the client has, if it reconnects.
    pub(super) since: Option<Position>,
    pub(super) if_attached: IfAttached,
}

/// `None`: the outlet goes on as it was.
pub(super) type Reply = oneshot::Sender<Result<Option<Attached>, StoreError>>;

/// Boxed where it is large: a channel allocates places for 32 messages at once, and most rooms are quiet.
pub(super) enum Message {
    Attach(Box<(Attachment, Reply)>),
    Ready(Box<(ConnectionId, Position)>),
    Detach(ConnectionId),
    Entry(Box<(Entry, Option<Followed>)>),
    Signal(Arc<Signal>),
    /// Read the log: something may have been missed.
    Backfill,
}

/// What the rest of the node has of a feed.
#[derive(Clone)]
pub(super) struct FeedHandle {
    mailbox: mpsc::Sender<Message>,
    missed: Arc<AtomicBool>,
    position: Arc<Mutex<Option<Position>>>,
}

impl FeedHandle {
    /// The handle of a feed that does not run yet, and its mailbox.
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (mailbox, messages) = mpsc::channel(CAPACITY);
        (Self { mailbox, missed: Arc::default(), position: Arc::default() }, messages)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// Sends a message, waiting for room; false if the feed has ended.
    pub(super) async fn send(&self, message: Message) -> bool {
        self.mailbox.send(message).await.is_ok()
    }

    /// Sends a message, or has the feed read the log where there is no room.
    pub(super) fn send_or_backfill(&self, message: Message) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.mailbox.try_send(message) {
            self.set_missed(true);
        }
    }

    /// Has the feed compare itself with the log, as soon as it can.
    pub(super) fn backfill(&self) {
        self.set_missed(true);
        // A feed whose mailbox is full sees the mark.
        let _ = self.mailbox.try_send(Message::Backfill);
    }

    /// Whether the feed may have missed entries, and has to read the log.
    pub(super) fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    pub(super) fn set_missed(&self, missed: bool) {
        self.missed.store(missed, Ordering::Relaxed);
    }

    /// Up to where the feed has applied the log; `None` until the feed knows.
    pub(super) fn position(&self) -> Option<Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_position(&self, position: &Position) {
        let mut known = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(position) {
            *known = Some(position.clone());
        }
    }
}
