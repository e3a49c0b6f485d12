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

/// So many are gone through to find one. Most rooms are small, and there are many of them.
const FEW: usize = 16;

/// All of them.
#[derive(Default)]
pub(super) struct Listeners {
    row: Vec<Listener>,
    /// Where each is, once they are more than a few.
    places: Option<HashMap<Sid, usize>>,
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
        self.row.get(self.place(socket)?)
    }

    pub(super) fn get_mut(&mut self, socket: Sid) -> Option<&mut Listener> {
        let place = self.place(socket)?;
        self.row.get_mut(place)
    }

    fn place(&self, socket: Sid) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&socket).copied(),
            None => self.row.iter().position(|listener| listener.outlet.id() == socket),
        }
    }

    /// Takes in a socket, or begins anew with it.
    pub(super) fn insert(&mut self, outlet: Arc<dyn Outlet>, attached: Offset) {
        let (id, listener) = (outlet.id(), Listener { outlet, state: State::Waiting, attached });
        if let Some(known) = self.get_mut(id) {
            *known = listener;
            return;
        }
        if self.row.len() < FEW {
            self.row.reserve_exact(1);
        } else if self.places.is_none() {
            let places = self.row.iter().enumerate().map(|(place, listener)| (listener.outlet.id(), place));
            self.places = Some(places.collect());
        }
        if let Some(places) = &mut self.places {
            places.insert(id, self.row.len());
        }
        self.row.push(listener);
    }

    pub(super) fn remove(&mut self, socket: Sid) {
        if let Some(place) = self.place(socket) {
            self.remove_at(place);
        }
    }

    /// Removes the one at a place, which the last one takes.
    pub(super) fn remove_at(&mut self, place: usize) {
        let gone = self.row.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&gone.outlet.id());
            if let Some(moved) = self.row.get(place) {
                places.insert(moved.outlet.id(), place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::NotQueued;
    use crate::domain::id::UserId;
    use crate::store::Signal;
    use crate::transport::socketio::event::Event;

    struct Nobody(Sid, UserId);

    impl Outlet for Nobody {
        fn id(&self) -> Sid {
            self.0
        }

        fn user(&self) -> &UserId {
            &self.1
        }

        fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>) {
            (events.len(), None)
        }

        fn emit_signal(&self, _: &Signal, _: &Event) {}
    }

    #[test]
    fn each_is_found_however_many_come_and_go() {
        let mut listeners = Listeners::default();
        let sids: Vec<_> = std::iter::repeat_with(Sid::new).take(3 * FEW).collect();
        let come = |listeners: &mut Listeners, sid: Sid| {
            listeners.insert(Arc::new(Nobody(sid, UserId::parse("u1").unwrap())), 0);
        };
        for sid in &sids {
            come(&mut listeners, *sid);
            come(&mut listeners, *sid);
        }
        assert_eq!(listeners.len(), sids.len(), "who comes again is one");
        let (gone, here): (Vec<_>, Vec<_>) = sids.iter().enumerate().partition(|(number, _)| number % 3 > 0);
        gone.iter().for_each(|(_, sid)| listeners.remove(**sid));
        assert!(gone.iter().all(|(_, sid)| listeners.get(**sid).is_none()));
        assert!(here.iter().all(|(_, sid)| listeners.get_mut(**sid).is_some_and(|found| found.outlet.id() == **sid)));
        assert_eq!(listeners.len(), here.len());
    }
}
