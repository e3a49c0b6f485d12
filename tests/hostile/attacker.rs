//! One of the strangers: it attacks in one way after the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::attack::Attack;
use super::guest::{Guest, told};
use super::pace::{Pace, Paces};
use super::tally::{OK, Tally};
use crate::history::schedule::Dice;

/// Addresses that the strangers share.
const ADDRESSES: usize = 7;
/// How long an attack goes on, in milliseconds: between these.
const LASTS: (u64, u64) = (3_000, 9_000);
/// How long the first one does, at most.
const FIRST: Duration = Duration::from_secs(60);
/// One attack may take this much longer: it waits for what it has been told to wait for.
const LONGEST: Duration = Duration::from_secs(15);
/// How long a stranger that was refused waits: not as long as it is told.
pub(super) const IMPATIENCE: Duration = Duration::from_millis(100);

/// What is attacked.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where strangers find the chat.
    pub(crate) doors: Vec<SocketAddr>,
    /// The ids of the people.
    pub(crate) people: Vec<String>,
    /// The rooms in which they talk.
    pub(crate) rooms: Vec<String>,
}

/// One of the strangers.
pub(super) struct Attacker {
    pub(super) number: usize,
    pub(super) from: Ipv4Addr,
    pub(super) target: Arc<Target>,
    pub(super) tally: Arc<Tally>,
    pub(super) dice: Dice,
    pub(super) connections: Arc<Pace>,
    pub(super) requests: Arc<Pace>,
    /// What continues its session.
    pub(super) auth: Value,
    /// The room that it has filled, if it has.
    pub(super) filled: Option<String>,
}

impl Attacker {
    pub(super) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        let place = self.dice.next() % u64::try_from(all.len()).expect("few of them");
        all[usize::try_from(place).expect("a place")].clone()
    }

    pub(super) fn door(&mut self) -> SocketAddr {
        let target = self.target.clone();
        self.one_of(&target.doors)
    }

    /// Connects as who it was before.
    pub(super) async fn enter(&mut self, attack: Attack) -> Option<Guest> {
        let door = self.door();
        self.connections.turn().await;
        match Guest::connect(self.from, door, &self.auth).await {
            Ok(guest) => {
                self.auth = guest.resume();
                Some(guest)
            }
            Err(refusal) => {
                self.tally.note(attack, &refusal);
                tokio::time::sleep(IMPATIENCE).await;
                None
            }
        }
    }

    /// Notes an answer; whether it is a refusal.
    pub(super) fn note(&self, attack: Attack, answer: Option<&Value>) -> bool {
        let told = told(answer);
        self.tally.note(attack, &told);
        told != OK
    }

    async fn live(mut self) {
        // Each begins with another one, and goes on with it until it is refused.
        let (first, tally) = (Attack::ALL[self.number % Attack::ALL.len()], self.tally.clone());
        let until = Instant::now() + FIRST;
        while Instant::now() < until && tally.unrefused().contains(&first) {
            tokio::select! {
                () = self.carry_out(first, until) => {}
                () = tally.until_refused(first) => {}
            }
        }
        let mut turn = Vec::new();
        loop {
            let Some(attack) = turn.pop() else {
                turn = self.dice.shuffled(&Attack::ALL);
                continue;
            };
            let lasts = LASTS.0 + self.dice.next() % (LASTS.1 - LASTS.0 + 1);
            let until = Instant::now() + Duration::from_millis(lasts);
            // Whatever it still waits for then.
            let _ = timeout_at(until + LONGEST, self.carry_out(attack, until)).await;
        }
    }

    async fn carry_out(&mut self, attack: Attack, until: Instant) {
        match attack {
            Attack::PushDms
            | Attack::Handshakes
            | Attack::BadSids
            | Attack::Unfinished
            | Attack::Storm
            | Attack::ForgedSessions
            | Attack::StrangeRequests => self.knock(attack, until).await,
            _ => self.abuse(attack, until).await,
        }
    }
}

/// All strangers; they go when dropped.
pub(crate) struct Attackers {
    _all: JoinSet<()>,
    pub(crate) tally: Arc<Tally>,
}

impl Attackers {
    /// So many of them begin.
    pub(crate) fn start(count: usize, paces: Paces, target: Target, seed: u64) -> Self {
        let (target, tally) = (Arc::new(target), Arc::<Tally>::default());
        let mut all = JoinSet::new();
        for number in 0..count {
            let last = u8::try_from(2 + number % ADDRESSES).expect("few addresses");
            let attacker = Attacker {
                number,
                from: Ipv4Addr::new(127, 0, 0, last),
                target: target.clone(),
                tally: tally.clone(),
                dice: Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64)),
                connections: Arc::new(Pace::new(paces.connections)),
                requests: Arc::new(Pace::new(paces.requests)),
                auth: json!({"name": format!("Mallory {number}")}),
                filled: None,
            };
            all.spawn(attacker.live());
        }
        Self { _all: all, tally }
    }
}
