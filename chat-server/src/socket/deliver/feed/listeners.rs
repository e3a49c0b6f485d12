//! The sockets that a feed delivers to, in a row that can be gone through in parts.

use std::collections::HashMap;
use std::sync::Arc;

use socketioxide::socket::Sid;

use super::super::Outlet;
use crate::domain::position::Offset;

/// A socket, and how far it is.
pub(super) struct Listener {
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) state: State,
    /// Where the feed was when the socket was attached.
    pub(super) attached: Offset,
}

/// How far a socket is.
pub(super) enum State {
    /// Attached; waits for [`super::Mail::Ready`].
    Waiting,
    /// Has everything up to `has`, and is to get the rest. `undone`: it also has entries after `has`
    /// which the log lost, and is told so.
    Behind { has: Offset, undone: bool },
    /// Has everything.
    Live,
}

impl Listener {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    pub(super) fn is_behind(&self) -> bool {
        matches!(self.state, State::Behind { .. })
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Listeners {
    row: Vec<Listener>,
    places: HashMap<Sid, usize>,
}

impl Listeners {
    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.row.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Listener> {
        self.row.iter_mut()
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Listener> {
        self.row.get_mut(place)
    }

    pub(super) fn get(&self, socket: Sid) -> Option<&Listener> {
        self.row.get(*self.places.get(&socket)?)
    }

    pub(super) fn get_mut(&mut self, socket: Sid) -> Option<&mut Listener> {
        self.row.get_mut(*self.places.get(&socket)?)
    }

    /// Takes in a socket, or begins anew with it.
    pub(super) fn insert(&mut self, outlet: Arc<dyn Outlet>, attached: Offset) {
        let (id, listener) = (outlet.id(), Listener { outlet, state: State::Waiting, attached });
        if let Some(known) = self.get_mut(id) {
            *known = listener;
        } else {
            self.places.insert(id, self.row.len());
            self.row.push(listener);
        }
    }

    pub(super) fn remove(&mut self, socket: Sid) {
        if let Some(&place) = self.places.get(&socket) {
            self.remove_at(place);
        }
    }

    /// Removes the one at a place, which the last one takes.
    pub(super) fn remove_at(&mut self, place: usize) {
        let gone = self.row.swap_remove(place);
        self.places.remove(&gone.outlet.id());
        if let Some(moved) = self.row.get(place) {
            self.places.insert(moved.outlet.id(), place);
        }
    }
}
