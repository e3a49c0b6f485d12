//! The servers of Redis, and which of them holds what: one, or the shards of a Redis Cluster.
//!
//! To each shard the node has connections of its own, as if it were a Redis by itself, and finds by
//! the slot which one to ask. fred could do that, but then all shards would wait for one that is
//! away, and a subscription whose slot has moved would be silent for ever
//! ([why](../../../../docs/decisions/0010-redis-cluster-connections.md)).

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::scripts::Script;
use fred::types::{CustomCommand, FromValue};
use futures_util::future::join_all;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::address::Form;
use super::dialer::Dialer;
use super::durable::{self, Durable, Write};
use super::ear::{Ear, Ears};
use super::fit;
use super::link::{AWAY, Link, failed, is_replica};
use super::slots::{self, Owned, Redirect, SLOTS};
use super::{COMMAND_TIMEOUT, CONNECT_TIMEOUT};
use crate::domain::id::NodeId;
use crate::store::{StoreError, Topic, Traffic};

/// How often it is asked who has which slots. What has moved is found out sooner by whoever writes
/// to it; this is for those who only listen.
const EVERY: Duration = Duration::from_secs(1);
/// How soon a command is tried again whose keys are on their way from one shard to another.
const BETWEEN: Duration = Duration::from_millis(50);
/// What is said while some shards answer and others don't. The operator looks for these words
/// (operator/src/controller/status/redis.rs).
const PARTLY: &str = "a shard of the Redis Cluster can't be reached";
/// What is said where no shard is known, because those who were asked don't say; likewise.
const NO_SLOTS: &str =
    "Redis does not say who has which slots: it is no Redis Cluster, or its user may not CLUSTER SLOTS";
/// What is said of a server that sends the node elsewhere; likewise.
const A_CLUSTER: &str = "this Redis belongs to a Redis Cluster: redis-cluster:// has to stand in --redis-url";
/// Probes that are tried to find one for each shard; enough for all but the very smallest.
const TRIES: u16 = 4096;

/// One server, and what connects the node with it.
pub(super) struct Shard {
    /// Where it is; `None` of the only one, which its form leads to.
    at: Option<(String, u16)>,
    number: u64,
    commands: Link,
    /// For what has to be safe before it counts, if anything has.
    durable: Option<Durable>,
    ear: Ear,
}

impl Shard {
    async fn run<R: FromValue>(&self, call: &Call<'_>, asking: bool) -> Result<R, Error> {
        let Call { script, keys, args, safely } = call;
        let (keys, args) = (keys.clone(), args.clone());
        match &self.durable {
            Some(durable) if *safely => durable.write(Write { script: (*script).clone(), keys, args, asking }).await,
            _ if asking => ask(script, self.client()?, &keys, &args).await,
            _ => script.evalsha_with_reload(self.client()?, keys, args).await,
        }
    }

    fn client(&self) -> Result<&Client, Error> {
        self.commands.client().map_err(|error| Error::new(ErrorKind::IO, error.to_string()))
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }

    fn trouble(&self) -> Option<&'static str> {
        self.links().find_map(Link::trouble)
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        [&self.commands, self.ear.link()].into_iter().chain(self.durable.as_ref().map(Durable::link))
    }
}

/// A script to be run.
pub(super) struct Call<'a> {
    pub(super) script: &'a Script,
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<String>,
    /// It counts only once it is as safe as was asked for.
    pub(super) safely: bool,
}

/// All servers.
pub(super) struct Shards {
    inner: Arc<Inner>,
    watch: Option<AbortHandle>,
}

struct Inner {
    dialer: Dialer,
    ears: Ears,
    /// The shard of each slot; just one where there are no slots.
    slots: RwLock<Vec<Option<Arc<Shard>>>>,
    /// Why none is known, if none is.
    unknown: Mutex<&'static str>,
    numbers: AtomicU64,
    turn: AtomicUsize,
}

