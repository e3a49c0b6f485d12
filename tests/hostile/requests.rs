//! Attacks with requests, of guests who were let in.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::attack::Attack;
use super::attacker::{Attacker, IMPATIENCE};
use super::guest::Guest;
use super::tally::OK;

/// How many requests a flood has on the way.
const AT_ONCE: usize = 40;
/// The same of those that change rooms.
const CHANGES: usize = 8;
/// The messages of a room whose pages are large, and how large each is.
const LARGE: (usize, usize) = (30, 16_000);
/// The sockets that don't read, and the pages that each asks for.
const SOCKETS: usize = 3;
const PAGES: usize = 5;
/// How long they read nothing.
const DEAF: Duration = Duration::from_secs(4);

/// Names that look like others, or like nothing; the first of one that people have.
fn look_alikes() -> [String; 7] {
    [
        "r\u{43e}\u{43e}m 1".to_owned(),
        "room\u{202e} 2".to_owned(),
        "ro\u{200b}om 3".to_owned(),
        "\u{3164}".to_owned(),
        format!("a{}", "\u{301}".repeat(60)),
        "ROOM 1".to_owned(),
        "room l".to_owned(),
    ]
}

impl Attacker {
    pub(super) async fn abuse(&mut self, attack: Attack, until: Instant) {
        match attack {
            Attack::SlowReaders => return self.read_nothing().await,
            Attack::LookAlikes => return self.look_alike(until).await,
            _ => {}
        }
        let Some(mut guest) = self.enter(attack).await else { return };
        match attack {
            Attack::PushRooms | Attack::CreateAndLeave => self.make_rooms(attack, &mut guest, until).await,
            Attack::Links => self.make_links(&mut guest, until).await,
            Attack::JoinAndLeave => {
                let target = self.target.clone();
                let room = self.one_of(&target.rooms[..target.rooms.len() - 1]);
                let come_and_go = |number: usize| {
                    let event = if number.is_multiple_of(2) { "room:join" } else { "room:leave" };
                    (event, json!({"room": room, "limit": 1}))
                };
                self.flood_with(attack, &mut guest, until, CHANGES, come_and_go).await;
            }
            Attack::UnmatchedLists => {
                let list = |number| ("room:list", json!({"query": format!("qq{number}")}));
                self.flood_with(attack, &mut guest, until, AT_ONCE, list).await;
            }
            Attack::Typing => {
                let typing = |number: usize| ("typing:set", json!({"room": "lobby", "on": number.is_multiple_of(2)}));
                self.flood_with(attack, &mut guest, until, AT_ONCE, typing).await;
            }
            Attack::ReadMarks => {
                let mark = |number| ("read:mark", json!({"room": "lobby", "offset": number}));
                self.flood_with(attack, &mut guest, until, AT_ONCE, mark).await;
            }
            _ => {
                let page = |number| ("history:get", json!({"room": "lobby", "limit": 100, "after": number}));
                self.flood_with(attack, &mut guest, until, AT_ONCE, page).await;
            }
        }
    }

    /// Makes rooms, and adds a person to each or leaves it.
    async fn make_rooms(&mut self, attack: Attack, guest: &mut Guest, until: Instant) {
        let target = self.target.clone();
        let (wide, topic) = ("\u{10348}".repeat(50), "\u{10348}".repeat(250));
        while Instant::now() < until {
            let create = |this: &mut Self| {
                let (name, kind) = match attack {
                    Attack::PushRooms => ("Free money".to_owned(), "private"),
                    _ => (format!("{wide}{}", this.dice.next() % 1_000_000), this.one_of(&["private", "public"])),
                };
                ("room:create", json!({"name": name, "kind": kind, "topic": topic}))
            };
            let creates = (0..CHANGES).map(|_| create(self)).collect();
            let Some(made) = self.ask_all(attack, guest, creates).await else { return };
            let rooms = made.into_iter().filter(|room| room["room"].is_string());
            let next = rooms.map(|made| match attack {
                Attack::PushRooms => {
                    ("room:invite", json!({"room": made["room"], "user": self.one_of(&target.people)}))
                }
                _ => ("room:leave", json!({"room": made["room"]})),
            });
            let next = next.collect();
            if self.ask_all(attack, guest, next).await.is_none() {
                return;
            }
        }
    }

