//! Changes that hold only if nobody else changed the room between check and commit.

use super::Rooms;
use super::access::Access;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::position::Position;
use crate::domain::user::User;
use crate::store::{Commit, Committed, Topic};

/// How often a check is repeated when somebody changed the room between check and commit.
const TRIES: usize = 8;

/// Attempts at a change, of which only so many may be in vain.
#[derive(Default)]
pub(crate) struct Attempts(usize);

impl Attempts {
    /// Begins another attempt.
    ///
    /// # Errors
    /// `unavailable` when there were too many.
    pub(crate) fn another(&mut self) -> Result<(), Refusal> {
        if self.0 == TRIES {
            return Err(Refusal::new(Code::Unavailable, "the room is changing too fast; try again"));
        }
        self.0 += 1;
        Ok(())
    }
}

impl Rooms {
    /// Commits what `change` makes of the room as it stands; as `known` says, if that still holds. `None` from `change`:
    /// there is nothing to do.
    pub(super) async fn change<F>(
        &self,
        user: &User,
        room: &RoomId,
        mut known: Option<Access>,
        change: F,
    ) -> Result<(Access, Option<Position>), Refusal>
    where
        F: Fn(&Access) -> Result<Option<Commit>, Refusal>,
    {
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            let access = match known.take() {
                Some(access) => access,
                None => self.access(user, room).await?,
            };
            let Some(mut commit) = change(&access)? else { return Ok((access, None)) };
            commit.expect.extend(access.unchanged(room, &user.id));
            match self.log.commit(&Topic::room(room), commit).await? {
                Committed::Done { entry } => return Ok((access, entry.map(|(position, _)| position))),
                Committed::Repeated(entry) => return Ok((access, Some(entry.position()))),
                Committed::Refused(_) | Committed::Full => {}
            }
        }
    }
}
