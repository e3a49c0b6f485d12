//! Thousands of clients in one thread: they connect, join, send at a pace, and check all that they hear.

mod arrive;
mod hear;
mod load;
mod person;
mod read;
mod socket;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::dialect::Dialect;
use crate::frame;
use crate::histogram::Histogram;
use crate::ledger::Ledger;
use load::{Load, Sent};
use person::Person;
use socket::{Socket, Stage};

/// How much is read at once. Also what a server's burst to one client is cut into.
const READ: usize = 64 * 1024;

/// How many sockets are looked at between two looks at the clock.
const EVENTS: usize = 512;

/// Who talks to whom. Each room has the same number of members, who follow one another around the whole crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) clients: usize,
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    /// How many of a room's members take turns in sending.
    pub(crate) senders: usize,
}

impl Layout {
    /// So many rooms, each with so many members who are in no other.
    pub(crate) fn apart(rooms: usize, members: usize) -> Self {
        Self { clients: rooms * members, rooms, members, senders: members.min(500) }
    }

    /// The client with this seat in a room.
    fn client(&self, room: usize, seat: usize) -> usize {
        (room * self.members + seat) % self.clients
    }

    /// The seat of a client, if it is a member of the room.
    fn seat(&self, room: usize, client: usize) -> Option<usize> {
        let first = room * self.members % self.clients;
        let seat = (client + self.clients - first) % self.clients;
        (seat < self.members).then_some(seat)
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages sent.
    pub(crate) sent: u64,
    /// Of these, answered that they were taken.
    pub(crate) acked: u64,
    /// Of these, answered otherwise, for good.
    pub(crate) refused: u64,
    /// How often a message was refused for now.
    pub(crate) put_off: u64,
    /// Messages heard.
    pub(crate) delivered: u64,
    /// How often a server said that it left something out.
    pub(crate) gaps: u64,
    /// Connections that ended without our doing.
    pub(crate) ended: u64,
    /// Sessions that went on, and that did so without a message being missed.
    pub(crate) resumed: u64,
    pub(crate) recovered: u64,
    /// Answers to questions for history.
    pub(crate) read: u64,
    /// The longest time in which nobody heard anything, in nanoseconds.
    pub(crate) silence: u64,
    /// When somebody heard something last.
    heard_at: u64,
}

/// A room, as its members know it.
#[derive(Default)]
struct Room {
    id: String,
    /// The seat of who sends next.
    turn: usize,
    /// How many of our messages their senders have not heard yet.
    outstanding: usize,
    /// When one of them last did.
    heard_at: u64,
}

/// What clients do without being told each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// They join as soon as they are connected.
    pub(crate) joins: bool,
    /// They keep their token and where they are in their room, of which each has one; and who is cut off comes back
    /// at once, to the next server.
    pub(crate) returns: bool,
    /// They send again what was refused for now, and nothing else before that.
    pub(crate) retries: bool,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    /// From a text's being sent to its being heard.
    Deliveries,
    /// From the start to a client's being where it wants to be.
    Arrivals,
    /// From a question for history to the answer.
    Reads,
}

/// The clients.
pub(crate) struct Crowd {
    dialect: Dialect,
    layout: Layout,
    servers: Vec<SocketAddr>,
    epoll: OwnedFd,
    sockets: Vec<Socket>,
    people: Vec<Person>,
    rooms: Vec<Room>,
    pub(crate) habits: Habits,
    /// How many bytes each text has.
    text: usize,
    load: Load,
    ledger: Ledger,
    tally: Tally,
    /// How long that took, while it is measured.
    times: Option<(Timed, Histogram)>,
    /// All messages that were sent.
    messages: Vec<Sent>,
    /// What was refused for now: when to send it again, and its number among all.
    refused: VecDeque<(u64, u32)>,
    /// How many have their namespace, and how many joins and other requests were answered.
    there: usize,
    joined: usize,
    /// When measuring began.
    since: u64,
    /// Whether everyone asks for history, again and again.
    reads: bool,
    /// Rooms whose window has room again.
    due: Vec<u32>,
    /// Where the last stamp stood in its packet.
    place: usize,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    events: Vec<epoll::Event>,
    start: Instant,
    /// What went so wrong that nothing is to be measured.
    failure: Option<anyhow::Error>,
}

impl Crowd {
    /// Nobody connected yet.
    pub(crate) fn new(dialect: Dialect, layout: Layout, servers: Vec<SocketAddr>, text: usize) -> anyhow::Result<Self> {
        let senders = u32::try_from(layout.senders)?;
        Ok(Self {
            dialect,
            layout,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            sockets: Vec::with_capacity(layout.clients),
            people: (0..layout.clients).map(|client| Person::at(client % servers.len())).collect(),
            habits: Habits::default(),
            rooms: (0..layout.rooms).map(|_| Room::default()).collect(),
            text,
            load: Load::None,
            ledger: Ledger::new(layout.rooms, u32::try_from(layout.members)?, senders, dialect == Dialect::Chat),
            tally: Tally::default(),
            times: None,
            messages: Vec::new(),
            refused: VecDeque::new(),
            since: 0,
            reads: false,
            there: 0,
            joined: 0,
            due: Vec::new(),
            place: 0,
            buffer: vec![0; 2 * READ],
            scratch: Vec::new(),
            events: Vec::with_capacity(EVENTS),
            servers,
            start: Instant::now(),
            failure: None,
        })
    }

