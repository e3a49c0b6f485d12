//! From nothing to a crowd in its rooms.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Crowd;
use super::socket::{Socket, Stage};
use crate::dialect::{Asked, Dialect, is_ok};

/// How many arrive at the same time, where arriving is not what is measured.
const AT_ONCE: usize = 64;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(120);

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

    /// Begins to connect a client, to the server that is its.
    pub(super) fn connect(&mut self, client: usize) -> anyhow::Result<()> {
        let to = self.servers[client % self.servers.len()];
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
        let at = self.servers[client % self.servers.len()];
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
        self.dialect.connect(&mut self.scratch, client, None);
        self.say(client);
    }

    /// A client can say and hear everything.
    pub(super) fn arrived(&mut self, client: usize) {
        if self.sockets[client].stage == Stage::Open {
            self.sockets[client].stage = Stage::There;
            self.there += 1;
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

    /// The answer to what was asked on the way.
    pub(super) fn answered(&mut self, asked: Asked, ack: &[u8]) {
        if self.dialect == Dialect::Chat && !is_ok(ack) {
            let ack = String::from_utf8_lossy(ack).into_owned();
            return self.fail(anyhow::anyhow!("{asked:?} was answered {ack}"));
        }
        match asked {
            Asked::Create(room) => match id(ack) {
                Some(id) => self.rooms[room as usize].id = id,
                None => self.fail(anyhow::anyhow!("a room without an id")),
            },
            Asked::Join(_) => self.joined += 1,
            Asked::History(_) | Asked::Message(_) => {}
        }
    }
}

/// The id of a new room.
fn id(ack: &[u8]) -> Option<String> {
    let ack: serde_json::Value = serde_json::from_slice(ack).ok()?;
    Some(ack[0]["room"].as_str()?.to_owned())
}
