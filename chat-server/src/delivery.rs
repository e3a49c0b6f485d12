//! From the bus to the sockets. One [`feed`] a room keeps the order of the room's log for every
//! local socket; the [`Hub`] finds the feed, and the sockets of a person.

use std::collections::hash_map::{Entry as MapEntry, RandomState};
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use socketioxide::socket::Sid;
use tokio::sync::{mpsc, oneshot};

use crate::domain::id::{NodeId, RoomId, UserId};
use crate::domain::position::{Lineage, Millis, Offset, Position};
use crate::domain::rate_limit::{Bucket, Rate};
use crate::fault_injection::{self, Fault};
use crate::observability::metrics::Metrics;
use crate::observability::traces::{Followed, Traces};
use crate::store::{Bus, BusEvent, Entry, FieldStore, LogStore, Notice, Signal, StoreError, Stores, Topic};
use crate::transport::socketio::client::Client;
use crate::transport::socketio::event::Event;
use clock::Clock;
use gather::Gather;
use probe::Probe;

mod clock;
mod feed;
mod gather;
mod probe;
mod tail;

/// How long a node goes on hearing a room or a person after the last local socket went.
const LINGER: Duration = Duration::from_secs(20);
/// What may wait for a feed before it is told to look at the log instead.
const MAILBOX: usize = 1024;
const SHARDS: usize = 64;

/// Why an event did not get into a socket's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotQueued {
    /// The socket is slower than what it is sent.
    Full,
    /// The socket is gone.
    Closed,
}

/// Where a feed puts events: a socket, or a test's stand-in for one.
pub trait Outlet: Send + Sync + 'static {
    /// The socket.
    fn id(&self) -> Sid;
    /// Who is behind it.
    fn user(&self) -> &UserId;
    /// Puts events into the socket's queue, one after the other, until one does not get in; never waits. Answers
    /// how many did, and why not all.
    fn emit(&self, events: &[Event]) -> (usize, Option<NotQueued>);
    /// The same, where `whole` has the frames of all of them, one behind the other.
    fn emit_whole(&self, events: &[Event], whole: &Bytes) -> (usize, Option<NotQueued>) {
        let _ = whole;
        self.emit(events)
    }

    /// Puts a passing event into it, `event` being what is told; dropped where the queue is full.
    fn emit_signal(&self, signal: &Signal, event: &Event);
}

/// What becomes of a socket that hears the room already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attach {
    /// It is held, and begins anew at [`Mail::Ready`].
    Anew,
    /// It goes on as it is, if it is past the joining that it is attached for.
    UnlessHeard,
}

/// Where a socket was attached to a room.
#[derive(Debug, Clone)]
pub struct Attached {
    /// From here on it hears the room.
    pub head: Position,
    /// What lies between that and where it comes from is kept for it: it can begin there.
    pub kept: bool,
}

/// `None` if the socket goes on as it was.
type Reply = oneshot::Sender<Result<Option<Attached>, StoreError>>;

struct Arrival {
    outlet: Arc<dyn Outlet>,
    at_least: Offset,
    /// What the socket has, if it comes back.
    since: Option<Position>,
    how: Attach,
}

/// Boxed where it is large: a mailbox has places for 32 from the beginning, and most rooms are quiet.
enum Mail {
    Attach(Box<(Arrival, Reply)>),
    Ready(Box<(Sid, Position)>),
    Detach(Sid),
    Entry(Box<(Entry, Option<Followed>)>),
    Signal(Arc<Signal>),
    Check,
}

#[derive(Clone)]
struct Handle {
    mail: mpsc::Sender<Mail>,
    /// Something may have passed the feed by: it compares with the log.
    missed: Arc<AtomicBool>,
    /// Up to where the feed has applied the log; `None` until it knows.
    position: Arc<Mutex<Option<Position>>>,
}

impl Handle {
    fn position(&self) -> Option<Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Here {
    sockets: Vec<Arc<Client>>,
    bucket: Arc<Mutex<Bucket>>,
}

/// The rooms and people of one node.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    node: NodeId,
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    traces: Traces,
    rate: Rate,
    rooms: Mutex<HashMap<RoomId, Handle>>,
    users: Mutex<HashMap<UserId, Here>>,
    /// Whom the node hears. A lock is held while the broker is asked, so that hearing somebody
    /// and letting go of them can't overtake each other.
    heard: Vec<tokio::sync::Mutex<HashSet<UserId>>>,
    hasher: RandomState,
    sockets: AtomicUsize,
    probe: Probe,
    clock: Clock,
    gather: Gather,
}

impl Hub {
    /// A hub without rooms and people.
    #[must_use]
    pub fn new(node: NodeId, stores: &Stores, metrics: Metrics, traces: Traces, rate: Rate) -> Self {
        let Stores { log, fields, bus, .. } = stores.clone();
        Self(Arc::new(Inner {
            node,
            log,
            fields,
            bus,
            metrics,
            traces,
            rate,
            rooms: Mutex::default(),
            users: Mutex::default(),
            heard: std::iter::repeat_with(tokio::sync::Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            sockets: AtomicUsize::new(0),
            probe: Probe::new(),
            clock: Clock::default(),
            gather: Gather::default(),
        }))
    }

    fn lock_rooms(&self) -> MutexGuard<'_, HashMap<RoomId, Handle>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sockets are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.0.sockets.load(Ordering::Relaxed)
    }

