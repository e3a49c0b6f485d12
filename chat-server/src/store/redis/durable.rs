//! Writes that count only once they are safe: they have a connection of their own, on which those that come
//! together are followed by one `WAIT`, or `WAITAOF`, for all of them.
//!
//! Both speak of what was written on the same connection before, and of nothing else. So a group and its wait are sent
//! as one, and count only if one connection answered all of it; and who asks again for what is stored already has it
//! written again, to wait for that.

use std::collections::HashMap;
use std::sync::Arc;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::scripts::Script;
use fred::types::{CustomCommand, FromValue, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::link::{Link, is_replica};

/// Writes that are sent together.
const MOST: usize = 256;
/// Writes that wait for a group before them.
const WAITING: usize = 4_096;
/// How long Redis may take to say that a group is safe, in milliseconds: less than a command may take.
const PATIENCE_MS: &str = "2000";

/// From which Redis on there is `WAITAOF`.
const WAITAOF_SINCE: (u32, u32) = (7, 2);

/// What is said where a server can't do what was asked for. The operator looks for these words
/// (operator/src/controller/status/redis.rs).
const CANNOT: &str = "Redis can't keep messages as --durability asks for";

/// What an acknowledged message survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Durability {
    /// Whatever Redis itself survives: what it had in memory only is lost with it
    #[default]
    Memory,
    /// A crash of Redis and of its machine: it is in the append-only file, on the disk
    Aof,
    /// The loss of the primary: it is on replicas, too
    Replica,
}

/// What has to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Its own append-only file.
    Aof,
    /// So many replicas.
    Replicas(u32),
}

/// How a server does what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is asked.
    Wait(Need),
    /// It answers no write before it is on the disk.
    Always,
}

/// The connection for such writes. Ends when dropped.
pub(super) struct Durable {
    link: Arc<Link>,
    jobs: mpsc::Sender<Job>,
    task: AbortHandle,
}

/// A write to be made.
pub(super) struct Write {
    pub(super) script: Script,
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<String>,
    /// Its keys are just on their way to this server.
    pub(super) asking: bool,
}

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Value, Error>>,
}

