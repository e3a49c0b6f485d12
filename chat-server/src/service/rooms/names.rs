//! The names of public rooms: each belongs to one room.

use super::Rooms;
use super::fields::INFO;
use super::retry::Attempts;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{Name, RoomId};
use crate::domain::position::Millis;
use crate::domain::room::Info;
use crate::store::{Commit, Committed, StoreError, Topic};

/// How long a public name waits for its room.
const CLAIM_MS: Millis = 30_000;

impl Rooms {
    /// A name belongs to the first room that claims it. A claim whose room never came to be (its
    /// node died in between) is taken over after [`CLAIM_MS`].
    ///
    /// # Errors
    /// `conflict`: it belongs to another.
    pub(super) async fn claim_name(&self, name: &Name, room: &RoomId) -> Result<(), Refusal> {
        let taken = || Refusal::new(Code::Conflict, "a public room has that name");
        let field = name.folded();
        if field == Info::lobby().name.to_lowercase() {
            return Err(taken());
        }
        let now = self.fields.fields(&Topic::Directory, &[]).await?.now;
        let (mut holder, mut attempts) = (None, Attempts::default());
        loop {
            attempts.another()?;
            let claim = Commit {
                expect: vec![(field.clone(), holder)],
                set: vec![(field.clone(), Some(format!("{room} {now}")))],
                ..Commit::default()
            };
            let Committed::Refused(found) = self.log.commit(&Topic::Directory, claim).await? else {
                return Ok(());
            };
            holder = found.into_iter().next().flatten();
            if let Some((other, since)) = holder.as_deref().and_then(claim_of) {
                let info = self.fields.fields(&Topic::room(&other), &[INFO.to_owned()]).await?;
                if info.now < since + CLAIM_MS || info.values.into_iter().flatten().next().is_some() {
                    return Err(taken());
                }
            }
        }
    }

    /// Some public names and their rooms, in the order of the names, those after `after` only.
    pub(super) async fn public_names(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Option<RoomId>)>, StoreError> {
        let page = self.fields.list(&Topic::Directory, "", after, limit).await?;
        Ok(page.into_iter().map(|(name, claim)| (name, claim_of(&claim).map(|(room, _)| room))).collect())
    }
}

/// The room that claimed a name, and since when.
fn claim_of(value: &str) -> Option<(RoomId, Millis)> {
    let (room, since) = value.split_once(' ')?;
    Some((RoomId::parse(room).ok()?, since.parse().ok()?))
}
