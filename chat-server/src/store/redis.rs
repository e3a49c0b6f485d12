//! The broker that many nodes share. The one place that knows fred.
//!
//! Every verb is one script, so that nobody sees half of it, and one round trip.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fred::types::FromValue;
use fred::types::scripts::Script;
use tokio::sync::mpsc;

use self::address::Form;
use self::answers::{RawEntry, committed, ends, entry, number, optional};
use self::dialer::Dialer;
pub use self::dialer::RedisConfig;
pub use self::durable::Durability;
use self::ear::Ears;
use self::gather::Gathering;
use self::keys::{Keys, Names};
use self::scripts::Scripts;
use self::shards::{Call, Shards};
pub use self::tls::TlsFiles;
use self::together::{Lines, Told};
use super::{
    ActivityStore, BUS_CAPACITY, Bus, BusEvent, Commit, Committed, Entry, FieldStore, Fields, Health, Keep, LogStore,
    PresenceStore, Range, ReadMarks, Retention, Slice, StoreError, Topic, Traffic,
};
use crate::domain::activity::{Activity, Report};
use crate::domain::id::{NodeId, UserId};
use crate::domain::position::{Epoch, Lineage, Millis, Offset, Position};

mod activity;
mod address;
mod answers;
mod bus;
mod dialer;
mod durable;
mod ear;
mod fit;
mod gather;
mod keys;
mod link;
mod scripts;
mod shards;
mod slots;
mod tls;
mod together;
mod writes;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// What presence a node is granted that said who is there before it said that it lives.
const FIRST_LIFE_MS: Millis = 15_000;
/// Logs that are asked for their ends in one go.
const TOPICS_AT_ONCE: usize = 1_000;
/// Numbers above this are not exact in Lua; no log gets there.
const MAX_OFFSET: Offset = (1 << 53) - 2;
/// The longest life that is asked for, some 1,000 years: Redis refuses what overflows its clock.
const MAX_TTL_MS: u64 = 1 << 45;
/// More than any answer should hold.
const MAX_LIMIT: usize = 1 << 31;

/// The broker that many nodes share.
pub struct RedisStore {
    shards: Arc<Shards>,
    names: Names,
    retention: Retention,
    scripts: Scripts,
    lines: Lines,
    gathering: Gathering,
}

impl RedisStore {
    /// A broker on the Redis of `config`, and what its node hears. A Redis that is away is waited
    /// for in the background, for ever; until it is there every verb is `Unavailable` at once.
    ///
    /// # Errors
    /// What was asked for can't be done.
    pub async fn connect(config: RedisConfig) -> Result<(Self, mpsc::Receiver<BusEvent>), StoreError> {
        let dialer = Dialer::new(&config)?;
        let names = Names::new(config.key_prefix, dialer.address.database);
        let (outbox, heard) = mpsc::channel(BUS_CAPACITY);
        let sharded = dialer.address.form == Form::Cluster;
        let ears = Ears { names: names.clone(), wanted: Arc::default(), outbox, sharded, counts: Arc::default() };
        let shards = Arc::new(Shards::connect(dialer, ears).await?);
        let (scripts, retention) = (Scripts::new(sharded), config.retention);
        let kept = [retention.max_age_ms, retention.max_entries].map(|most| most.min(MAX_OFFSET).to_string());
        let gathering = Gathering::new(shards.clone(), scripts.append.clone(), kept);
        Ok((Self { shards, names, retention, scripts, lines: Lines::default(), gathering }, heard))
    }

    async fn run<R: FromValue>(&self, script: &Script, keys: Vec<String>, args: Vec<String>) -> Result<R, StoreError> {
        self.shards.run(Call { script, keys, args, safely: false }).await
    }

    async fn presence_verb<R: FromValue>(&self, args: Vec<String>) -> Result<R, StoreError> {
        self.run(&self.scripts.presence, self.names.presence(), args).await
    }

    fn max_age(&self) -> String {
        self.retention.max_age_ms.min(MAX_OFFSET).to_string()
    }

    fn max_entries(&self) -> String {
        self.retention.max_entries.min(MAX_OFFSET).to_string()
    }
}

