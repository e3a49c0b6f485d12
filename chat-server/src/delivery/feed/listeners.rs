//! The outlets that a feed delivers to, in a list that can be gone through in parts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::delivery::outlet::Outlet;
use crate::domain::id::ConnectionId;
use crate::domain::position::Offset;
use crate::store::Signal;

/// How many signals of a room are held back for an outlet that was attached and whose session is not told yet.
pub(super) const MAX_HELD_SIGNALS: usize = 32;

/// An outlet, and how far it is.
pub(super) struct Listener {
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) progress: Progress,
    /// The feed's position when the outlet was attached.
    pub(super) attached_at: Offset,
}

/// How far an outlet is.
pub(super) enum Progress {
    /// It gets nothing before [`Message::Ready`](crate::delivery::mailbox::Message::Ready): its session may not have been
    /// told yet. The signals of that time, the newest [`MAX_HELD_SIGNALS`], are held back until then.
    NotReady { signals: VecDeque<Arc<Signal>> },
    /// It has everything up to `received`, and is to get the rest. `rolled_back`: it also has entries after `received`
    /// that the store lost, and gets a gap that says so.
    CatchingUp { received: Offset, rolled_back: bool },
    /// It has everything.
    Live,
}

impl Listener {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.progress, Progress::Live)
    }

    pub(super) fn catches_up(&self) -> bool {
        matches!(self.progress, Progress::CatchingUp { .. })
    }
}

/// Up to so many are searched one by one. Most rooms are small, and there are many of them.
const SEARCHED: usize = 16;

#[derive(Default)]
pub(super) struct Listeners {
    list: Vec<Listener>,
    /// The index of each, where they are too many to be searched.
    index: Option<HashMap<ConnectionId, usize>>,
}

impl Listeners {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Listener> {
        self.list.iter_mut()
    }

    pub(super) fn at(&mut self, index: usize) -> Option<&mut Listener> {
        self.list.get_mut(index)
    }

    pub(super) fn get(&self, outlet: ConnectionId) -> Option<&Listener> {
        self.list.get(self.find(outlet)?)
    }

    pub(super) fn get_mut(&mut self, outlet: ConnectionId) -> Option<&mut Listener> {
        let at = self.find(outlet)?;
        self.list.get_mut(at)
    }

    fn find(&self, outlet: ConnectionId) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&outlet).copied(),
            None => self.list.iter().position(|listener| listener.outlet.id() == outlet),
        }
    }

    /// Adds an outlet, or starts anew with one that is there: what was held back from it still is.
    pub(super) fn insert(&mut self, outlet: Arc<dyn Outlet>, attached_at: Offset) {
        let id = outlet.id();
        if let Some(known) = self.get_mut(id) {
            if !matches!(known.progress, Progress::NotReady { .. }) {
                known.progress = Progress::NotReady { signals: VecDeque::new() };
            }
            (known.outlet, known.attached_at) = (outlet, attached_at);
            return;
        }
        let listener = Listener { outlet, progress: Progress::NotReady { signals: VecDeque::new() }, attached_at };
        if self.list.len() < SEARCHED {
            self.list.reserve_exact(1);
        } else if self.index.is_none() {
            self.index = Some(self.list.iter().enumerate().map(|(at, listener)| (listener.outlet.id(), at)).collect());
        }
        if let Some(index) = &mut self.index {
            index.insert(id, self.list.len());
        }
        self.list.push(listener);
    }

    pub(super) fn remove(&mut self, outlet: ConnectionId) {
        if let Some(at) = self.find(outlet) {
            self.remove_at(at);
        }
    }

    /// Removes the listener at an index, where the last one goes.
    pub(super) fn remove_at(&mut self, at: usize) {
        let removed = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&removed.outlet.id());
            if let Some(moved) = self.list.get(at) {
                index.insert(moved.outlet.id(), at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::event::Event;
    use crate::delivery::outlet::NotQueued;
    use crate::domain::id::{RoomId, UserId};

    struct Silent(ConnectionId, UserId);

    impl Outlet for Silent {
        fn id(&self) -> ConnectionId {
            self.0
        }

        fn user(&self) -> &UserId {
            &self.1
        }

        fn attached_to(&self, _: &RoomId) {}

        fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
            (events.len(), None)
        }

        fn emit_signal(&self, _: &Signal, _: &Event) {}
    }

    #[test]
    fn a_listener_is_found_whatever_was_added_and_removed() {
        let mut listeners = Listeners::default();
        let ids: Vec<_> = (0..3 * SEARCHED).map(|n| ConnectionId::parse(&format!("{n:016}")).unwrap()).collect();
        let add = |listeners: &mut Listeners, id: ConnectionId| {
            listeners.insert(Arc::new(Silent(id, UserId::parse("u1").unwrap())), 0);
        };
        for id in &ids {
            add(&mut listeners, *id);
            add(&mut listeners, *id);
        }
        assert_eq!(listeners.len(), ids.len(), "an outlet that is added again is one");
        let (removed, left): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(number, _)| number % 3 > 0);
        removed.iter().for_each(|(_, id)| listeners.remove(**id));
        assert!(removed.iter().all(|(_, id)| listeners.get(**id).is_none()));
        assert!(left.iter().all(|(_, id)| listeners.get_mut(**id).is_some_and(|found| found.outlet.id() == **id)));
        assert_eq!(listeners.len(), left.len());
    }
}
