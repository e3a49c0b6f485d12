//! The delivery of one room on one node: a task that applies the room's log in order.
//!
//! A socket is *live*, and gets each entry as it is applied, or it is *behind*: it was just
//! attached, or its queue was full. While one is behind, the entries are kept, within bounds; it
//! gets them as soon as it can take them, or one `gap` for all of them where they were too many.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socketioxide::socket::Sid;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Arrival, Attach, Attached, Handle, Hub, LINGER, Mail, NotQueued};
use crate::domain::id::RoomId;
use crate::domain::position::{Epoch, Lineage, Offset, Position};
use crate::observability::traces::Followed;
use crate::store::{Entry, Keep, Range, Signal, StoreError, Topic};
use crate::transport::socketio::event::Event;
use batch::{Batch, Line};
use listeners::{Listener, Listeners, State};
use tally::Tally;

mod batch;
mod behind;
mod listeners;
mod tally;
#[cfg(test)]
mod tests;

/// Entries kept for sockets that are behind.
const KEPT: usize = 1024;
/// And their size, in bytes.
const KEPT_BYTES: usize = 1 << 20;
/// How long they are kept after somebody came back: others of a node that died, or was drained, come within that.
const KEEP: Duration = Duration::from_secs(10);
/// Lives remembered that the store lost as a whole.
const LOST_KEPT: usize = 32;
/// How often a socket that is behind is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// How often the log is tried again when the broker can't be reached.
const HEAL_RETRY: Duration = Duration::from_millis(500);
const READ_AT_ONCE: usize = 200;

/// What comes sooner than this after a delivery began waits for what follows, and goes with it: most of the cost of a
/// delivery is that of a write, whatever it holds.
const TICK: Duration = Duration::from_millis(2);
/// Sockets delivered to in one go; then it is the turn of other rooms.
const TURN: usize = 64;

pub(super) struct Feed {
    hub: Hub,
    room: RoomId,
    topic: Topic,
    /// The lives of the log; [`Feed::position`] is in the present one.
    lineage: Lineage,
    /// Lives that the store lost as a whole, and up to where they were what the log is now.
    lost: HashMap<Epoch, Offset>,
    position: Position,
    listeners: Listeners,
    /// Applied, and not delivered yet.
    batch: Batch,
    kept: VecDeque<Line>,
    kept_bytes: usize,
    /// Until when entries are kept also where nobody is behind: some came back.
    keep_until: Option<Instant>,
    /// What the hub knows of this feed.
    handle: Handle,
}

impl Feed {
    pub(super) fn new(hub: Hub, room: RoomId, handle: Handle) -> Self {
        Self {
            hub,
            topic: Topic::room(&room),
            room,
            lineage: Lineage::default(),
            lost: HashMap::new(),
            position: Position::default(),
            listeners: Listeners::default(),
            batch: Batch::default(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            keep_until: None,
            handle,
        }
    }

    pub(super) async fn run(mut self, mut mailbox: mpsc::Receiver<Mail>) {
        if let Err(error) = self.begin().await {
            self.refuse_all(&mut mailbox, &error);
            return;
        }
        self.hub.0.metrics.rooms.inc();
        self.tell_position();
        let mut idle_since = Instant::now();
        let mut heal_at = Instant::now();
        // A time, not a pause that begins anew with each entry: a busy room must not starve those
        // who are behind.
        let mut retry_at = Instant::now();
        let mut quiet_until = Instant::now();
        loop {
            let behind = self.listeners.iter().any(Listener::is_behind);
            let missed = self.handle.missed.load(Ordering::Relaxed);
            let idle = self.listeners.is_empty();
            tokio::select! {
                biased;
                () = sleep_until(retry_at), if behind => {
                    self.catch_up_all();
                    retry_at = Instant::now() + RETRY;
                }
                mail = mailbox.recv() => match mail {
                    Some(mail) => {
                        if matches!(mail, Mail::Entry(_)) {
                            sleep_until(quiet_until).await;
                        }
                        self.receive(mail).await;
                        self.hub.gather().await;
                        // Not what comes meanwhile: those who are behind have their turn, too.
                        for _ in 0..mailbox.len() {
                            let Ok(mail) = mailbox.try_recv() else { break };
                            self.receive(mail).await;
                        }
                        let begun = Instant::now();
                        if self.deliver().await {
                            quiet_until = begun + TICK;
                        }
                    }
                    None => break,
                },
                () = sleep_until(heal_at), if missed => {
                    self.heal(None).await;
                    heal_at = Instant::now() + HEAL_RETRY;
                }
                () = sleep_until(self.keep_until.unwrap_or(idle_since)), if self.keep_until.is_some() => {
                    self.keep_until = None;
                    self.forget_kept();
                }
                () = sleep_until(idle_since + LINGER), if idle => {
                    if self.end(&mut mailbox).await {
                        break;
                    }
                    idle_since = Instant::now();
                }
            }
            if !self.listeners.is_empty() {
                idle_since = Instant::now();
            }
            self.tell_position();
        }
        self.hub.0.metrics.rooms.dec();
    }

    fn tell_position(&self) {
        let mut told = self.handle.position.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&self.position) {
            *told = Some(self.position.clone());
        }
    }