#[async_trait]
impl LogStore for RedisStore {
    async fn commit(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError> {
        if !together::only_appends(&commit) {
            return self.commit_alone(topic, commit).await;
        }
        let turn = match self.lines.enter(topic, commit) {
            Ok(turn) => turn,
            Err(told) => match told.await {
                Ok(Told::Done(answer)) => return answer,
                Ok(Told::Turn(turn)) => turn,
                Err(_) => return Err(StoreError::Unavailable("who sent it with others gave up".to_owned())),
            },
        };
        self.take(topic, turn).await
    }

    async fn find_nonce(&self, topic: &Topic, by: &UserId, nonce: &str) -> Result<Option<Entry>, StoreError> {
        let Keys { log, nonces, .. } = self.names.keys(topic);
        let args = vec![format!("{by}={nonce}"), self.max_age()];
        let call = Call { script: &self.scripts.nonce, keys: vec![log, nonces], args, safely: true };
        let found: Vec<String> = self.shards.run(call).await?;
        let Ok([epoch, offset, at, event, by, payload]) = <[String; 6]>::try_from(found) else { return Ok(None) };
        entry((epoch, offset, at, event, by, payload)).map(Some)
    }

    async fn read(&self, topic: &Topic, range: Range) -> Result<Slice, StoreError> {
        let Keys { fields, log, .. } = self.names.keys(topic);
        let keep = match range.keep {
            Keep::Oldest => "oldest",
            Keep::NewestCounted => "counted",
        };
        let args = vec![
            range.after.min(MAX_OFFSET).to_string(),
            range.before.map(|before| before.min(MAX_OFFSET).to_string()).unwrap_or_default(),
            range.limit.min(MAX_LIMIT).to_string(),
            keep.to_owned(),
            self.max_age(),
            super::new_epoch()?.as_str().to_owned(),
        ];
        let (epoch, ended, top, first, entries): (String, String, String, String, Vec<RawEntry>) =
            self.run(&self.scripts.read, vec![fields, log], args).await?;
        let entries = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
        let lineage = Lineage { epoch: Epoch::new(&epoch), ended: ends(&ended)? };
        Ok(Slice { lineage, top: number(&top)?, first: number(&first)?, entries })
    }

    async fn tops(&self, topics: &[Topic]) -> Result<Vec<Option<Position>>, StoreError> {
        let mut tops = Vec::with_capacity(topics.len());
        for some in topics.chunks(TOPICS_AT_ONCE) {
            // Sent in one go: fred writes what waits together.
            let each = some.iter().map(|topic| async {
                let (epoch, top): (String, String) =
                    self.run(&self.scripts.top, vec![self.names.keys(topic).fields], Vec::new()).await?;
                Ok::<_, StoreError>(Position { epoch: Epoch::new(&epoch), offset: number(&top)? })
            });
            tops.extend(futures_util::future::join_all(each).await);
        }
        match tops.iter().find_map(|top| top.as_ref().err()) {
            Some(error) if tops.iter().all(Result::is_err) => Err(error.clone()),
            _ => Ok(tops.into_iter().map(Result::ok).collect()),
        }
    }
}

#[async_trait]
impl FieldStore for RedisStore {
    async fn fields(&self, topic: &Topic, names: &[String]) -> Result<Fields, StoreError> {
        let answer: Vec<String> =
            self.run(&self.scripts.fields, vec![self.names.keys(topic).fields], names.to_vec()).await?;
        let mut answer = answer.into_iter();
        let now = number(&answer.next().unwrap_or_default())?;
        Ok(Fields { now, values: answer.map(|value| optional(&value)).collect() })
    }

    async fn list(
        &self,
        topic: &Topic,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let Keys { fields, index, .. } = self.names.keys(topic);
        let from = match after {
            Some(after) if after >= prefix => format!("({after}"),
            _ => format!("[{prefix}"),
        };
        let args = vec![prefix.to_owned(), from, limit.min(MAX_LIMIT).to_string()];
        self.run(&self.scripts.list, vec![fields, index], args).await
    }

    async fn count(&self, topic: &Topic, prefix: &str) -> Result<u64, StoreError> {
        let Keys { fields, index, .. } = self.names.keys(topic);
        let args = vec![prefix.to_owned(), format!("[{prefix}"), "count".to_owned()];
        self.run(&self.scripts.list, vec![fields, index], args).await
    }

    async fn touch(&self, topic: &Topic, ttl_ms: u64) -> Result<bool, StoreError> {
        let there: u64 = self.run(&self.scripts.touch, self.names.keys(topic).all(), vec![life(ttl_ms)]).await?;
        Ok(there == 1)
    }
}

#[async_trait]
impl ReadMarks for RedisStore {
    async fn mark_read(&self, topic: &Topic, user: &UserId, offset: Offset) -> Result<u64, StoreError> {
        let Keys { fields, log, .. } = self.names.keys(topic);
        let args = vec![user.to_string(), offset.min(MAX_OFFSET).to_string(), self.max_age()];
        self.run(&self.scripts.mark, vec![fields, log], args).await
    }

