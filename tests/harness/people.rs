//! People on unpatched clients who talk in one room: processes of `clients/js/people.cjs` and
//! `clients/python/people.py`. They note what goes against the protocol, and here it is judged whether anything is lost
//! or doubled.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use super::dialogue::Dialogue;
use super::{stock, until};

/// One of so many polls, the others use WebSocket.
const POLLING_EVERY: usize = 6;

/// Whom to start.
pub(crate) struct Crowd<'a> {
    /// Where the chat is.
    pub(crate) url: &'a str,
    /// The room in which they talk.
    pub(crate) room: &'a str,
    /// How many use socket.io-client.
    pub(crate) javascript: usize,
    /// How many use python-socketio.
    pub(crate) python: usize,
    /// How often each of them says something, on the average.
    pub(crate) every_ms: u64,
}

/// All of them; their processes end when dropped.
pub(crate) struct People {
    count: usize,
    processes: Vec<Dialogue>,
}

/// How they are now.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Status {
    /// Who is connected and in the room.
    pub(crate) open: usize,
    /// Who has heard the room up to what was asked for.
    there: usize,
    /// Sends without an ack.
    waiting: usize,
    /// Who has the last session from the node that was asked for.
    pub(crate) at_node: usize,
    violations: usize,
}

/// What they wrote down.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Report {
    pub(crate) people: Vec<Account>,
    log: Vec<Entry>,
    violations: Vec<String>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) number: usize,
    pub(crate) sent: Vec<Send>,
    /// Each coming back.
    pub(crate) sessions: Vec<Session>,
    /// The longest from an ack to anybody until the message was here, in milliseconds.
    pub(crate) silence: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Send {
    nonce: String,
    pub(crate) tries: u32,
    pub(crate) offset: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Session {
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
    /// How long after the loss of the connection.
    pub(crate) took: f64,
    pub(crate) recovered: bool,
}

#[derive(Debug, Deserialize)]
struct Entry {
    offset: u64,
    id: String,
    /// None for what is no message.
    nonce: Option<String>,
}

impl People {
    /// Starts them, and waits until all are in the room.
    pub(crate) async fn start(crowd: &Crowd<'_>) -> Self {
        let mut people = Self { count: crowd.javascript + crowd.python, processes: Vec::new() };
        if crowd.javascript > 0 {
            let mut node = Command::new("node");
            node.arg(stock::source("clients/js/people.cjs")).env("NODE_PATH", stock::node_modules("clients/js"));
            people.processes.push(start(node, crowd, 0, crowd.javascript));
        }
        if crowd.python > 0 {
            let mut python = Command::new("python3");
            python.arg("-B").arg(stock::source("clients/python/people.py"));
            python.env("PYTHONPATH", stock::python_packages("clients/python"));
            people.processes.push(start(python, crowd, crowd.javascript, crowd.python));
        }
        let everybody = people.count;
        people.until("all people are in the room", |status| status.open == everybody).await;
        people
    }

    async fn ask<T: for<'a> Deserialize<'a>>(&mut self, command: &Value) -> Vec<T> {
        let mut answers = Vec::new();
        for process in &mut self.processes {
            answers.push(process.ask(command).await);
        }
        answers
    }

    /// Lets them talk.
    pub(crate) async fn talk(&mut self) {
        self.ask::<Value>(&json!({"do": "talk"})).await;
    }

    /// How they are with a node, and with what was said up to an offset.
    pub(crate) async fn status(&mut self, node: &str, target: u64) -> Status {
        let mut sum = Status::default();
        let command = json!({"do": "status", "node": node, "target": target});
        for Status { open, there, at_node, waiting, violations } in self.ask(&command).await {
            sum.open += open;
            sum.there += there;
            sum.waiting += waiting;
            sum.at_node += at_node;
            sum.violations += violations;
        }
        sum
    }

    /// Waits until they are so.
    pub(crate) async fn until(&mut self, what: &str, is: impl Fn(&Status) -> bool) {
        self.until_with("", 0, what, is).await;
    }

    /// Waits until nobody has a session from this node, and all are connected.
    pub(crate) async fn until_gone_from(&mut self, node: &str) {
        let everybody = self.count;
        let is = |status: &Status| status.at_node == 0 && status.open == everybody;
        self.until_with(node, 0, &format!("the people of {node} are back elsewhere"), is).await;
    }

    async fn until_with(&mut self, node: &str, target: u64, what: &str, is: impl Fn(&Status) -> bool) {
        let people = tokio::sync::Mutex::new(self);
        until(what, async || {
            let mut people = people.lock().await;
            let status = people.status(node, target).await;
            if status.violations > 0 {
                let reports: Vec<Report> = people.ask(&json!({"do": "report"})).await;
                let found: Vec<&String> = reports.iter().flat_map(|report| &report.violations).take(10).collect();
                panic!("{status:?}, while waiting until {what}: {found:#?}");
            }
            is(&status).then_some(())
        })
        .await;
    }

    /// They say nothing new; waits until all is acked.
    pub(crate) async fn fall_silent(&mut self) {
        self.ask::<Value>(&json!({"do": "quiet"})).await;
        self.until("all sends are acked", |status| status.waiting == 0).await;
    }

    /// Waits until all have heard the room up to this offset, and judges what they wrote down: nothing is lost, nothing
    /// doubled, and all have heard the same.
    pub(crate) async fn judged(mut self, top: u64) -> Report {
        let everybody = self.count;
        self.until_with("", top, "all have heard everything", |status| status.there == everybody).await;
        let mut whole = Report::default();
        for Report { people, log, violations } in self.ask(&json!({"do": "report"})).await {
            whole.people.extend(people);
            whole.log.extend(log);
            whole.violations.extend(violations);
        }
        whole.judge(top);
        whole
    }
}

impl Report {
    fn judge(&self, top: u64) {
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
        let mut log: HashMap<u64, &Entry> = HashMap::new();
        for entry in &self.log {
            let known = log.entry(entry.offset).or_insert(entry);
            assert_eq!(known.id, entry.id, "clients of two kinds hear the same: {known:?}, {entry:?}");
        }
        let nonces: Vec<&String> = log.values().filter_map(|entry| entry.nonce.as_ref()).collect();
        assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), nonces.len(), "nothing is stored twice");
        // Whoever has heard an offset has heard each one before it since joining: that is among the violations.
        assert!(log.contains_key(&top), "the last word was heard");
        for send in self.people.iter().flat_map(|person| &person.sent) {
            let heard = send.offset.and_then(|offset| log.get(&offset)?.nonce.as_ref());
            assert_eq!(heard, Some(&send.nonce), "what was acked is heard where the ack says: {send:?}");
        }
    }
}

fn start(mut command: Command, crowd: &Crowd<'_>, first: usize, people: usize) -> Dialogue {
    let plan = json!({
        "url": crowd.url, "room": crowd.room, "first": first, "people": people,
        "everyMs": crowd.every_ms, "pollingEvery": POLLING_EVERY,
    });
    command.arg(plan.to_string());
    Dialogue::start(command)
}