    /// What happened so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// What was sent and heard so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// From now on this is timed.
    pub(crate) fn measure(&mut self, what: Timed) {
        self.since = self.now();
        (self.tally.heard_at, self.tally.silence) = (self.since, 0);
        self.times = Some((what, Histogram::new()));
    }

    /// No longer: what it took.
    pub(crate) fn measured(&mut self) -> Histogram {
        self.times.take().map_or_else(Histogram::new, |(_, times)| times)
    }

    /// It took somebody so long.
    fn time(&mut self, what: Timed, nanos: u64) {
        if let Some((timed, times)) = &mut self.times
            && *timed == what
        {
            times.record(nanos);
        }
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Lives on for so long.
    pub(crate) fn run_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Lives on until this is so.
    pub(crate) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        while !is_so(self) {
            if Instant::now() >= end {
                bail!("waited {limit:?} in vain: {what}");
            }
            self.turn(end.min(Instant::now() + Duration::from_millis(100)))?;
        }
        Ok(())
    }

    /// Lives on until all that was sent has come, or nothing comes any more.
    pub(crate) fn drain(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.load = Load::None;
        let (mut heard, mut since) = (self.tally.delivered, Instant::now());
        while !self.ledger.is_settled() && since.elapsed() < patience {
            self.run_for(Duration::from_millis(50))?;
            if self.tally.delivered != heard {
                (heard, since) = (self.tally.delivered, Instant::now());
            }
        }
        // What comes twice comes late.
        self.run_for(Duration::from_millis(200))
    }

    /// Sends what is due, waits for something to happen, but not beyond `end`, and takes it in.
    fn turn(&mut self, end: Instant) -> anyhow::Result<()> {
        self.send_due();
        let wait = self.wait_for(end.saturating_duration_since(Instant::now()));
        let timeout =
            Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1), tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut events = std::mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        for event in events.drain(..) {
            let (data, flags) = (event.data, event.flags);
            self.ready(usize::try_from(data.u64())?, flags);
        }
        self.events = events;
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// A socket has something to say, or can take something.
    fn ready(&mut self, client: usize, flags: epoll::EventFlags) {
        if flags.contains(epoll::EventFlags::OUT) {
            self.writable(client);
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let kept = self.sockets[client].take_rest(&mut buffer);
        if buffer.len() < kept + READ {
            buffer.resize(kept + READ, 0);
        }
        match self.sockets[client].read(&mut buffer[kept..]) {
            Ok(Some(0)) => self.ended(client),
            Ok(Some(length)) => self.take(client, &buffer[..kept + length]),
            Ok(None) => self.sockets[client].keep_rest(&buffer[..kept]),
            Err(_) => self.ended(client),
        }
        self.buffer = buffer;
    }

    /// Takes in what has been read of a client.
    fn take(&mut self, client: usize, bytes: &[u8]) {
        let mut rest = bytes;
        if self.sockets[client].stage == Stage::Upgrading {
            match self.upgraded(client, rest) {
                Some(after) => rest = after,
                None => return self.sockets[client].keep_rest(rest),
            }
        }
        let now = self.now();
        loop {
            match frame::first(rest) {
                Ok(Some(frame)) => {
                    rest = &rest[frame.length..];
                    match frame.opcode {
                        frame::TEXT => self.hear(client, frame.payload, now),
                        frame::PING => self.say_frame(client, frame::PONG, frame.payload),
                        frame::CLOSE => return self.ended(client),
                        _ => {}
                    }
                }
                Ok(None) => return self.sockets[client].keep_rest(rest),
                Err(what) => return self.fail(anyhow::anyhow!("a server sent {what}")),
            }
        }
    }

    /// A connection ended without our doing.
    fn ended(&mut self, client: usize) {
        if self.sockets[client].stage == Stage::There {
            self.there -= 1;
        }
        if self.sockets[client].stage != Stage::Gone {
            self.tally.ended += 1;
            self.sockets[client].close(&self.epoll);
            if self.habits.returns {
                self.come_back(client);
            }
        }
    }

    /// Nothing can be measured any more.
    fn fail(&mut self, failure: anyhow::Error) {
        self.failure.get_or_insert(failure);
    }

    /// Sends a packet that was written into `scratch`.
    fn say(&mut self, client: usize) {
        let scratch = std::mem::take(&mut self.scratch);
        self.say_frame(client, frame::TEXT, &scratch);
        self.scratch = scratch;
        self.scratch.clear();
    }

    fn say_frame(&mut self, client: usize, opcode: u8, payload: &[u8]) {
        let socket = &mut self.sockets[client];
        if socket.say(&self.epoll, client, |out, mask| frame::write(out, opcode, mask, payload)).is_err() {
            self.ended(client);
        }
    }

    fn writable(&mut self, client: usize) {
        match self.sockets[client].stage {
            Stage::Connecting => self.connected(client),
            Stage::Gone => {}
            _ => {
                if self.sockets[client].flush(&self.epoll, client).is_err() {
                    self.ended(client);
                }
            }
        }
    }
}
