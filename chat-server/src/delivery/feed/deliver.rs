//! Delivering a batch to the live outlets.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::Feed;
use super::listeners::{MAX_HELD_SIGNALS, Progress};
use super::tally::Tally;
use crate::delivery::event::Event;
use crate::delivery::outlet::NotQueued;
use crate::domain::id::ConnectionId;
use crate::store::Signal;

/// After so many outlets other tasks have a turn.
const YIELD_EVERY: usize = 64;

impl Feed {
    /// Sends the batch to all live outlets; false if it was empty.
    pub(super) async fn deliver(&mut self) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let frames = batch.concatenated();
        let (mut tally, mut keep) = (Tally::new(&batch), self.backlog.retained_until().is_some());
        // From the last to the first: a removed listener's place is taken by one that has had its turn.
        for index in (0..self.listeners.len()).rev() {
            if index % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            let Some(listener) = self.listeners.at(index) else { continue };
            if !listener.is_live() {
                keep = true;
                continue;
            }
            let (events, leaves) = batch.events_for(&*listener.outlet);
            let (sent, stopped) = match &frames {
                Some(frames) if !leaves => listener.outlet.emit_concatenated(events, frames),
                _ => listener.outlet.emit(events),
            };
            tally.add(sent);
            match stopped {
                None if leaves => self.listeners.remove_at(index),
                None => {}
                Some(NotQueued::Closed) => self.listeners.remove_at(index),
                Some(NotQueued::Full) => {
                    let received = batch.offset(sent).saturating_sub(1);
                    listener.progress = Progress::CatchingUp { received, rolled_back: false };
                    keep = true;
                }
            }
        }
        tally.count(&self.shared, &mut batch);
        if keep {
            self.backlog.append(batch.into_entries());
        }
        true
    }

    /// Delivers a signal, and takes note of it if it is one that ends by itself.
    pub(super) fn receive_signal(&mut self, signal: &Arc<Signal>) {
        let ended = self.typing.note(signal, Instant::now());
        self.deliver_signal(signal);
        if let Some(ended) = ended {
            self.deliver_signal(&Arc::new(ended));
        }
    }

    /// Tells of those who type no more, as their notices hold no longer.
    pub(super) fn end_typing(&mut self) {
        while let Some(ended) = self.typing.take_ended(Instant::now()) {
            self.deliver_signal(&Arc::new(ended));
        }
    }

    fn deliver_signal(&mut self, signal: &Arc<Signal>) {
        let Some(event) = Event::of(signal.event.as_str(), &signal.payload, self.shared.encode) else { return };
        for listener in self.listeners.iter_mut() {
            if signal.except.as_ref() == Some(listener.outlet.user()) {
                continue;
            }
            match &mut listener.progress {
                Progress::NotReady { signals } => {
                    if signals.len() == MAX_HELD_SIGNALS {
                        signals.pop_front();
                    }
                    signals.push_back(Arc::clone(signal));
                }
                Progress::CatchingUp { .. } | Progress::Live => listener.outlet.emit_signal(signal, &event),
            }
        }
    }

    /// Sends an outlet the signals that came between its attachment and now.
    pub(super) fn deliver_held(&self, outlet: ConnectionId, signals: VecDeque<Arc<Signal>>) {
        let Some(listener) = self.listeners.get(outlet) else { return };
        for signal in signals {
            if let Some(event) = Event::of(signal.event.as_str(), &signal.payload, self.shared.encode) {
                listener.outlet.emit_signal(&signal, &event);
            }
        }
    }
}
