//! Durable writes. They have a connection of their own, on which a group of concurrent writes is followed by one
//! `WAIT` or `WAITAOF` for all of them.
//!
//! Both commands cover what was written on the same connection before, and nothing else. So a group and its wait are
//! sent as one pipeline, and count only if one connection answered all of it. A repeated request for what is stored
//! already writes it again, to wait for that.

use std::sync::Arc;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::scripts::Script;
use fred::types::{CustomCommand, FromValue, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{Method, log_advice, method};
use crate::store::redis::connect::config::Requirement;
use crate::store::redis::connect::connection::{Connection, is_replica};

/// Writes of a group.
const MAX_GROUP: usize = 256;
/// Writes that may wait for the next group.
const QUEUE: usize = 4_096;
/// How long Redis may take to confirm a group, in milliseconds: less than a command may take.
const WAIT_TIMEOUT_MS: &str = "2000";

/// The connection for durable writes. Ends when dropped.
pub(crate) struct DurableWriter {
    connection: Arc<Connection>,
    jobs: mpsc::Sender<Job>,
    task: AbortHandle,
}

/// A script to run durably.
pub(crate) struct Write {
    pub(crate) script: Script,
    pub(crate) keys: Vec<String>,
    pub(crate) args: Vec<String>,
    /// Its keys are being moved to this server.
    pub(crate) asking: bool,
}

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Value, Error>>,
}

impl DurableWriter {
    pub(crate) fn start(connection: Connection, requirement: Requirement) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let connection = Arc::new(connection);
        let task = tokio::spawn(serve(connection.clone(), requirement, waiting)).abort_handle();
        Self { connection, jobs, task }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Writes, and waits until the write is durable.
    pub(crate) async fn write<R: FromValue>(&self, write: Write) -> Result<R, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Canceled, "the connection for durable writes ended");
        self.jobs.send(Job { write, reply }).await.map_err(|_| gone())?;
        R::from_value(answer.await.map_err(|_| gone())??)
    }
}

impl Drop for DurableWriter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(connection: Arc<Connection>, requirement: Requirement, mut waiting: mpsc::Receiver<Job>) {
    let mut known: Option<(u64, Method)> = None;
    while let Some(first) = waiting.recv().await {
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && let Ok(job) = waiting.try_recv()
        {
            group.push(job);
        }
        let answers = match send(&connection, requirement, &mut known, &group).await {
            Ok(answers) => answers,
            Err(error) => {
                if is_replica(&error) {
                    connection.renew().await;
                }
                vec![Err(error); group.len()]
            }
        };
        for (job, answer) in group.into_iter().zip(answers) {
            // The caller may have given up.
            let _ = job.reply.send(answer);
        }
    }
}

/// Sends a group. Returns the reply to each write once all of them are durable.
async fn send(
    connection: &Connection,
    requirement: Requirement,
    known: &mut Option<(u64, Method)>,
    group: &[Job],
) -> Result<Vec<Result<Value, Error>>, Error> {
    let client = connection.client().map_err(|error| Error::new(ErrorKind::IO, error.to_string()))?;
    // A new connection may lead to another server.
    let connects = connection.connects();
    let method = match known {
        Some((at, method)) if *at == connects => *method,
        _ => {
            let method = method(client, requirement).await?;
            log_advice(client, requirement).await;
            known.insert((connects, method)).1
        }
    };
    let mut answers = ask(client, method, group).await?;
    let unknown: Vec<_> = (0..group.len()).filter(|&place| is_unknown(&answers[place])).collect();
    if !unknown.is_empty() {
        // The server has not run these.
        for script in unknown.iter().map(|&place| &group[place].write.script) {
            script.load(client).await?;
        }
        let again: Vec<&Job> = unknown.iter().map(|&place| &group[place]).collect();
        for (place, answer) in unknown.into_iter().zip(ask(client, method, again).await?) {
            answers[place] = answer;
        }
    }
    if let Some(error) = answers.iter().filter_map(|answer| answer.as_ref().err()).find(|error| is_replica(error)) {
        return Err(error.clone());
    }
    Ok(answers)
}

fn is_unknown(answer: &Result<Value, Error>) -> bool {
    answer.as_ref().is_err_and(|error| error.details().starts_with("NOSCRIPT"))
}

async fn ask(
    client: &Client,
    method: Method,
    group: impl IntoIterator<Item = &Job>,
) -> Result<Vec<Result<Value, Error>>, Error> {
    let pipeline = client.pipeline();
    let add =
        |name: &'static str, args: Vec<String>| pipeline.custom::<(), _>(CustomCommand::new(name, None, false), args);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    add("CLIENT", words(&["ID"])).await?;
    let mut writes = Vec::new();
    for Job { write: Write { script, keys, args, asking }, .. } in group {
        if *asking {
            add("ASKING", Vec::new()).await?;
        }
        writes.push(*asking);
        let head = [script.sha1().to_string(), keys.len().to_string()];
        add("EVALSHA", head.into_iter().chain(keys.iter().chain(args).cloned()).collect()).await?;
    }
    match method {
        Method::Wait(Requirement::Aof) => add("WAITAOF", words(&["1", "0", WAIT_TIMEOUT_MS])).await?,
        Method::Wait(Requirement::Replicas(number)) => {
            add("WAIT", words(&[&number.to_string(), WAIT_TIMEOUT_MS])).await?
        }
        Method::EveryWrite => {}
    }
    add("CLIENT", words(&["ID"])).await?;
    let mut answers = pipeline.try_all::<Value>().await;
    let last = answers.pop().unwrap_or_else(unanswered)?;
    let fallen_short = match method {
        Method::EveryWrite => None,
        Method::Wait(Requirement::Replicas(number)) => {
            let reached = answers.pop().unwrap_or_else(unanswered)?.as_u64();
            reached.is_none_or(|reached| reached < u64::from(number)).then_some("too few replicas have it yet")
        }
        Method::Wait(Requirement::Aof) => {
            let files = answers.pop().unwrap_or_else(unanswered)?.into_array();
            (files.first().and_then(Value::as_u64) != Some(1)).then_some("it is not in the append-only file yet")
        }
    };
    if answers.is_empty() || answers.remove(0)? != last {
        return Err(Error::new(ErrorKind::IO, "the connection broke before it was known to be safe"));
    }
    let mut answers = answers.into_iter();
    let of = |asking| {
        // The reply to ASKING is skipped.
        let answer = if asking { answers.nth(1) } else { answers.next() }.unwrap_or_else(unanswered)?;
        fallen_short.map_or(Ok(answer), |why| Err(Error::new(ErrorKind::Timeout, why)))
    };
    Ok(writes.into_iter().map(of).collect())
}

fn unanswered() -> Result<Value, Error> {
    Err(Error::new(ErrorKind::IO, "Redis did not answer all that it was asked"))
}
