//! What is changed in Redis: by one, or by many who share a call.

use std::collections::BTreeMap;

use super::gather::Part;
use super::keys::Keys;
use super::shards::Call;
use super::together::{Turn, Waiting};
use super::{RedisStore, committed, flag, life};
use crate::domain::position::{Offset, Position};
use crate::store::{Append, Commit, Committed, StoreError, Topic, new_epoch};

impl RedisStore {
    pub(super) async fn commit_alone(&self, topic: &Topic, commit: Commit) -> Result<Committed, StoreError> {
        let Commit { expect, set, append, ttl_ms } = commit;
        let appends = append.is_some();
        let mut args = vec![
            new_epoch()?.as_str().to_owned(),
            self.names.channel(topic),
            ttl_ms.map(life).unwrap_or_default(),
            self.max_age(),
            self.max_entries(),
        ];
        pairs(&mut args, expect);
        pairs(&mut args, set);
        match append {
            Some(Append { event, by, payload, nonce, counted, trace }) => {
                let nonce = nonce.map(|nonce| format!("={nonce}")).unwrap_or_default();
                args.extend([event.to_owned(), by.to_string(), payload.into_string(), nonce, flag(counted)]);
                args.extend(trace.map(|trace| trace.as_str().to_owned()));
            }
            None => args.extend(std::iter::repeat_n(String::new(), 5)),
        }
        let keys = self.names.keys(topic).all();
        let call = Call { script: &self.scripts.commit, keys, args, safely: appends };
        committed(self.shards.run(call).await?)
    }

    /// Sends what is one's own and that of others, and answers them.
    pub(super) async fn take(&self, topic: &Topic, turn: Turn) -> Result<Committed, StoreError> {
        let Turn { own, others, line: _line } = turn;
        let may_go = self.gathering.may_go();
        if may_go && others.is_empty() {
            return self.commit_alone(topic, own).await;
        }
        let part = self.part(topic, &own, &others)?;
        let stored = if may_go { self.gathering.send(part).await } else { self.gathering.send_with_others(part).await };
        match stored {
            Ok(Some((first, at))) => {
                let stored = |place: Offset| {
                    let position = Position { epoch: first.epoch.clone(), offset: first.offset + place };
                    Ok(Committed::Done { entry: Some((position, at)) })
                };
                for (place, other) in (1..).zip(others) {
                    other.answer(stored(place));
                }
                stored(0)
            }
            Ok(None) => {
                // Something stands against one of them. Sent in one go: fred writes what waits together.
                let others = others.into_iter().map(|other| async {
                    let answer = self.commit_alone(topic, other.commit.clone()).await;
                    other.answer(answer);
                });
                let own = self.commit_alone(topic, own);
                tokio::join!(own, futures_util::future::join_all(others)).0
            }
            Err(error) => {
                for other in others {
                    other.answer(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// What they append, as `append.lua` takes it.
    fn part(&self, topic: &Topic, own: &Commit, others: &[Waiting]) -> Result<Part, StoreError> {
        let commits = || std::iter::once(own).chain(others.iter().map(|other| &other.commit));
        let expect: BTreeMap<_, _> = commits().flat_map(|commit| commit.expect.iter().cloned()).collect();
        let entries = 1 + others.len();
        let mut args = vec![new_epoch()?.as_str().to_owned(), self.names.channel(topic), expect.len().to_string()];
        args.extend([entries.to_string(), traces(commits())]);
        flat(&mut args, expect);
        for Append { event, by, payload, nonce, .. } in commits().filter_map(|commit| commit.append.as_ref()) {
            let nonce = format!("={}", nonce.as_deref().unwrap_or_default());
            args.extend([(*event).to_owned(), by.to_string(), payload.as_str().to_owned(), nonce]);
        }
        let Keys { fields, log, nonces, .. } = self.names.keys(topic);
        Ok(Part { keys: [fields, log, nonces], args, entries })
    }
}

/// Where those belong that are followed, each after its number and a colon.
fn traces<'a>(commits: impl Iterator<Item = &'a Commit>) -> String {
    let traces = commits.zip(1..).filter_map(|(commit, number)| {
        let trace = commit.append.as_ref()?.trace.as_ref()?;
        Some(format!("{number}:{},", trace.as_str()))
    });
    traces.collect()
}

/// Fields and their values, as the scripts take them.
fn pairs(
    args: &mut Vec<String>,
    fields: impl IntoIterator<Item = (String, Option<String>), IntoIter: ExactSizeIterator>,
) {
    let fields = fields.into_iter();
    args.push(fields.len().to_string());
    flat(args, fields);
}

/// The same without how many there are.
fn flat(args: &mut Vec<String>, fields: impl IntoIterator<Item = (String, Option<String>)>) {
    for (name, value) in fields {
        args.extend([name, flag(value.is_some()), value.unwrap_or_default()]);
    }
}
