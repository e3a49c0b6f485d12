//! From nothing to a crowd in its rooms.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::dialect::{Asked, Dialect, is_ok};

use super::person::{self, Position};
use super::socket::{Socket, Stage};
use super::{Crowd, Timed};

/// How many arrive at the same time, where arriving is not what is measured.
const AT_ONCE: usize = 64;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(180);

impl Crowd {
    /// Everyone connects and joins their rooms, some at a time.
    pub(crate) fn arrive(&mut self) -> anyhow::Result<()> {
        self.connect_all()?;
        self.make_rooms()?;
        self.join_all()
    }

    fn connect_all(&mut self) -> anyhow::Result<()> {
        while self.sockets.len() < self.layout.clients {
            if self.sockets.len() >= self.there + AT_ONCE {
                self.step("all are connected")?;
            } else {
                self.connect(self.sockets.len())?;
            }
        }
        let clients = self.layout.clients;
        self.until("all are connected", PATIENCE, |crowd| crowd.there == clients)
    }

    /// One turn of who waits for an answer.
    fn step(&mut self, what: &str) -> anyhow::Result<()> {
        if self.tally.ended > 0 {
            bail!("{} connections ended before {what}", self.tally.ended);
        }
        self.turn(Instant::now() + Duration::from_millis(100))
    }

    /// The rooms that everyone will join are these, and not to be made.
    pub(crate) fn know_rooms(&mut self, ids: Vec<String>) {
        for (room, id) in self.rooms.iter_mut().zip(ids) {
            room.id = id;
        }
    }

    /// The ids of all rooms.
    pub(crate) fn room_ids(&self) -> Vec<String> {
        self.rooms.iter().map(|room| room.id.clone()).collect()
    }

    /// Everyone connects at once, to join at once; waits until all have, or were cut off.
    pub(crate) fn storm(&mut self) -> anyhow::Result<()> {
        self.habits.joins = true;
        for client in 0..self.layout.clients {
            self.connect(client)?;
        }
        let wanted = self.layout.rooms * self.layout.members;
        self.until("all have joined", PATIENCE, |crowd| crowd.joined + crowd.tally.ended as usize >= wanted)
    }

    /// As [`Crowd::arrive`], for rooms so large that their members' joining would keep the server busy with telling
    /// all others of it: who has joined goes, and in the end all come back, who are members by then.
    pub(crate) fn arrive_apart(&mut self) -> anyhow::Result<()> {
        self.habits.returns = true;
        let clients = self.layout.clients;
        for first in (0..clients).step_by(AT_ONCE) {
            let wave = first..clients.min(first + AT_ONCE);
            for client in wave.clone() {
                self.connect(client)?;
            }
            let size = wave.len();
            self.until("a wave is connected", PATIENCE, |crowd| crowd.there == size)?;
            if first == 0 {
                self.make_rooms()?;
            }
            self.joined = 0;
            wave.clone().for_each(|client| self.join_all_of(client));
            self.until("a wave has joined", PATIENCE, |crowd| crowd.joined >= size)?;
            // Who joins is given the last message, which is searched for among all who joined since.
            for client in [first, first + 1] {
                Dialect::hello(&mut self.scratch, &self.rooms[0].id, client);
                self.say(client);
            }
            self.run_for(Duration::from_millis(20))?;
            wave.for_each(|client| self.sockets[client].close(&self.epoll));
            self.there = 0;
        }
        self.people.iter_mut().for_each(|person| person.position = None);
        for client in 0..clients {
            while client >= self.there + AT_ONCE {
                self.step("all are back")?;
            }
            self.connect(client)?;
        }
        self.until("all are back", PATIENCE, |crowd| crowd.there == clients)?;
        self.habits.returns = false;
        Ok(())
    }

    /// Who was cut off connects to the next server.
    pub(super) fn come_back(&mut self, client: usize) {
        let person = &mut self.people[client];
        person.home = (person.home + 1) % self.servers.len();
        if let Err(error) = self.connect(client) {
            self.fail(error);
        }
    }

    /// The members of each room are all at one server, one room here and the next room there.
    pub(crate) fn keep_rooms_together(&mut self) {
        for (client, person) in self.people.iter_mut().enumerate() {
            person.home = client / self.layout.members % self.servers.len();
        }
    }

    /// Begins to connect a client, to the server that is its.
    pub(super) fn connect(&mut self, client: usize) -> anyhow::Result<()> {
        let to = self.servers[self.people[client].home];
        let socket = Socket::connect(&self.epoll, client, to).with_context(|| format!("client {client} to {to}"))?;
        if client == self.sockets.len() {
            self.sockets.push(socket);
        } else {
            self.sockets[client] = socket;
        }
        Ok(())
    }