impl Shards {
    /// Starts to connect, and waits a little for it: most often Redis is there, and then the first
    /// verb finds it.
    pub(super) async fn connect(dialer: Dialer, ears: Ears) -> Result<Self, StoreError> {
        let clustered = dialer.address.form == Form::Cluster;
        let inner = Arc::new(Inner {
            dialer,
            ears,
            slots: RwLock::new(vec![None; if clustered { SLOTS } else { 1 }]),
            unknown: Mutex::new(AWAY),
            numbers: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        });
        let watch = if clustered {
            inner.look().await;
            Some(tokio::spawn(watch(inner.clone())).abort_handle())
        } else {
            let only = inner.start(None)?;
            inner.assign(|slots| slots.fill(Some(only.clone())));
            None
        };
        let this = Self { inner, watch };
        let waits = this.all();
        join_all(waits.iter().flat_map(|shard| shard.links()).map(|link| link.wait(CONNECT_TIMEOUT))).await;
        this.check_durability().await?;
        Ok(this)
    }

    /// Whether each server that can be reached can keep what is to be safe. One that is there later is checked with all else.
    async fn check_durability(&self) -> Result<(), StoreError> {
        let Some(need) = self.inner.dialer.need else { return Ok(()) };
        for shard in self.all() {
            let Ok(client) = shard.client() else { continue };
            match fit::keeps(client, need).await {
                Err(error @ StoreError::Misconfigured(_)) => return Err(error),
                // What keeps it from answering is told by `check`, for as long as it does.
                _ => durable::tell(client, need).await,
            }
        }
        Ok(())
    }

    /// Runs a script on the shard of its keys, wherever that is by now.
    pub(super) async fn run<R: FromValue>(&self, call: Call<'_>) -> Result<R, StoreError> {
        let Some(slot) = self.slot(call.keys.first().map_or("", String::as_str)) else {
            let shard = self.of(0)?;
            let done = shard.run(&call, false).await;
            if done.as_ref().err().is_some_and(is_replica) {
                // What was the primary is none any more: there may be another one at the same address.
                shard.commands.renew().await;
            }
            return match done {
                Err(error) if matches!(Redirect::read(error.details()), Some(Redirect::Moved(..))) => {
                    Err(StoreError::Misconfigured(A_CLUSTER.to_owned()))
                }
                done => done.map_err(failed),
            };
        };
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let mut asked: Option<Arc<Shard>> = None;
        loop {
            let (shard, asking) = match asked.take() {
                Some(shard) => (shard, true),
                None => (self.of(slot)?, false),
            };
            match shard.run(&call, asking).await {
                Ok(answer) => return Ok(answer),
                Err(error) => asked = self.redirected(error, &shard, slot, deadline).await?,
            }
        }
    }