    /// Hears the room, then reads where its log is: in this order nothing falls between.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.hub.0.bus.subscribe(std::slice::from_ref(&self.topic)).await?;
        let range = Range { after: Offset::MAX - 1, before: None, limit: 1, keep: Keep::Oldest };
        let slice = self.hub.0.log.read(&self.topic, range).await?;
        self.position = Position { epoch: slice.lineage.epoch.clone(), offset: slice.top };
        self.lineage = slice.lineage;
        Ok(())
    }

    fn refuse_all(&self, mailbox: &mut mpsc::Receiver<Mail>, error: &StoreError) {
        // Closed under the lock of the rooms, so that whoever comes later gets a new feed.
        while !self.hub.retire(&self.room, mailbox) {
            while let Ok(mail) = mailbox.try_recv() {
                if let Mail::Attach(attach) = mail {
                    let (_, reply) = *attach;
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn end(&self, mailbox: &mut mpsc::Receiver<Mail>) -> bool {
        // Let go first, end after: a new feed of this room can only subscribe once this one is
        // gone, so that the two can't undo each other's subscription.
        if self.hub.0.bus.unsubscribe(std::slice::from_ref(&self.topic)).await.is_err() {
            return false;
        }
        if self.hub.retire(&self.room, mailbox) {
            return true;
        }
        if self.hub.0.bus.subscribe(std::slice::from_ref(&self.topic)).await.is_err() {
            tracing::warn!("a room could not be heard again; trying on");
        }
        self.handle.missed.store(true, Ordering::Relaxed);
        false
    }

    async fn receive(&mut self, mail: Mail) {
        if !matches!(mail, Mail::Entry(_)) {
            self.deliver().await;
        }
        match mail {
            Mail::Attach(attach) => {
                let (arrival, reply) = *attach;
                let answer = self.attach(arrival).await;
                let _ = reply.send(answer);
            }
            Mail::Ready(ready) => self.ready(ready.0, &ready.1).await,
            Mail::Detach(socket) => {
                self.listeners.remove(socket);
                self.forget_kept();
            }
            Mail::Entry(entry) => self.entry(entry.0, entry.1).await,
            Mail::Signal(signal) => self.signal(&signal),
            Mail::Check => self.heal(None).await,
        }
    }

    fn signal(&self, signal: &Signal) {
        let Some(event) = Event::of(&signal.event, &signal.payload) else { return };
        for listener in self.listeners.iter() {
            if signal.except.as_ref() != Some(listener.outlet.user()) {
                listener.outlet.emit_signal(signal, &event);
            }
        }
    }

    async fn attach(&mut self, arrival: Arrival) -> Result<Option<Attached>, StoreError> {
        let Arrival { outlet, at_least, since, how } = arrival;
        if self.position.offset < at_least {
            self.try_heal(None).await?;
        }
        // One who is behind and has not come to the joining may still have a leaving before it.
        let heard = self.listeners.get(outlet.id()).is_some_and(|listener| match listener.state {
            State::Waiting | State::Live => true,
            State::Behind { has, .. } => has >= at_least,
        });
        if heard && how == Attach::UnlessHeard {
            return Ok(None);
        }
        let kept = match since {
            Some(since) => self.keep_since(&since).await?,
            None => false,
        };
        self.listeners.insert(outlet, self.position.offset);
        Ok(Some(Attached { head: self.position.clone(), kept }))
    }

    async fn ready(&mut self, socket: Sid, position: &Position) {
        if self.lineage.shared_with(&position.epoch).is_none() || position.offset > self.position.offset {
            // The socket was told elsewhere of what this node has not heard yet.
            self.heal(None).await;
        }
        let shared = self.lineage.shared_with(&position.epoch);
        let shared = shared.or_else(|| self.lost.get(&position.epoch).copied()).unwrap_or(0);
        if let Some(listener) = self.listeners.get_mut(socket) {
            let has = position.offset.min(shared);
            listener.state = State::Behind { has, undone: position.offset > shared };
            self.catch_up(socket);
            self.forget_kept();
        }
    }

    async fn entry(&mut self, entry: Entry, followed: Option<Followed>) {
        if self.batch.is_full() {
            self.deliver().await;
        }
        if entry.epoch != self.position.epoch {
            self.heal(None).await;
            return;
        }
        if entry.offset > self.position.offset + 1 {
            self.heal(Some(entry.offset)).await;
        }
        if entry.offset == self.position.offset + 1 {
            self.apply(&entry);
            self.batch.follow(entry.offset, followed);
        }
    }

    /// Fills what is missing from the log, up to `before` or to its top. Where the broker can't
    /// be reached, it stays marked as missed and is tried again.
    async fn heal(&mut self, before: Option<Offset>) {
        self.deliver().await;
        // Cleared first: what is missed while the log is read is missed after it. Only a reading up
        // to the top makes up for all that was missed.
        if before.is_none() {
            self.handle.missed.store(false, Ordering::Relaxed);
        }
        if let Err(error) = self.try_heal(before).await {
            tracing::warn!(%error, "a gap could not be healed yet");
            self.handle.missed.store(true, Ordering::Relaxed);
        }
    }

    async fn try_heal(&mut self, before: Option<Offset>) -> Result<(), StoreError> {
        loop {
            let after = self.position.offset;
            let range = Range { after, before, limit: READ_AT_ONCE, keep: Keep::Oldest };
            let slice = self.hub.0.log.read(&self.topic, range).await?;
            if slice.lineage.epoch != self.position.epoch {
                let shared = slice.lineage.shared_with_log(&self.lineage).unwrap_or(0);
                if shared < after {
                    self.begin_life(slice.lineage, slice.top, shared);
                    return Ok(());
                }
                // Nothing that was delivered is lost: the log only goes on in a new life.
                self.position.epoch = slice.lineage.epoch.clone();
            }
            self.lineage = slice.lineage;
            // What is gone can't be delivered; say so and go on behind it.
            let gone = slice.first.min(before.unwrap_or(Offset::MAX));
            if gone > after + 1 {
                self.skip(after + 1, gone - 1);
            }
            let full = slice.entries.len() == READ_AT_ONCE;
            for entry in &slice.entries {
                if entry.offset == self.position.offset + 1 {
                    self.apply(entry);
                }
                if self.batch.is_full() {
                    self.deliver().await;
                }
            }
            self.deliver().await;
            if self.position.offset > after {
                self.hub.0.metrics.gaps_healed.inc();
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// The store lost entries that were delivered: whoever listens is told that what comes after
    /// `shared` is another.
    fn begin_life(&mut self, lineage: Lineage, top: Offset, shared: Offset) {
        tracing::warn!(room = %self.room, from = shared + 1, "the store lost entries that were delivered");
        self.kept.clear();
        self.kept_bytes = 0;
        if lineage.shared_with(&self.position.epoch).is_none() {
            self.lost.values_mut().for_each(|upto| *upto = shared.min(*upto));
            if self.lost.len() >= LOST_KEPT {
                self.lost.clear();
            }
            self.lost.insert(self.position.epoch.clone(), shared);
        }
        let had = self.position.offset;
        self.position = Position { epoch: lineage.epoch.clone(), offset: top };
        self.lineage = lineage;
        for listener in self.listeners.iter_mut() {
            let (has, undone) = match listener.state {
                State::Waiting => continue,
                State::Live => (had, false),
                State::Behind { has, undone } => (has, undone),
            };
            listener.state = State::Behind { has: has.min(shared), undone: undone || has > shared };
        }
        self.catch_up_all();
    }

    /// Goes over entries that nobody can read any more.
    fn skip(&mut self, from: Offset, to: Offset) {
        tracing::warn!(from, to, "entries were gone before they could be delivered");
        self.kept.clear();
        self.kept_bytes = 0;
        self.position.offset = to;
        for listener in self.listeners.iter_mut() {
            if listener.is_live() {
                listener.state = State::Behind { has: from - 1, undone: false };
            }
        }
        self.catch_up_all();
    }

    /// Applies the entry that comes next; [`Feed::deliver`] sends it.
    fn apply(&mut self, entry: &Entry) {
        self.position.offset = entry.offset;
        match Line::of(&self.room, entry) {
            Ok(line) => self.batch.push(line),
            Err(error) => tracing::error!(%error, offset = entry.offset, "an entry can't be delivered"),
        }
    }

    /// Sends what was applied to all who have what was before; false if that was nothing.
    async fn deliver(&mut self) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let whole = batch.whole();
        let (mut tally, mut keep) = (Tally::of(&batch), self.keep_until.is_some());
        // From the last to the first: whoever takes the place of one who is gone had their turn.
        for place in (0..self.listeners.len()).rev() {
            if place % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Some(listener) = self.listeners.at(place) else { continue };
            if !listener.is_live() {
                keep = true;
                continue;
            }
            let (events, leaves) = batch.of(&*listener.outlet);
            let (sent, stopped) = match &whole {
                Some(whole) if !leaves => listener.outlet.emit_whole(events, whole),
                _ => listener.outlet.emit(events),
            };
            tally.took(sent);
            match stopped {
                None if leaves => self.listeners.remove_at(place),
                None => {}
                Some(NotQueued::Closed) => self.listeners.remove_at(place),
                Some(NotQueued::Full) => {
                    listener.state = State::Behind { has: batch.offset(sent).saturating_sub(1), undone: false };
                    keep = true;
                }
            }
        }
        tally.count(&self.hub, &mut batch);
        if keep {
            for line in batch.into_lines() {
                self.kept_bytes += line.event.frame().len();
                self.kept.push_back(line);
            }
            while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
                let Some(dropped) = self.kept.pop_front() else { break };
                self.kept_bytes -= dropped.event.frame().len();
            }
        }
        true
    }
}