    /// TCP is there, or won't be.
    pub(super) fn connected(&mut self, client: usize) {
        let at = self.servers[self.people[client].home];
        let socket = &mut self.sockets[client];
        if !socket.is_connected() {
            return self.ended(client);
        }
        let said = socket.say(&self.epoll, client, |out, _| {
            out.extend(
                format!(
                    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {at}\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                .bytes(),
            );
        });
        socket.stage = Stage::Upgrading;
        if said.is_err() {
            self.ended(client);
        }
    }

    /// What follows on the answer to the upgrade, once that is whole.
    pub(super) fn upgraded<'a>(&mut self, client: usize, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        if !bytes.starts_with(b"HTTP/1.1 101 ") {
            let answer = String::from_utf8_lossy(&bytes[..end]).into_owned();
            self.fail(anyhow::anyhow!("no WebSocket but {answer}"));
        }
        self.sockets[client].stage = Stage::Open;
        Some(&bytes[end + 4..])
    }

    /// The transport is there: now the namespace.
    pub(super) fn opened(&mut self, client: usize) {
        let is_known = self.people[client].resume.is_some();
        let room = if is_known { self.room_of(client) } else { None };
        let auth = room.and_then(|room| self.people[client].auth(&self.rooms[room].id));
        self.dialect.connect(&mut self.scratch, client, auth.as_deref());
        self.say(client);
    }

    /// A client can say and hear everything.
    pub(super) fn arrived(&mut self, client: usize) {
        if self.sockets[client].stage == Stage::Open {
            self.sockets[client].stage = Stage::There;
            self.there += 1;
            if self.habits.joins {
                self.join_all_of(client);
            }
        }
    }

    /// The first room of a client.
    pub(super) fn room_of(&self, client: usize) -> Option<usize> {
        (0..self.rooms.len()).find(|room| self.layout.seat(*room, client).is_some())
    }

    fn join_all_of(&mut self, client: usize) {
        for room in 0..self.rooms.len() {
            if let Some(seat) = self.layout.seat(room, client) {
                self.join(room, seat);
            }
        }
    }

    /// Rooms of ours are made by their first members; peers' are there by their names.
    fn make_rooms(&mut self) -> anyhow::Result<()> {
        for room in 0..self.rooms.len() {
            match self.dialect {
                Dialect::Bare => self.rooms[room].id = format!("room-{room}"),
                Dialect::Chat => {
                    Dialect::create(&mut self.scratch, u32::try_from(room)?);
                    self.say(self.layout.client(room, 0));
                }
            }
            if room % AT_ONCE == 0 {
                self.until("rooms are made", PATIENCE, |crowd| !crowd.rooms[room].id.is_empty())?;
            }
        }
        self.until("all rooms are made", PATIENCE, |crowd| crowd.rooms.iter().all(|room| !room.id.is_empty()))
    }

    fn join_all(&mut self) -> anyhow::Result<()> {
        self.joined = 0;
        let mut asked = 0;
        for seat in 0..self.layout.members {
            for room in 0..self.rooms.len() {
                while asked >= self.joined + AT_ONCE {
                    self.step("all have joined")?;
                }
                self.join(room, seat);
                asked += 1;
            }
        }
        self.until("all have joined", PATIENCE, |crowd| crowd.joined == asked)
    }

    fn join(&mut self, room: usize, seat: usize) {
        self.dialect.join(&mut self.scratch, room as u32, &self.rooms[room].id);
        self.say(self.layout.client(room, seat));
    }

    /// The answer to anything but a message.
    pub(super) fn answered(&mut self, client: usize, asked: Asked, ack: &[u8], now: u64) {
        if self.dialect == Dialect::Chat && !is_ok(ack) {
            let ack = String::from_utf8_lossy(ack).into_owned();
            return self.fail(anyhow::anyhow!("{asked:?} was answered {ack}"));
        }
        match asked {
            Asked::Create(room) => match person::answer::<NewRoom>(ack) {
                Some(NewRoom { room: id }) => self.rooms[room as usize].id = id,
                None => self.fail(anyhow::anyhow!("a room without an id")),
            },
            Asked::Join(_) => {
                self.joined += 1;
                self.time(Timed::Arrivals, now.saturating_sub(self.since));
                if self.habits.returns {
                    self.people[client].position = person::answer::<Joined>(ack).map(|joined| joined.position);
                }
            }
            Asked::History(room) => self.has_read(client, room, now),
            Asked::Log(room) => self.paged(client, room, ack),
            Asked::Message(_) => {}
        }
    }
}

/// The answer to `room:create`.
#[derive(Deserialize)]
struct NewRoom {
    room: String,
}

/// The answer to `room:join`.
#[derive(Deserialize)]
struct Joined {
    position: Position,
}