    /// Every socket of the node.
    #[must_use]
    pub fn clients(&self) -> Vec<Arc<Client>> {
        let users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.values().flat_map(|here| here.sockets.iter().cloned()).collect()
    }

    /// The sockets of a person on this node.
    #[must_use]
    pub fn clients_of(&self, user: &UserId) -> Vec<Arc<Client>> {
        let users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(user).map(|here| here.sockets.clone()).unwrap_or_default()
    }

    /// Takes in a socket. Returns the bucket that limits how often its person may send on this
    /// node.
    pub fn add(&self, client: &Arc<Client>, now: Millis) -> Arc<Mutex<Bucket>> {
        let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        let here = users.entry(Outlet::user(&**client).clone()).or_insert_with(|| Here {
            sockets: Vec::with_capacity(1),
            bucket: Arc::new(Mutex::new(Bucket::new(self.0.rate, now))),
        });
        here.sockets.push(client.clone());
        let bucket = here.bucket.clone();
        drop(users);
        self.0.sockets.fetch_add(1, Ordering::Relaxed);
        self.0.metrics.connections.inc();
        bucket
    }

    /// Hears what is told to a person, until some time after the last socket went.
    ///
    /// # Errors
    /// The broker's.
    pub async fn hear(&self, user: &UserId) -> Result<(), StoreError> {
        let mut heard = self.shard(user).lock().await;
        if !heard.contains(user) {
            self.0.bus.subscribe(&[Topic::User(user.clone())]).await?;
            heard.insert(user.clone());
        }
        Ok(())
    }

