//! What guests who are gone have left behind in the lobby: how far they have read, and how much they wrote. Their own topics
//! expire by themselves; the log of the lobby does not, so that one node a day looks through it.

use super::{PROFILE, Sessions, from_json, to_json};
use crate::domain::id::{RoomId, UserId};
use crate::domain::position::Millis;
use crate::store::{Commit, Committed, StoreError, Topic};

/// When a node last began to look through the lobby.
const LOOKED_THROUGH: &str = "lobby-readers";
/// How often that is done, in the whole chat.
const EVERY_MS: Millis = 24 * 3_600_000;
/// Readers that are looked up at a time.
const AT_ONCE: usize = 200;

impl Sessions {
    /// Removes from the lobby what belongs to users who are gone, unless a node did so less than a day ago. Answers how many
    /// there were.
    ///
    /// # Errors
    /// The store's. What was not looked through then is so the next day.
    pub async fn forget_gone(&self) -> Result<usize, StoreError> {
        if !self.claims_turn().await? {
            return Ok(0);
        }
        let lobby = Topic::Room(RoomId::lobby());
        let (mut cursor, mut forgotten) = (String::new(), 0);
        loop {
            let (readers, next) = self.marks.readers(&lobby, &cursor, AT_ONCE).await?;
            let gone = self.gone(readers).await?;
            if !gone.is_empty() {
                self.marks.forget(&lobby, &gone).await?;
                forgotten += gone.len();
            }
            let Some(next) = next else { return Ok(forgotten) };
            cursor = next;
        }
    }

    /// Whether it is time, and no other node does it.
    async fn claims_turn(&self) -> Result<bool, StoreError> {
        let name = LOOKED_THROUGH.to_owned();
        let found = self.fields.fields(&Topic::Cluster, std::slice::from_ref(&name)).await?;
        let last = found.values.into_iter().next().flatten();
        let at = last.as_deref().map(from_json::<Millis>).transpose()?;
        if at.is_some_and(|at| found.now < at.saturating_add(EVERY_MS)) {
            return Ok(false);
        }
        let set = vec![(name.clone(), Some(to_json(&found.now)?))];
        let commit = Commit { expect: vec![(name, last)], set, ..Commit::default() };
        Ok(matches!(self.log.commit(&Topic::Cluster, commit).await?, Committed::Done { .. }))
    }

    /// Those of whom nothing is stored.
    async fn gone(&self, users: Vec<UserId>) -> Result<Vec<UserId>, StoreError> {
        let topics: Vec<Topic> = users.iter().cloned().map(Topic::User).collect();
        let profiles = self.fields.values(&topics, &[PROFILE.to_owned()]).await?;
        let gone = |profile: &Vec<Option<String>>| profile.iter().all(Option::is_none);
        Ok(users.into_iter().zip(profiles).filter(|(_, profile)| gone(profile)).map(|(user, _)| user).collect())
    }
}