    async fn unread(&self, topics: &[Topic], user: &UserId) -> Result<Vec<u64>, StoreError> {
        // Sent in one go: fred writes what waits together.
        let each = topics
            .iter()
            .map(|topic| self.run(&self.scripts.unread, vec![self.names.keys(topic).fields], vec![user.to_string()]));
        futures_util::future::try_join_all(each).await
    }
}

#[async_trait]
impl Bus for RedisStore {
    async fn signal(&self, topic: &Topic, payload: String) -> Result<(), StoreError> {
        self.shards.publish(&self.names.channel(topic), bus::signal(&payload)).await
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        if topics.is_empty() { Ok(()) } else { bus::subscribe(&self.shards, topics).await }
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<(), StoreError> {
        bus::unsubscribe(&self.shards, topics).await;
        Ok(())
    }

    fn probes(&self, node: &NodeId) -> Vec<Topic> {
        self.shards.probes(node)
    }

    async fn renew_bus(&self, topic: &Topic) {
        if let Ok(shard) = self.shards.shard_of(&self.names.channel(topic)) {
            shard.ear().link().renew().await;
        }
    }
}

#[async_trait]
impl PresenceStore for RedisStore {
    async fn set_presence(&self, node: &NodeId, user: &UserId, card: Option<&str>) -> Result<(bool, bool), StoreError> {
        let args = vec![
            "set".to_owned(),
            node.to_string(),
            user.to_string(),
            flag(card.is_some()),
            card.unwrap_or_default().to_owned(),
            FIRST_LIFE_MS.to_string(),
        ];
        let (was, is): (u64, u64) = self.presence_verb(args).await?;
        Ok((was == 1, is == 1))
    }

    async fn beat(&self, node: &NodeId, ttl_ms: u64) -> Result<(), StoreError> {
        let _: Vec<String> = self.presence_verb(vec!["beat".to_owned(), node.to_string(), life(ttl_ms)]).await?;
        Ok(())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Option<String>>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let args = std::iter::once("get".to_owned()).chain(users.iter().map(ToString::to_string)).collect();
        let cards: Vec<String> = self.presence_verb(args).await?;
        Ok(cards.iter().map(|card| optional(card)).collect())
    }

    async fn online(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<(UserId, String)>, StoreError> {
        let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
        let listed: Vec<(String, String)> =
            self.presence_verb(vec!["list".to_owned(), from, limit.min(MAX_LIMIT).to_string()]).await?;
        Ok(listed.into_iter().filter_map(|(user, card)| Some((UserId::parse(&user).ok()?, card))).collect())
    }

    async fn online_count(&self) -> Result<u64, StoreError> {
        self.presence_verb(vec!["count".to_owned()]).await
    }

    async fn reap(&self, limit: usize) -> Result<Vec<UserId>, StoreError> {
        let gone: Vec<String> = self.presence_verb(vec!["reap".to_owned(), limit.min(MAX_LIMIT).to_string()]).await?;
        Ok(gone.iter().filter_map(|user| UserId::parse(user).ok()).collect())
    }
}

#[async_trait]
impl ActivityStore for RedisStore {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        let _: Vec<String> =
            self.run(&self.scripts.activity, vec![self.names.activity()], activity::added(activity)).await?;
        Ok(())
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        let args = vec!["get".to_owned(), hours.to_string(), days.to_string()];
        let answer: Vec<String> = self.run(&self.scripts.activity, vec![self.names.activity()], args).await?;
        activity::report(&answer, hours)
    }
}

#[async_trait]
impl Health for RedisStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.shards.check().await
    }

    fn trouble(&self) -> Option<&'static str> {
        self.shards.trouble()
    }

    fn is_available(&self) -> bool {
        self.shards.is_available()
    }

    fn traffic(&self) -> Traffic {
        self.shards.traffic()
    }
}

/// The parsers of what Redis says, for `chat-server/benches` and `chat-server/fuzz`.
#[doc(hidden)]
pub mod parsers {
    use crate::domain::id::RoomId;
    use crate::store::{BusEvent, Committed, StoreError, Topic};

    /// Reads what is published, one frame or many.
    #[must_use]
    pub fn frames(text: &str) -> Option<Vec<BusEvent>> {
        super::bus::frames(&Topic::Room(RoomId::lobby()), text)
    }

    /// Reads what the script that commits answered.
    ///
    /// # Errors
    /// It is not what this version's script answers.
    pub fn committed(answer: Vec<String>) -> Result<Committed, StoreError> {
        super::committed(answer)
    }
}

fn life(ttl_ms: u64) -> String {
    ttl_ms.min(MAX_TTL_MS).to_string()
}

fn flag(set: bool) -> String {
    if set { "1".to_owned() } else { "0".to_owned() }
}
