//! The names of public rooms: each belongs to one room.

use super::Rooms;
use super::fields::{INFO, from_json};
use super::retry::Attempts;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::{Name, RoomId, fold};
use crate::domain::position::Millis;
use crate::domain::room::{Info, Kind};
use crate::store::{Commit, Committed, StoreError, Topic};

/// How long a public name waits for its room.
const CLAIM_MS: Millis = 30_000;

impl Rooms {
    /// A name belongs to the first room that claims it. A claim whose room never came to be, or is called otherwise
    /// (its node died in between), is taken over after [`CLAIM_MS`].
    ///
    /// # Errors
    /// `conflict`: it belongs to another.
    pub(super) async fn claim_name(&self, name: &Name, room: &RoomId) -> Result<(), Refusal> {
        let taken = || Refusal::new(Code::Conflict, "a public room has that name");
        let field = name.folded();
        if field == fold(&Info::lobby().name) {
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
                let found = self.fields.fields(&Topic::room(&other), &[INFO.to_owned()]).await?;
                let info = found.values.into_iter().flatten().next();
                let info = info.map(|text| from_json::<Info>(&text)).transpose()?;
                if found.now < since + CLAIM_MS || info.is_some_and(|info| is_called(&info, &field)) {
                    return Err(taken());
                }
            }
        }
    }

    /// Lets go of a name, if it is the room's.
    pub(super) async fn release_name(&self, folded: String, room: &RoomId) -> Result<(), StoreError> {
        let found = self.fields.fields(&Topic::Directory, std::slice::from_ref(&folded)).await?;
        let Some(claim) = found.values.into_iter().flatten().next() else { return Ok(()) };
        if claim_of(&claim).is_some_and(|(holder, _)| holder == *room) {
            let commit =
                Commit { expect: vec![(folded.clone(), Some(claim))], set: vec![(folded, None)], ..Commit::default() };
            self.log.commit(&Topic::Directory, commit).await?;
        }
        Ok(())
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

/// Whether a room is called by a public name, as the directory has it.
pub(super) fn is_called(info: &Info, folded: &str) -> bool {
    info.kind == Kind::Public && fold(&info.name) == folded
}

/// The room that claimed a name, and since when.
fn claim_of(value: &str) -> Option<(RoomId, Millis)> {
    let (room, since) = value.split_once(' ')?;
    Some((RoomId::parse(room).ok()?, since.parse().ok()?))
}
