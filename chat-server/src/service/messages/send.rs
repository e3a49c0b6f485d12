//! Sending: the hot path. One commit a message; the rights come from a cache that the commit
//! itself checks.

use serde::Serialize;

use crate::domain::error::{Code, Refusal};
use crate::domain::message::{Draft, EntryId};
use crate::domain::position::{Millis, Position};
use crate::domain::trace::Traceparent;
use crate::domain::user::User;
use crate::service::rooms::{Access, Rooms, TRIES, access_from, members, no_such_room};
use crate::store::{Append, Commit, Committed, Entry, Topic};

/// The event of a message.
pub const MESSAGE_NEW: &str = "message:new";

/// Where and when a message was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message's id.
    pub id: EntryId,
    /// Its place in the room's log.
    pub position: Position,
    /// When, by the broker's clock.
    pub at: Millis,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    by: &'a User,
    text: &'a str,
    nonce: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a EntryId>,
    reactions: [(); 0],
}

impl Rooms {
    /// Stores and publishes a message, once for each nonce.
    ///
    /// `rights` is what is believed of the sender; it is corrected when it proves outdated. `trace` is where the message
    /// belongs, if it is followed.
    ///
    /// # Errors
    /// As for writing; `conflict` if the nonce stands for another text.
    pub async fn send(
        &self,
        user: &User,
        draft: &Draft,
        rights: &mut Option<Access>,
        trace: Option<Traceparent>,
    ) -> Result<Sent, Refusal> {
        let room = &draft.room;
        let mut access = match rights.take() {
            Some(access) => access,
            None => self.access(user, room).await?,
        };
        for _ in 0..TRIES {
            access.standing(room).may_write()?;
            let body = Body {
                by: user,
                text: &draft.text,
                nonce: draft.nonce.as_str(),
                reply_to: draft.reply_to.as_ref(),
                reactions: [],
            };
            let commit = Commit {
                expect: access.unchanged(room, &user.id),
                append: Some(Append {
                    event: MESSAGE_NEW,
                    by: user.id.clone(),
                    payload: members(&body)?,
                    nonce: Some(draft.nonce.as_str().to_owned()),
                    counted: true,
                    trace: trace.clone(),
                }),
                ..Commit::default()
            };
            match self.log.commit(&Topic::room(room), commit).await? {
                Committed::Done { entry: Some((position, at)) } => {
                    *rights = Some(access);
                    let id = EntryId { epoch: position.epoch.clone(), offset: position.offset };
                    return Ok(Sent { id, position, at });
                }
                Committed::Done { entry: None } => break,
                Committed::Repeated(entry) => {
                    *rights = Some(access);
                    return same_message(&entry, draft);
                }
                Committed::Refused(values) => {
                    access = access_from(values)?.ok_or_else(no_such_room)?;
                }
            }
        }
        Err(Refusal::new(Code::Unavailable, "the room is changing too fast; try again"))
    }

    /// What became of a message that may have been sent before.
    ///
    /// # Errors
    /// `conflict` if the nonce stands for another text.
    pub async fn sent_before(&self, user: &User, draft: &Draft) -> Result<Option<Sent>, Refusal> {
        let found = self.log.find_nonce(&Topic::room(&draft.room), &user.id, draft.nonce.as_str()).await?;
        found.map(|entry| same_message(&entry, draft)).transpose()
    }
}

fn same_message(entry: &Entry, draft: &Draft) -> Result<Sent, Refusal> {
    #[derive(serde::Deserialize)]
    struct Text {
        text: String,
    }
    let same = entry.payload.parse::<Text>().is_ok_and(|body| body.text == draft.text);
    if entry.event != MESSAGE_NEW || !same {
        return Err(Refusal::new(Code::Conflict, "the nonce stands for another message"));
    }
    let position = entry.position();
    Ok(Sent { id: EntryId { epoch: position.epoch.clone(), offset: position.offset }, position, at: entry.at })
}