    /// Publishes, to nobody's hearing but that of those who are subscribed.
    pub(super) async fn publish(&self, channel: &str, text: String) -> Result<(), StoreError> {
        let Some(slot) = self.slot(channel) else {
            return self.of(0)?.commands.client()?.publish(channel, text).await.map_err(failed);
        };
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let shard = self.of(slot)?;
            match shard.commands.client()?.spublish(channel, text.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => self.redirected(error, &shard, slot, deadline).await.map(drop)?,
            }
        }
    }

    /// What to do about an error: to try again, perhaps at another shard just this once. Redis has
    /// done nothing in these cases.
    async fn redirected(
        &self,
        error: Error,
        shard: &Shard,
        slot: usize,
        deadline: Instant,
    ) -> Result<Option<Arc<Shard>>, StoreError> {
        let redirect = Redirect::read(error.details()).filter(|_| Instant::now() < deadline);
        let to = |host: String, port: u16| match &shard.at {
            Some((same, _)) if host.is_empty() => (same.clone(), port),
            _ => (host, port),
        };
        match redirect {
            None => Err(failed(error)),
            Some(Redirect::Later) => {
                tokio::time::sleep(BETWEEN).await;
                Ok(None)
            }
            Some(Redirect::Moved(host, port)) => {
                let shard = self.inner.shard(to(host, port))?;
                self.inner.assign(|slots| slots[slot] = Some(shard.clone()));
                self.inner.ears.wanted.look_again();
                shard.commands.wait(deadline - Instant::now()).await;
                Ok(None)
            }
            Some(Redirect::Ask(host, port)) => {
                let shard = self.inner.shard(to(host, port))?;
                shard.commands.wait(deadline - Instant::now()).await;
                Ok(Some(shard))
            }
        }
    }

    /// Whether there are shards, so that not all keys can be named in one call.
    pub(super) fn are_many(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether what is written has to be safe before it counts.
    pub(super) fn waits_for_safety(&self) -> bool {
        self.inner.dialer.need.is_some()
    }

    /// What all ears have in common.
    pub(super) fn ears(&self) -> &Ears {
        &self.inner.ears
    }

    /// Asks anew who has which slots.
    pub(super) async fn look(&self) {
        if self.watch.is_some() {
            self.inner.look().await;
        }
    }

    /// The shard that a name of a key or channel belongs to.
    pub(super) fn shard_of(&self, name: &str) -> Result<Arc<Shard>, StoreError> {
        self.of(self.slot(name).unwrap_or(0))
    }

    /// The topics in which a node tells itself something to find out whether it hears each shard.
    pub(super) fn probes(&self, node: &NodeId) -> Vec<Topic> {
        let topic = |number| Topic::Node(node.clone(), number);
        let mut left: HashSet<u64> = self.all().iter().map(|shard| shard.number).collect();
        let mut found = Vec::new();
        for topic in (0..TRIES).map(topic) {
            if left.is_empty() {
                break;
            }
            let shard = self.shard_of(&self.inner.ears.names.channel(&topic));
            if shard.is_ok_and(|shard| left.remove(&shard.number)) {
                found.push(topic);
            }
        }
        if found.is_empty() { vec![topic(0)] } else { found }
    }

    /// Whether all of them are set up as a chat needs it.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let shards = self.all();
        if shards.is_empty() {
            return self.of(0).map(drop);
        }
        let (Ears { names, sharded, .. }, need) = (&self.inner.ears, self.inner.dialer.need);
        let check = async |shard: &Shard| fit::check(shard.commands.client()?, names, *sharded, need).await;
        let checks = shards.iter().map(|shard| check(shard));
        join_all(checks).await.into_iter().collect()
    }

    /// Why not all of them can be used, if so.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        let shards = self.all();
        if shards.is_empty() {
            return Some(*self.inner.unknown.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let troubles: Vec<_> = shards.iter().filter_map(|shard| shard.trouble()).collect();
        match troubles.first() {
            Some(trouble) if *trouble == AWAY && troubles.len() < shards.len() => Some(PARTLY),
            trouble => trouble.copied(),
        }
    }

    /// What went to all of them since the start.
    pub(super) fn traffic(&self) -> Traffic {
        self.inner.ears.counts.traffic()
    }

    /// Whether any of them can be used.
    pub(super) fn is_available(&self) -> bool {
        self.all().iter().any(|shard| shard.trouble().is_none())
    }

    fn all(&self) -> Vec<Arc<Shard>> {
        self.inner.all()
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.watch.is_some().then(|| slots::of(name))
    }

    fn of(&self, slot: usize) -> Result<Arc<Shard>, StoreError> {
        let slots = self.inner.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(slot).cloned().flatten().ok_or_else(|| StoreError::Unavailable(AWAY.to_owned()))
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl Inner {
    fn start(&self, at: Option<(String, u16)>) -> Result<Arc<Shard>, StoreError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let client = || match &at {
            Some((host, port)) => self.dialer.client_of(host, *port),
            None => self.dialer.client(),
        };
        // The bus has a connection of its own: nothing that is heard waits behind an answer.
        let ear = Ear::start(client()?, number, self.ears.clone());
        let durable = match self.dialer.need {
            Some(need) => Some(Durable::start(Link::start(client()?, "durable", self.ears.counts.clone()), need)),
            None => None,
        };
        let commands = Link::start(client()?, "commands", self.ears.counts.clone());
        Ok(Arc::new(Shard { at, number, commands, durable, ear }))
    }

    fn all(&self) -> Vec<Arc<Shard>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let (mut seen, mut last) = (HashSet::new(), None);
        // Most slots are where the one before them is.
        let mut is_new = |number| last.replace(number) != Some(number) && seen.insert(number);
        slots.iter().flatten().filter(|shard| is_new(shard.number)).cloned().collect()
    }

    /// The shard at an address, which may be new.
    fn shard(&self, at: (String, u16)) -> Result<Arc<Shard>, StoreError> {
        match self.all().into_iter().find(|shard| shard.at.as_ref() == Some(&at)) {
            Some(shard) => Ok(shard),
            None => self.start(Some(at)),
        }
    }

    /// Changes who has what, and has those who listen move with it.
    fn assign(&self, change: impl FnOnce(&mut Vec<Option<Arc<Shard>>>)) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut slots);
        let numbers: Vec<_> = slots.iter().map(|shard| shard.as_ref().map(|shard| shard.number)).collect();
        drop(slots);
        if self.ears.wanted.owned(numbers) {
            for shard in self.all() {
                shard.ear.ring();
            }
        }
    }

    /// Asks who has which slots: a shard that answers, another one each time; or, where none does,
    /// those that were named at the start.
    async fn look(&self) {
        let mut shards = self.all();
        if !shards.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % shards.len();
            shards.rotate_left(turn);
        }
        for shard in &shards {
            if let (Ok(client), Some((host, _))) = (shard.commands.client(), &shard.at)
                && self.learn(client, host).await
            {
                return;
            }
        }
        for (host, port) in &self.dialer.address.hosts {
            let Ok(client) = self.dialer.client_of(host, *port) else { continue };
            let link = Link::start(client, "seed", self.ears.counts.clone());
            link.settled(CONNECT_TIMEOUT).await;
            if let Some(trouble) = link.trouble() {
                *self.unknown.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
            } else if let Ok(client) = link.client()
                && self.learn(client, host).await
            {
                return;
            }
        }
    }

    async fn learn(&self, client: &Client, host: &str) -> bool {
        let command = CustomCommand::new_static("CLUSTER", None, false);
        let answer = client.custom(command, vec!["SLOTS"]).await;
        let owned = answer.map_err(failed).and_then(|answer| slots::read(answer, host));
        match owned.and_then(|owned| self.adopt(owned)) {
            Ok(()) => true,
            Err(error) => {
                let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut *unknown, NO_SLOTS) != NO_SLOTS {
                    tracing::warn!(%error, host, "a node of the Redis Cluster does not say who has which slots");
                }
                false
            }
        }
    }

    /// Takes an answer over. The one who gave it may lag behind: so no slot goes from who can be
    /// reached to who can't.
    fn adopt(&self, owned: Vec<Owned>) -> Result<(), StoreError> {
        let owned: Vec<_> = owned
            .into_iter()
            .map(|Owned { slots, at }| Ok((slots, self.shard(at)?)))
            .collect::<Result<_, StoreError>>()?;
        self.assign(|known| {
            for (slots, shard) in owned {
                let slots = usize::from(*slots.start())..=usize::from(*slots.end());
                for slot in known.get_mut(slots).into_iter().flatten() {
                    let stays = slot.as_ref().is_some_and(|now| now.commands.is_up() && !shard.commands.is_up());
                    if !stays {
                        *slot = Some(shard.clone());
                    }
                }
            }
        });
        Ok(())
    }
}

/// Finds out for ever what has moved.
async fn watch(inner: Arc<Inner>) {
    loop {
        let _ = tokio::time::timeout(EVERY, inner.ears.wanted.asked_to_look()).await;
        inner.look().await;
    }
}

/// Runs a script at a shard to which its keys are just being moved.
async fn ask<R: FromValue>(script: &Script, client: &Client, keys: &[String], args: &[String]) -> Result<R, Error> {
    script.load(client).await?;
    let head = [script.sha1().to_string(), keys.len().to_string()];
    let all: Vec<String> = head.into_iter().chain(keys.iter().chain(args).cloned()).collect();
    let pipeline = client.pipeline();
    let () = pipeline.custom(CustomCommand::new_static("ASKING", None, false), Vec::<String>::new()).await?;
    let () = pipeline.custom(CustomCommand::new_static("EVALSHA", None, false), all).await?;
    pipeline.last().await
}
