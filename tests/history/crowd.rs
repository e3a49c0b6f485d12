//! The people: processes of Node.js that run `clients/js/crowd.cjs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::account::{self, Line, Person};
use crate::harness::dialogue::Dialogue;
use crate::harness::stock;

/// People in one process.
const MOST_EACH: u32 = 50;
/// One of so many polls.
const POLLING: u32 = 12;
/// Rooms that a person is in, besides the lobby.
const ROOMS_EACH: u32 = 2;

/// How the people are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    /// Connected.
    pub(crate) open: u32,
    /// In all of their rooms.
    pub(crate) entered: u32,
    /// Sends without an ack.
    pub(crate) waiting: u32,
    /// Messages that were acked, by all of them, since the beginning.
    pub(crate) acked: u32,
    /// How often somebody is not where the room is.
    pub(crate) behind: u32,
    /// One of them.
    pub(crate) example: String,
}

/// Where people talk, and how.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Where they connect.
    pub(crate) urls: Vec<String>,
    /// The rooms, the lobby last.
    pub(crate) rooms: Vec<String>,
    /// How often each of them says something.
    pub(crate) every: Duration,
    pub(crate) seed: u64,
    /// Whether they send again what they are told that the store has lost of theirs.
    pub(crate) offers_again: bool,
    /// Strangers take them into rooms, which their accounts leave out; they read, too, and say what they had to wait for.
    pub(crate) beset: bool,
}

/// What people had to wait for, and what was refused to them, since the last look.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Took {
    /// From the wish to send to the ack, in milliseconds.
    pub(crate) acks: Vec<f64>,
    /// How often what was refused, or not answered.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// All people; their processes end when dropped.
pub(crate) struct Crowd {
    manner: Manner,
    folder: PathBuf,
    people: u32,
    processes: Vec<Mutex<Dialogue>>,
    accounts: Vec<PathBuf>,
}

impl Crowd {
    /// Nobody, yet. Accounts will be written to the folder.
    pub(crate) fn new(manner: Manner, folder: PathBuf) -> Self {
        Self { manner, folder, people: 0, processes: Vec::new(), accounts: Vec::new() }
    }

    /// So many more people.
    pub(crate) fn come(&mut self, people: u32) {
        let modules = stock::node_modules("clients/js");
        let Manner { urls, rooms, every, seed, offers_again, beset } = &self.manner;
        let numbers: Vec<Person> = (self.people..self.people + people).collect();
        for numbers in numbers.chunks(MOST_EACH as usize) {
            let account = self.folder.join(format!("people-{}.ndjson", self.processes.len()));
            let people: Vec<Value> = numbers.iter().map(|&number| described(number, rooms)).collect();
            let plan = json!({
                "account": account, "urls": urls, "people": people, "seed": seed,
                "everyMs": every.as_millis(), "lobbyShare": 0.04, "offersAgain": offers_again, "beset": beset,
            });
            let mut command = Command::new("node");
            command.arg(stock::source("clients/js/crowd.cjs")).arg(plan.to_string()).env("NODE_PATH", &modules);
            self.processes.push(Mutex::new(Dialogue::start(command)));
            self.accounts.push(account);
        }
        self.people += people;
    }

    /// How many there are.
    pub(crate) fn people(&self) -> u32 {
        self.people
    }

    async fn ask(&self, command: &Value) -> Vec<Value> {
        let mut answers = Vec::new();
        for process in &self.processes {
            answers.push(process.lock().await.ask(command).await);
        }
        answers
    }

    /// Lets those talk who don't yet.
    pub(crate) async fn talk(&self) {
        self.ask(&json!({"do": "talk"})).await;
    }

    /// They say nothing new.
    pub(crate) async fn quiet(&self) {
        self.ask(&json!({"do": "quiet"})).await;
    }

    /// `sleep` or `leave`, for these people; answers how many of them did.
    pub(crate) async fn some(&self, verb: &str, people: &[u32], ms: u128) -> u64 {
        let answers = self.ask(&json!({"do": verb, "people": people, "ms": ms})).await;
        answers.iter().map(|answer| answer["hit"].as_u64().unwrap_or(0)).sum()
    }

    /// The ids of all of them.
    pub(crate) async fn users(&self) -> Vec<String> {
        let answers = self.ask(&json!({"do": "who"})).await;
        answers.into_iter().flat_map(|mut answer| list(answer["users"].take())).collect()
    }

    /// What they had to wait for since the last look.
    pub(crate) async fn took(&self) -> Took {
        let mut sum = Took::default();
        for answer in self.ask(&json!({"do": "took"})).await {
            let Took { acks, refused } = serde_json::from_value(answer).expect("what people waited for");
            sum.acks.extend(acks);
            for (what, count) in refused {
                *sum.refused.entry(what).or_default() += count;
            }
        }
        sum
    }

    /// Each makes a room, enters one, writes to a friend and gets an answer; answers who could not.
    pub(crate) async fn locked_out(&self) -> Vec<String> {
        let answers = self.ask(&json!({"do": "prove"})).await;
        answers.into_iter().flat_map(|mut answer| list(answer["failed"].take())).collect()
    }

    /// How they all are; the targets say up to where each room's log goes.
    pub(crate) async fn status(&self, targets: &Value) -> Status {
        let mut sum = Status { open: 0, entered: 0, waiting: 0, acked: 0, behind: 0, example: String::new() };
        for answer in self.ask(&json!({"do": "status", "targets": targets})).await {
            let Status { open, entered, waiting, acked, behind, example } =
                serde_json::from_value(answer).expect("a status of the people");
            sum.open += open;
            sum.entered += entered;
            sum.waiting += waiting;
            sum.acked += acked;
            sum.behind += behind;
            if sum.example.is_empty() {
                sum.example = example;
            }
        }
        sum
    }

    /// Ends them; answers all that they wrote down.
    pub(crate) async fn end(self) -> Vec<Line> {
        self.ask(&json!({"do": "end"})).await;
        for process in &self.processes {
            // It ends by itself, and writes down the last of its account before.
            process.lock().await.ended();
        }
        self.accounts.iter().flat_map(|path| account::read(path)).collect()
    }
}

fn list(answer: Value) -> Vec<String> {
    serde_json::from_value(answer).expect("a list of texts")
}

/// Whether a person polls; the others use WebSocket.
pub(crate) fn polls(number: Person) -> bool {
    number % POLLING == 5
}

/// Every third is in the first room, which is the busy one; the others spread over the rest.
fn described(number: Person, rooms: &[String]) -> Value {
    let others = u32::try_from(rooms.len() - 2).expect("few rooms");
    let mut of_person: Vec<u32> = (0..ROOMS_EACH).map(|place| 1 + (number + place * 7) % others).collect();
    if number.is_multiple_of(3) {
        of_person = vec![0];
    }
    of_person.dedup();
    let rooms: Vec<&String> = of_person.iter().map(|&room| &rooms[room as usize]).collect();
    let transport = if polls(number) { "polling" } else { "websocket" };
    json!({"number": number, "transport": transport, "rooms": rooms})
}
