//! Attacks with connections, for which nobody has to be let in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::attack::Attack;
use super::attacker::{Attacker, IMPATIENCE};
use super::guest::{CLOSED, Guest, dial, status, status_of, told};
use super::tally::{OK, Tally};

/// How many a flood does at once.
const AT_ONCE: usize = 16;
/// The guests that write to one person.
const GUESTS: usize = 90;
/// Connections that are never complete.
const CONNECTIONS: usize = 60;
/// How long they are held, longer than the time that the head of a request may take.
const HELD: Duration = Duration::from_secs(12);
/// How long the name of a session is that is not open.
const LONG: usize = 20_000;

const HANDSHAKE: &str =
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const UNFINISHED: [&str; 3] = [
    "",
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\nCookie: ",
    "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n4",
];
const STRANGE: [&str; 4] = [
    "GET / HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n",
    "GET //analytics.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\nOrigin: https://other.example\r\nConnection: close\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

impl Attacker {
    pub(super) async fn knock(&mut self, attack: Attack, until: Instant) {
        match attack {
            Attack::PushDms => self.push_dms(until).await,
            Attack::Handshakes => self.flood(attack, until, &[HANDSHAKE.to_owned()]).await,
            Attack::StrangeRequests => self.flood(attack, until, &STRANGE.map(str::to_owned)).await,
            Attack::BadSids => self.ask_for_long_sids(until).await,
            Attack::Unfinished => self.never_finish().await,
            Attack::Storm => self.storm(attack, until).await,
            _ => self.forge(attack, until).await,
        }
    }

    /// Asks over a connection each, until it is refused for good.
    async fn flood(&mut self, attack: Attack, until: Instant, requests: &[String]) {
        let (from, door, tally, pace) = (self.from, self.door(), &self.tally, &self.connections);
        let one = async |mut number: usize| {
            while Instant::now() < until {
                pace.turn().await;
                let answer = status(from, door, &requests[number % requests.len()]).await;
                number += 1;
                tally.note(attack, if answer == "200" { OK } else { &answer });
                if answer == "503" {
                    tokio::time::sleep(IMPATIENCE).await;
                }
            }
        };
        join_all((0..AT_ONCE).map(one)).await;
    }

    /// Guests that nobody will hear of again write to one person, at one node.
    async fn push_dms(&mut self, until: Instant) {
        let (target, door) = (self.target.clone(), self.door());
        let person = self.one_of(&target.people);
        let (from, tally, pace) = (self.from, &self.tally, &self.connections);
        let one = async |number: usize| {
            let attack = Attack::PushDms;
            for guest in 0..GUESTS / AT_ONCE + 1 {
                if Instant::now() > until {
                    return;
                }
                pace.turn().await;
                let auth = json!({"name": format!("Sybil {number} {guest}")});
                let mut guest = match Guest::connect(from, door, &auth).await {
                    Ok(guest) => guest,
                    Err(refusal) => {
                        tally.note(attack, &refusal);
                        tokio::time::sleep(IMPATIENCE).await;
                        continue;
                    }
                };
                let opened = guest.request("dm:open", json!({"user": person})).await;
                tally.note(attack, &told(opened.as_ref()));
                let Some(room) = opened.as_ref().and_then(|opened| opened["room"].as_str()) else { continue };
                let send = json!({"room": room, "nonce": "n", "text": "buy now"});
                tally.note(attack, &told(guest.request("message:send", send).await.as_ref()));
            }
        };
        join_all((0..AT_ONCE).map(one)).await;
    }

    /// Many requests over one connection, one after the other.
    async fn ask_for_long_sids(&mut self, until: Instant) {
        let sid = "x".repeat(LONG);
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        );
        let door = self.door();
        let Some(mut stream) = dial(self.from, door).await else { return };
        let mut answer = vec![0; 4_096];
        while Instant::now() < until {
            self.requests.turn().await;
            // One that is closed says so when it is read.
            let _ = stream.write_all(request.as_bytes()).await;
            let length = stream.read(&mut answer).await.unwrap_or(0);
            self.tally.note(Attack::BadSids, &status_of(&answer[..length]));
            if length == 0 {
                tokio::time::sleep(IMPATIENCE).await;
                let Some(another) = dial(self.from, door).await else { return };
                stream = another;
            }
        }
    }

    async fn never_finish(&mut self) {
        let door = self.door();
        join_all((0..CONNECTIONS).map(|number| hold(self.from, door, UNFINISHED[number % 3], self.tally.clone())))
            .await;
    }

    /// Comes back as fast as it can.
    async fn storm(&mut self, attack: Attack, until: Instant) {
        let Some(guest) = self.enter(attack).await else { return };
        let auth = guest.resume();
        drop(guest);
        let (from, tally, pace, doors) = (self.from, &self.tally, &self.connections, self.target.doors.clone());
        let door = doors[self.number % doors.len()];
        join_all((0..AT_ONCE).map(async |_| {
            while Instant::now() < until {
                pace.turn().await;
                let came = Guest::connect(from, door, &auth).await;
                note_connect(tally, attack, came.as_ref().err());
                if came.is_err() {
                    tokio::time::sleep(IMPATIENCE).await;
                }
            }
        }))
        .await;
    }

    /// Sessions that nobody has.
    async fn forge(&mut self, attack: Attack, until: Instant) {
        let mut forged: Vec<Value> = vec![json!({"resume": "x".repeat(2_000)}), json!({})];
        if let Some(token) = self.auth["resume"].as_str() {
            // The last but one, whose bits all count.
            let (head, tail) = token.split_at(token.len() - 2);
            let other = if tail.starts_with('A') { "B" } else { "A" };
            forged.push(json!({"resume": format!("{head}{other}{}", &tail[1..])}));
        }
        while Instant::now() < until {
            let (auth, door) = (self.one_of(&forged), self.door());
            note_connect(&self.tally, attack, Guest::connect(self.from, door, &auth).await.as_ref().err());
            tokio::time::sleep(IMPATIENCE).await;
        }
    }
}

fn note_connect(tally: &Tally, attack: Attack, refusal: Option<&String>) {
    tally.note(attack, refusal.map_or(OK, String::as_str));
}

async fn hold(from: Ipv4Addr, to: SocketAddr, what: &str, tally: Arc<Tally>) {
    let Some(mut stream) = dial(from, to).await else {
        tally.note(Attack::Unfinished, CLOSED);
        return;
    };
    let mut answer = [0; 512];
    // That it is closed is what is waited for.
    let _ = stream.write_all(what.as_bytes()).await;
    let told = match tokio::time::timeout(HELD, stream.read(&mut answer)).await {
        Ok(read) => status_of(&answer[..read.unwrap_or(0)]),
        Err(_) => OK.to_owned(),
    };
    tally.note(Attack::Unfinished, &told);
}
