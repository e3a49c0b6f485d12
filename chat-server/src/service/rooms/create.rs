//! Creating a room.

use super::Rooms;
use super::events::member_joined;
use super::fields::{INFO, member_field, to_json};
use super::user_index::Doing;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::position::Offset;
use crate::domain::room::{Draft, Info, Kind, Member, Role};
use crate::service::actor::Actor;
use crate::service::identity::new_id;
use crate::store::{Commit, Committed, Topic};

impl Rooms {
    /// Creates a room with its first owner. Answers with the offset of the owner's joining.
    ///
    /// # Errors
    /// `conflict` for a public name in use, `bad_request`, `forbidden` over the number of rooms.
    pub async fn create(&self, actor: &Actor, draft: Draft) -> Result<(RoomId, Offset), Refusal> {
        if let Some(problem) = draft.problem() {
            return Err(Refusal::new(Code::BadRequest, problem));
        }
        let room = new_room_id()?;
        if draft.kind == Kind::Public {
            self.claim_name(&draft.name, &room, None).await?;
        }
        let owner = &*actor.user;
        let info = Info {
            name: draft.name.as_str().to_owned(),
            kind: draft.kind,
            topic: draft.topic,
            archived: false,
            between: None,
        };
        self.index(&owner.id, &room, Doing::Own).await?;
        let member = Member::new(owner.clone(), Role::Owner);
        let commit = Commit {
            expect: vec![(INFO.to_owned(), None)],
            set: vec![(INFO.to_owned(), Some(to_json(&info)?)), (member_field(&owner.id), Some(to_json(&member)?))],
            append: Some(member_joined(owner, owner, Role::Owner)?),
            ..Commit::default()
        };
        let Committed::Done { entry: Some((position, _)) } = self.log.commit(&Topic::room(&room), commit).await? else {
            return Err(Refusal::new(Code::Unavailable, "the room could not be created; try again"));
        };
        self.notify_own_sockets(actor, &room, position.offset).await;
        Ok((room, position.offset))
    }
}

fn new_room_id() -> Result<RoomId, Refusal> {
    RoomId::parse(&new_id("r")?).map_err(|error| Refusal::new(Code::Unavailable, error.to_string()))
}
