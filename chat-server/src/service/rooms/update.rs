//! Changing what a room is called and about, archiving it and taking it back.

use super::Rooms;
use super::events::room_updated;
use super::fields::{INFO, to_json};
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::room::{Info, Kind, Update, topic_problem};
use crate::service::actor::Actor;
use crate::store::Commit;

impl Rooms {
    /// Changes a room. Nothing is stored, and nobody told, where it is as wanted already.
    ///
    /// # Errors
    /// `bad_request` for nothing to change or a topic that is none; see
    /// [`crate::domain::permission::Standing::may_update`]; `conflict` for a public name in use.
    pub async fn update(&self, actor: &Actor, room: &RoomId, update: Update) -> Result<(), Refusal> {
        let by = &*actor.user;
        if let Update { name: None, topic: None, archived: None } = update {
            return Err(Refusal::new(Code::BadRequest, "nothing to change: give name, topic or archived"));
        }
        if let Some(problem) = update.topic.as_deref().and_then(topic_problem) {
            return Err(Refusal::new(Code::BadRequest, problem));
        }
        let access = self.access(by, room).await?;
        access.standing(room).may_update()?;
        let is_public = access.info.kind == Kind::Public;
        let former = access.info.name.clone();
        let renamed = update.name.as_ref().filter(|name| is_public && name.as_str() != former);
        // Claimed first: of two rooms that want a name, one is refused before it has changed.
        let claims = match renamed {
            Some(name) => Some(self.claim_name(name, room, Some(&former)).await?),
            None => None,
        };
        let changed = self
            .change(by, room, Some(access), |access| {
                access.standing(room).may_update()?;
                let info = updated(&access.info, &update);
                if info == access.info {
                    return Ok(None);
                }
                Ok(Some(Commit {
                    set: vec![(INFO.to_owned(), Some(to_json(&info)?))],
                    append: Some(room_updated(by, &info)?),
                    ..Commit::default()
                }))
            })
            .await;
        let Some((claimed, released)) = claims else { return changed.map(drop) };
        match changed {
            // What it was called if somebody else renamed it meanwhile is taken over in time.
            Ok(_) => Ok(self.release_name(released).await?),
            // Perhaps the room has the name now: a claim that is not the room's name is taken over in time.
            Err(refusal) if refusal.code == Code::Unavailable => Err(refusal),
            Err(refusal) => {
                self.release_name(claimed).await?;
                Err(refusal)
            }
        }
    }
}

fn updated(info: &Info, update: &Update) -> Info {
    let Update { name, topic, archived } = update;
    Info {
        name: name.as_ref().map_or_else(|| info.name.clone(), |name| name.as_str().to_owned()),
        topic: topic.as_ref().unwrap_or(&info.topic).clone(),
        archived: archived.unwrap_or(info.archived),
        ..info.clone()
    }
}
