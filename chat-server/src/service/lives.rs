//! The lives of what all nodes share.
//!
//! A store that lost a topic can't tell: a topic that is gone looks like one that never was. So each topic that all nodes
//! share holds a random id, which the first node that finds none writes. While the id is the one that a node knows, so is
//! the topic. Another one tells each node that the topic was lost, whichever node was the first to notice.

use std::collections::HashMap;
use std::sync::Arc;

use crate::service::identity::new_id;
use crate::store::{Commit, Committed, FieldStore, LogStore, StoreError, Stores, Topic};

/// The field of the id. No name of a room has this character, and no look of a name begins with it, which the directory
/// lists.
const LIFE: &str = "\u{10ffff}\u{10ffff}life";
/// What is followed.
const SHARED: [Topic; 2] = [Topic::Cluster, Topic::Directory];

/// The lives that a node knows.
pub struct Lives {
    log: Arc<dyn LogStore>,
    fields: Arc<dyn FieldStore>,
    known: HashMap<Topic, String>,
}

impl Lives {
    /// None is known yet.
    #[must_use]
    pub fn new(stores: &Stores) -> Self {
        Self { log: stores.log.clone(), fields: stores.fields.clone(), known: HashMap::new() }
    }

    /// Returns which topics were lost since the last call.
    ///
    /// # Errors
    /// The store's. The next call finds what this one did not.
    pub async fn lost(&mut self) -> Result<Vec<Topic>, StoreError> {
        let found = self.fields.values(&SHARED, &[LIFE.to_owned()]).await?;
        let mut lost = Vec::new();
        for (topic, mut values) in SHARED.into_iter().zip(found) {
            let life = match values.pop().flatten() {
                Some(life) => life,
                None => self.begin(&topic).await?,
            };
            let before = self.known.insert(topic.clone(), life.clone());
            if before.is_some_and(|before| before != life) {
                lost.push(topic);
            }
        }
        Ok(lost)
    }

    /// Restores the indices of the topics where only these were lost.
    ///
    /// # Errors
    /// The store's.
    pub async fn verify(&self) -> Result<(), StoreError> {
        self.fields.verify(&SHARED.map(|topic| (topic, LIFE.to_owned()))).await.map(drop)
    }

    /// Begins a life, or finds the one that another node began meanwhile.
    async fn begin(&self, topic: &Topic) -> Result<String, StoreError> {
        let life = new_id("")?;
        let commit = Commit {
            expect: vec![(LIFE.to_owned(), None)],
            set: vec![(LIFE.to_owned(), Some(life.clone()))],
            ..Commit::default()
        };
        match self.log.commit(topic, commit).await? {
            Committed::Refused(values) => Ok(values.into_iter().next().flatten().unwrap_or(life)),
            Committed::Done { .. } | Committed::Repeated(_) | Committed::Full => Ok(life),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Retention;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn every_node_learns_once_that_a_topic_was_lost() {
        let stores = Stores::new(Arc::new(MemoryStore::new(Retention::default()).0));
        let [mut first, mut second] = [Lives::new(&stores), Lives::new(&stores)];
        for node in [&mut first, &mut second] {
            assert_eq!(node.lost().await.unwrap(), [], "nothing was known");
        }
        let forget = Commit { set: vec![(LIFE.to_owned(), None)], ..Commit::default() };
        stores.log.commit(&Topic::Directory, forget).await.unwrap();
        for node in [&mut second, &mut first] {
            assert_eq!(node.lost().await.unwrap(), [Topic::Directory]);
            assert_eq!(node.lost().await.unwrap(), []);
        }
    }
}