    /// Lets go of a socket; false if it was not there. The bucket of its person stays a while, so
    /// that coming back does not fill it.
    pub fn remove(&self, client: &Arc<Client>) -> bool {
        let user = Outlet::user(&**client).clone();
        let last = {
            let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(here) = users.get_mut(&user) else { return false };
            let before = here.sockets.len();
            here.sockets.retain(|other| other.id() != client.id());
            if here.sockets.len() == before {
                return false;
            }
            here.sockets.is_empty()
        };
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connections.dec();
        if last {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                this.forget(user).await;
            });
        }
        true
    }

    async fn forget(&self, user: UserId) {
        let mut heard = self.shard(&user).lock().await;
        {
            let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
            match users.entry(user.clone()) {
                MapEntry::Occupied(here) if here.get().sockets.is_empty() => here.remove(),
                _ => return,
            };
        }
        if heard.remove(&user)
            && let Err(error) = self.0.bus.unsubscribe(&[Topic::User(user)]).await
        {
            tracing::debug!(%error, "a person could not be let go of");
        }
    }

    fn shard(&self, user: &UserId) -> &tokio::sync::Mutex<HashSet<UserId>> {
        // The remainder is below the number of shards, which fits.
        #[allow(clippy::cast_possible_truncation)]
        let shard = (self.0.hasher.hash_one(user) % SHARDS as u64) as usize;
        &self.0.heard[shard]
    }

    /// Lets a socket hear a room, from the returned position on, which is at or after `at_least`.
    /// Nothing is delivered before [`Hub::ready`]. A socket that hears the room already hears
    /// nothing more until then.
    ///
    /// # Errors
    /// The broker's.
    pub async fn attach(&self, client: &Arc<Client>, room: &RoomId, at_least: Offset) -> Result<Position, StoreError> {
        self.attach_anew(client, room, at_least, None).await.map(|attached| attached.head)
    }

    /// As [`Hub::attach`], for a socket that has everything up to `since`. Many that come back from
    /// about the same place make one reading of the log.
    ///
    /// # Errors
    /// The broker's.
    pub async fn attach_since(
        &self,
        client: &Arc<Client>,
        room: &RoomId,
        since: Option<&Position>,
    ) -> Result<Attached, StoreError> {
        self.attach_anew(client, room, 0, since).await
    }

    async fn attach_anew(
        &self,
        client: &Arc<Client>,
        room: &RoomId,
        at_least: Offset,
        since: Option<&Position>,
    ) -> Result<Attached, StoreError> {
        client.hears(room);
        let attached = self.attach_outlet(room, || Arrival {
            outlet: client.clone(),
            at_least,
            since: since.cloned(),
            how: Attach::Anew,
        });
        attached.await?.ok_or_else(|| StoreError::Unavailable("the room's feed kept the socket".into()))
    }

    /// Where a room begins for a socket that was attached at `head` and has everything up to `since`,
    /// which the log covers in this `lineage`.
    ///
    /// # Errors
    /// The broker's.
    pub async fn level(
        &self,
        client: &Arc<Client>,
        room: &RoomId,
        mut head: Position,
        lineage: &Lineage,
        since: &Position,
    ) -> Result<Position, StoreError> {
        if !lineage.holds(&head) {
            // The feed has not heard yet that the store lost what it delivered.
            self.post(room, Mail::Check).await;
            head = self.attach(client, room, 0).await?;
        }
        // Nor perhaps of what the client heard on another node.
        Ok(if since.offset > head.offset { since.clone() } else { head })
    }

    /// Lets a socket hear a room that its person joined at `joined`; `None` if it hears the room
    /// since then already. Otherwise as [`Hub::attach`].
    ///
    /// # Errors
    /// The broker's.
    pub async fn attach_joined(
        &self,
        client: &Arc<Client>,
        room: &RoomId,
        joined: Offset,
    ) -> Result<Option<Position>, StoreError> {
        client.hears(room);
        let attached = self.attach_outlet(room, || Arrival {
            outlet: client.clone(),
            at_least: joined,
            since: None,
            how: Attach::UnlessHeard,
        });
        Ok(attached.await?.map(|attached| attached.head))
    }

    async fn attach_outlet(
        &self,
        room: &RoomId,
        arrival: impl Fn() -> Arrival,
    ) -> Result<Option<Attached>, StoreError> {
        // A feed may end between the look-up and the delivery: then there is a new one.
        for _ in 0..3 {
            let (reply, answer) = oneshot::channel();
            let mail = Mail::Attach(Box::new((arrival(), reply)));
            if self.feed(room).mail.send(mail).await.is_ok()
                && let Ok(answer) = answer.await
            {
                return answer;
            }
        }
        Err(StoreError::Unavailable("the room's feed ended".into()))
    }

    /// Begins the delivery of a room to a socket that has everything up to `position`.
    pub async fn ready(&self, client: &Client, room: &RoomId, position: Position) {
        self.post(room, Mail::Ready(Box::new((client.id(), position)))).await;
    }

    /// Ends the delivery of a room to a socket.
    pub async fn detach(&self, client: &Client, room: &RoomId) {
        self.post(room, Mail::Detach(client.id())).await;
    }

    async fn post(&self, room: &RoomId, mail: Mail) {
        let handle = {
            let rooms = self.lock_rooms();
            rooms.get(room).cloned()
        };
        if let Some(handle) = handle {
            // An ended feed has no sockets to deliver to.
            let _ = handle.mail.send(mail).await;
        }
    }

    fn feed(&self, room: &RoomId) -> Handle {
        let mut rooms = self.lock_rooms();
        if let Some(handle) = rooms.get(room)
            && !handle.mail.is_closed()
        {
            return handle.clone();
        }
        let (mail, mailbox) = mpsc::channel(MAILBOX);
        let handle = Handle { mail, missed: Arc::default(), position: Arc::default() };
        rooms.insert(room.clone(), handle.clone());
        drop(rooms);
        tokio::spawn(feed::Feed::new(self.clone(), room.clone(), handle.clone()).run(mailbox));
        handle
    }

    /// Ends a feed unless mail came in: then it goes on.
    fn retire(&self, room: &RoomId, mailbox: &mut mpsc::Receiver<Mail>) -> bool {
        let mut rooms = self.lock_rooms();
        if !mailbox.is_empty() {
            return false;
        }
        mailbox.close();
        rooms.remove(room);
        true
    }

    /// Hands what is heard to the feeds and the people, until the bus ends. Never waits for any
    /// of them: a feed that can't follow is told to read the log.
    pub async fn run(self, mut bus: mpsc::Receiver<BusEvent>) {
        while let Some(heard) = bus.recv().await {
            match heard {
                BusEvent::Entry(Topic::Room(_), ..) if fault_injection::occurs(Fault::LoseLastFrame, 20) => {}
                BusEvent::Entry(Topic::Room(room), entry, trace) => {
                    let followed = trace.and_then(|trace| self.0.traces.deliver(&trace, &entry.id()));
                    self.hand(&room, Mail::Entry(Box::new((entry, followed))));
                }
                BusEvent::Signal(Topic::Room(room), text) => match serde_json::from_str(&text) {
                    Ok(signal) => self.hand(&room, Mail::Signal(Arc::new(signal))),
                    Err(error) => tracing::warn!(%error, "a signal could not be read"),
                },
                BusEvent::Signal(Topic::User(user), text) => self.notice(&user, &text),
                BusEvent::Signal(topic @ Topic::Node(..), word) => self.hear_probe(&topic, &word),
                BusEvent::Interrupted => self.recover_bus(),
                BusEvent::Entry(..) | BusEvent::Signal(..) => {}
            }
        }
    }

    fn hand(&self, room: &RoomId, mail: Mail) {
        self.stir();
        let rooms = self.lock_rooms();
        if let Some(handle) = rooms.get(room)
            && matches!(handle.mail.try_send(mail), Err(mpsc::error::TrySendError::Full(_)))
        {
            handle.missed.store(true, Ordering::Relaxed);
        }
    }

    fn notice(&self, user: &UserId, text: &str) {
        match serde_json::from_str::<Notice>(text) {
            Ok(notice) => {
                for client in self.clients_of(user) {
                    client.notice(notice.clone());
                }
            }
            Err(error) => tracing::warn!(%error, "a notice could not be read"),
        }
    }
}