impl Durable {
    pub(super) fn start(link: Link, need: Need) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let link = Arc::new(link);
        let task = tokio::spawn(serve(link.clone(), need, waiting)).abort_handle();
        Self { link, jobs, task }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Writes, and waits until that is safe.
    pub(super) async fn write<R: FromValue>(&self, write: Write) -> Result<R, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Canceled, "the connection for durable writes ended");
        self.jobs.send(Job { write, reply }).await.map_err(|_| gone())?;
        R::from_value(answer.await.map_err(|_| gone())??)
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Finds out how the server at the other end does what is needed.
///
/// # Errors
/// It can't do it ([`ErrorKind::Config`]), or did not answer.
pub(super) async fn way(client: &Client, need: Need) -> Result<Way, Error> {
    if let Need::Replicas(_) = need {
        return Ok(Way::Wait(need));
    }
    let info = info(client).await?;
    if of(&info, "aof_enabled") != Some("1") {
        return Err(cannot("it has no append-only file; set appendonly to yes there"));
    }
    let version = of(&info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let waits = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= WAITAOF_SINCE;
    let fsync = setting(client, "appendfsync").await;
    match fsync.as_deref() {
        Some("no") if waits => return Err(cannot("its appendfsync is no; set it to always or to everysec")),
        _ if waits => return Ok(Way::Wait(need)),
        Some("always") => {}
        other => {
            let other = other.unwrap_or("not told (allow the user CONFIG GET)");
            return Err(cannot(&format!(
                "Redis {version} can't say when a write is on the disk (7.2 can), and its appendfsync is {other}; \
                 set it to always, or take a newer Redis"
            )));
        }
    }
    if setting(client, "no-appendfsync-on-rewrite").await.as_deref() == Some("yes") {
        return Err(cannot("while it rewrites its file nothing is on the disk; set no-appendfsync-on-rewrite to no"));
    }
    Ok(Way::Always)
}

/// Says what is good to know of how a server does it.
pub(super) async fn tell(client: &Client, need: Need) {
    match need {
        Need::Replicas(number) => tell_of_failovers(client, number).await,
        Need::Aof => {
            if setting(client, "appendfsync").await.as_deref() == Some("everysec") {
                tracing::warn!(
                    "appendfsync of Redis is everysec: a message is acknowledged seconds later, for one group after the other \
                     waits until a second is over; with always, at once"
                );
            }
        }
    }
}

/// Says whether a failover may lose something of what so many replicas are waited for.
async fn tell_of_failovers(client: &Client, number: u32) {
    let Ok(info) = info(client).await else { return };
    let connected: u32 = of(&info, "connected_slaves").and_then(|number| number.parse().ok()).unwrap_or(0);
    let least = setting(client, "min-replicas-to-write").await;
    // Of all copies, the one of the primary counted.
    let majority = 2 * (number + 1) > connected + 1;
    let guarded = least.as_deref().and_then(|least| least.parse().ok()).is_some_and(|least: u32| least >= 1);
    if majority && guarded && connected >= number {
        tracing::info!(replicas = connected, waits_for = number, "a failover loses no acknowledged message");
    } else {
        tracing::warn!(
            replicas = connected,
            waits_for = number,
            min_replicas_to_write = least.as_deref().unwrap_or("not told"),
            "a failover may lose acknowledged messages: that takes an answer of most replicas \
             (--durability-replicas), and a primary that takes no writes alone (min-replicas-to-write)"
        );
    }
}

fn cannot(why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{CANNOT}: {why}"))
}

async fn info(client: &Client) -> Result<String, Error> {
    custom(client, "INFO", &["everything"]).await
}

fn of<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// A setting of the server; `None` if it does not tell.
async fn setting(client: &Client, name: &str) -> Option<String> {
    let answer: Result<HashMap<String, String>, Error> = custom(client, "CONFIG", &["GET", name]).await;
    answer.ok()?.remove(name)
}

async fn custom<R: FromValue>(client: &Client, name: &'static str, args: &[&str]) -> Result<R, Error> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    client.custom(CustomCommand::new_static(name, None, false), args).await
}

async fn serve(link: Arc<Link>, need: Need, mut waiting: mpsc::Receiver<Job>) {
    let mut known: Option<(u64, Way)> = None;
    while let Some(first) = waiting.recv().await {
        let mut group = vec![first];
        while group.len() < MOST
            && let Ok(job) = waiting.try_recv()
        {
            group.push(job);
        }
        let answers = match send(&link, need, &mut known, &group).await {
            Ok(answers) => answers,
            Err(error) => {
                if is_replica(&error) {
                    link.renew().await;
                }
                vec![Err(error); group.len()]
            }
        };
        for (job, answer) in group.into_iter().zip(answers) {
            // Whoever asked may have given up.
            let _ = job.reply.send(answer);
        }
    }
}

/// Sends a group, and what was answered to each of it once all is safe.
async fn send(
    link: &Link,
    need: Need,
    known: &mut Option<(u64, Way)>,
    group: &[Job],
) -> Result<Vec<Result<Value, Error>>, Error> {
    let client = link.client().map_err(|error| Error::new(ErrorKind::IO, error.to_string()))?;
    // Another connection may lead to another server.
    let connects = link.connects();
    let way = match known {
        Some((at, way)) if *at == connects => *way,
        _ => {
            let way = way(client, need).await?;
            tell(client, need).await;
            known.insert((connects, way)).1
        }
    };
    let mut answers = ask(client, way, group).await?;
    let unknown: Vec<_> = (0..group.len()).filter(|&place| is_unknown(&answers[place])).collect();
    if !unknown.is_empty() {
        // It has done nothing of these.
        for script in unknown.iter().map(|&place| &group[place].write.script) {
            script.load(client).await?;
        }
        let again: Vec<&Job> = unknown.iter().map(|&place| &group[place]).collect();
        for (place, answer) in unknown.into_iter().zip(ask(client, way, again).await?) {
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
    way: Way,
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
    match way {
        Way::Wait(Need::Aof) => add("WAITAOF", words(&["1", "0", PATIENCE_MS])).await?,
        Way::Wait(Need::Replicas(number)) => add("WAIT", words(&[&number.to_string(), PATIENCE_MS])).await?,
        Way::Always => {}
    }
    add("CLIENT", words(&["ID"])).await?;
    let mut answers = pipeline.try_all::<Value>().await;
    let last = answers.pop().unwrap_or_else(unanswered)?;
    let fallen_short = match way {
        Way::Always => None,
        Way::Wait(Need::Replicas(number)) => {
            let reached = answers.pop().unwrap_or_else(unanswered)?.as_u64();
            reached.is_none_or(|reached| reached < u64::from(number)).then_some("too few replicas have it yet")
        }
        Way::Wait(Need::Aof) => {
            let files = answers.pop().unwrap_or_else(unanswered)?.into_array();
            (files.first().and_then(Value::as_u64) != Some(1)).then_some("it is not in the append-only file yet")
        }
    };
    if answers.is_empty() || answers.remove(0)? != last {
        return Err(Error::new(ErrorKind::IO, "the connection broke before it was known to be safe"));
    }
    let mut answers = answers.into_iter();
    let of = |asking| {
        // What ASKING answers is of no interest.
        let answer = if asking { answers.nth(1) } else { answers.next() }.unwrap_or_else(unanswered)?;
        fallen_short.map_or(Ok(answer), |why| Err(Error::new(ErrorKind::Timeout, why)))
    };
    Ok(writes.into_iter().map(of).collect())
}

fn unanswered() -> Result<Value, Error> {
    Err(Error::new(ErrorKind::IO, "Redis did not answer all that it was asked"))
}