    async fn make_links(&mut self, guest: &mut Guest, until: Instant) {
        let made = guest.request("room:create", json!({"name": "Links", "kind": "private"})).await;
        self.note(Attack::Links, made.as_ref());
        let Some(room) = made.as_ref().and_then(|made| made["room"].as_str()) else { return };
        let link = |_| ("room:invite", json!({"room": room}));
        self.flood_with(Attack::Links, guest, until, CHANGES, link).await;
        // Where that is refused, the room stays.
        let _ = guest.request("room:leave", json!({"room": room})).await;
    }

    /// Asks all of it at once, and waits a little if any is refused; the answers as they come, unless it is closed.
    async fn ask_all(
        &self,
        attack: Attack,
        guest: &mut Guest,
        requests: Vec<(&'static str, Value)>,
    ) -> Option<Vec<Value>> {
        for (event, payload) in &requests {
            self.requests.turn().await;
            guest.ask(event, payload).await?;
        }
        let (mut answers, mut refused) = (Vec::new(), false);
        for _ in &requests {
            let answer = guest.answer().await;
            refused |= self.note(attack, answer.as_ref());
            answers.push(answer?);
        }
        if refused {
            tokio::time::sleep(IMPATIENCE).await;
        }
        Some(answers)
    }

    /// Asks so many at a time.
    async fn flood_with(
        &self,
        attack: Attack,
        guest: &mut Guest,
        until: Instant,
        at_once: usize,
        request: impl Fn(usize) -> (&'static str, Value),
    ) {
        let mut number = 0;
        while Instant::now() < until {
            let requests = (number..number + at_once).map(&request).collect();
            number += at_once;
            if self.ask_all(attack, guest, requests).await.is_none() {
                return;
            }
        }
    }

    /// Takes names that look like those of others, for rooms and for itself.
    async fn look_alike(&mut self, until: Instant) {
        let Some(mut guest) = self.enter(Attack::LookAlikes).await else { return };
        for name in look_alikes() {
            let door = self.door();
            // A guest may have the name of another; the page tells them apart.
            let came = Guest::connect(self.from, door, &json!({"name": name})).await.err();
            self.tally.note(Attack::LookAlikes, came.as_deref().unwrap_or(OK));
            let made = guest.request("room:create", json!({"name": name, "kind": "public"})).await;
            self.note(Attack::LookAlikes, made.as_ref());
            if Instant::now() > until {
                return;
            }
        }
    }

    /// Asks for large pages on several sockets, and reads nothing for a while.
    async fn read_nothing(&mut self) {
        let attack = Attack::SlowReaders;
        if self.filled.is_none() {
            let Some(mut guest) = self.enter(attack).await else { return };
            let made = guest.request("room:create", json!({"name": "Large", "kind": "private"})).await;
            self.note(attack, made.as_ref());
            let Some(room) = made.as_ref().and_then(|made| made["room"].as_str()) else { return };
            for number in 0..LARGE.0 {
                let send = json!({"room": room, "nonce": number.to_string(), "text": "x".repeat(LARGE.1)});
                let sent = guest.request("message:send", send).await;
                self.note(attack, sent.as_ref());
            }
            self.filled = Some(room.to_owned());
        }
        let page = json!({"room": self.filled, "limit": 100});
        let mut deaf = Vec::new();
        for _ in 0..SOCKETS {
            let Some(mut guest) = self.enter(attack).await else { continue };
            for _ in 0..PAGES {
                guest.ask("history:get", &page).await;
            }
            deaf.push(guest);
        }
        tokio::time::sleep(DEAF).await;
        for mut guest in deaf {
            let answer = guest.answer().await;
            if answer.as_ref().is_some_and(|answer| answer["complete"] == false) {
                self.tally.note(attack, "a part of the page");
            } else {
                self.note(attack, answer.as_ref());
            }
        }
    }
}
