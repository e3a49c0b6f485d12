//! Sends commits to Redis: one by itself, or coalesced appends in one call.

use std::collections::BTreeMap;

use crate::domain::position::{Offset, Position};
use crate::store::redis::append::batcher::TopicAppend;
use crate::store::redis::append::coalescer::{Leader, Queued};
use crate::store::redis::keys::TopicKeys;
use crate::store::redis::replies::committed;
use crate::store::redis::store::{RedisStore, flag, ttl};
use crate::store::{Append, Commit, Committed, StoreError, Topic, TtlWhileEmpty, new_epoch};

impl RedisStore {
    pub(super) async fn commit_alone(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError> {
        let Commit { expect, set, append, ttl_ms, ttl_while_empty, read_by, bound } = commit;
        let appends = append.is_some();
        let mut args = vec![
            new_epoch()?.as_str().to_owned(),
            self.keyspace.channel(topic),
            match ttl_while_empty {
                Some(TtlWhileEmpty { prefix, ttl_ms }) => format!("{prefix} {}", ttl(ttl_ms)),
                None => ttl_ms.map(ttl).unwrap_or_default(),
            },
            self.max_age(),
            self.max_entries(),
        ];
        pairs(&mut args, expect);
        pairs(&mut args, set);
        match append {
            Some(Append { event, by, payload, nonce, counted, trace }) => {
                let nonce = nonce.map(|nonce| format!("={nonce}")).unwrap_or_default();
                args.extend([event.to_owned(), by.to_string(), payload.into_string(), nonce, flag(counted)]);
                args.push(trace.map(|trace| trace.as_str().to_owned()).unwrap_or_default());
            }
            None => args.extend(std::iter::repeat_n(String::new(), 6)),
        }
        args.push(read_by.len().to_string());
        args.extend(read_by.iter().map(ToString::to_string));
        let (prefix, most) = bound.map(|bound| (bound.prefix, bound.most.to_string())).unwrap_or_default();
        args.extend([prefix.to_owned(), most]);
        let keys = self.keyspace.keys(topic).all();
        let reply = if appends {
            self.run_durably(&self.scripts.commit, keys, args).await?
        } else {
            self.run(&self.scripts.commit, keys, args).await?
        };
        committed(reply)
    }

    /// Sends the commits of a leader and its followers, and answers the followers.
    pub(super) async fn commit_as_leader(&self, topic: &Topic, leader: Leader) -> Result<Committed, StoreError> {
        let Leader { own, followers, in_flight: _in_flight } = leader;
        let at_once = self.batcher.may_send_at_once();
        if at_once && followers.is_empty() {
            return self.commit_alone(topic, own).await;
        }
        let append = self.topic_append(topic, &own, &followers)?;
        let stored = if at_once { self.batcher.send(append).await } else { self.batcher.send_in_batch(append).await };
        match stored {
            Ok(Some((first, at))) => {
                let stored = |place: Offset| {
                    let position = Position { epoch: first.epoch.clone(), offset: first.offset + place };
                    Ok(Committed::Done { entry: Some((position, at)) })
                };
                for (place, follower) in (1..).zip(followers) {
                    follower.answer(stored(place));
                }
                stored(0)
            }
            Ok(None) => {
                // One of them can't be appended this way. In one write: fred combines the commands that are queued.
                let followers = followers.into_iter().map(|follower| async {
                    let answer = self.commit_alone(topic, follower.commit.clone()).await;
                    follower.answer(answer);
                });
                let own = self.commit_alone(topic, own);
                tokio::join!(own, futures_util::future::join_all(followers)).0
            }
            Err(error) => {
                for follower in followers {
                    follower.answer(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Their entries, as `append.lua` takes them.
    fn topic_append(&self, topic: &Topic, own: &Commit, followers: &[Queued]) -> Result<TopicAppend, StoreError> {
        let commits = || std::iter::once(own).chain(followers.iter().map(|follower| &follower.commit));
        let expect: BTreeMap<_, _> = commits().flat_map(|commit| commit.expect.iter().cloned()).collect();
        let entries = 1 + followers.len();
        let mut args = vec![new_epoch()?.as_str().to_owned(), self.keyspace.channel(topic), expect.len().to_string()];
        args.extend([entries.to_string(), traces(commits())]);
        flat(&mut args, expect);
        for Append { event, by, payload, nonce, .. } in commits().filter_map(|commit| commit.append.as_ref()) {
            let nonce = format!("={}", nonce.as_deref().unwrap_or_default());
            args.extend([(*event).to_owned(), by.to_string(), payload.as_str().to_owned(), nonce]);
        }
        let TopicKeys { fields, log, nonces, .. } = self.keyspace.keys(topic);
        Ok(TopicAppend { keys: [fields, log, nonces], args, entries })
    }
}

/// The traceparent of each traced entry, after the number of the entry and a colon.
fn traces<'a>(commits: impl Iterator<Item = &'a Commit>) -> String {
    let traces = commits.zip(1..).filter_map(|(commit, number)| {
        let trace = commit.append.as_ref()?.trace.as_ref()?;
        Some(format!("{number}:{},", trace.as_str()))
    });
    traces.collect()
}

/// Adds the number of fields, and the fields, as the scripts take them.
fn pairs(
    args: &mut Vec<String>,
    fields: impl IntoIterator<Item = (String, Option<String>), IntoIter: ExactSizeIterator>,
) {
    let fields = fields.into_iter();
    args.push(fields.len().to_string());
    flat(args, fields);
}

/// Adds fields, as the scripts take them.
fn flat(args: &mut Vec<String>, fields: impl IntoIterator<Item = (String, Option<String>)>) {
    for (name, value) in fields {
        args.extend([name, flag(value.is_some()), value.unwrap_or_default()]);
    }
}
