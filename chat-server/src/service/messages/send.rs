//! Sending: the hot path. One commit a message; the rights come from a cache that the commit itself checks.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Messages;
use crate::domain::content::Content;
use crate::domain::error::{Code, Refusal};
use crate::domain::message::{Draft, EntryId};
use crate::domain::position::{Millis, Position};
use crate::domain::rate_limit::Class;
use crate::domain::trace::Traceparent;
use crate::domain::user::User;
use crate::service::actor::Actor;
use crate::service::rooms::access::{Access, access_from, no_such_room};
use crate::service::rooms::events::members;
use crate::service::rooms::retry::Attempts;
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
    /// When, by the store's clock.
    pub at: Millis,
}

impl Sent {
    fn at(position: Position, at: Millis) -> Self {
        let id = EntryId { epoch: position.epoch.clone(), offset: position.offset };
        Self { id, position, at }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    by: &'a User,
    #[serde(flatten)]
    content: &'a Content,
    nonce: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a EntryId>,
    reactions: [(); 0],
}

impl Messages {
    /// Stores and publishes a message, once for each nonce.
    ///
    /// `rights` is what is believed of the sender; it is corrected when it proves outdated. `trace` is where the message
    /// belongs, if it is traced.
    ///
    /// # Errors
    /// `bad_request` for no text, `too_large`, `rate_limited`; as for writing; `conflict` if the nonce stands for another
    /// text.
    pub async fn send(
        &self,
        actor: &Actor,
        draft: &Draft,
        rights: &mut Option<Access>,
        trace: Option<Traceparent>,
    ) -> Result<Sent, Refusal> {
        draft.content.check(self.max_message_bytes)?;
        if let Err(refusal) = actor.take_token(Class::Message) {
            // Asking again for what was sent before is free.
            return self.sent_before(&actor.user, draft).await?.ok_or(refusal);
        }
        let begun = Instant::now();
        let sent = self.commit(&actor.user, draft, rights, trace).await;
        let answers = rights.as_ref().and_then(|access| access.member.as_ref()).is_some_and(|member| member.request);
        if sent.is_ok() && answers {
            // Its message is stored: whatever becomes of this is not the answer's.
            if let Err(refusal) = self.rooms.accept_request(actor, &draft.room).await {
                tracing::warn!(error = refusal.message, "a message request that was answered is still one");
            }
        }
        if sent.is_ok() {
            self.metrics.publish_latency.observe(begun.elapsed());
            self.analytics.said(&actor.user.id, &draft.room);
        }
        sent
    }

    async fn commit(
        &self,
        user: &User,
        draft: &Draft,
        rights: &mut Option<Access>,
        trace: Option<Traceparent>,
    ) -> Result<Sent, Refusal> {
        let Draft { room, nonce, content, reply_to } = draft;
        let mut access = match rights.take() {
            Some(access) => access,
            None => self.rooms.access(user, room).await?,
        };
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            access.standing(room).may_write()?;
            let body = Body { by: user, content, nonce: nonce.as_str(), reply_to: reply_to.as_ref(), reactions: [] };
            let commit = Commit {
                expect: access.unchanged(room, &user.id),
                append: Some(Append {
                    event: MESSAGE_NEW,
                    by: user.id.clone(),
                    payload: members(&body)?,
                    nonce: Some(nonce.as_str().to_owned()),
                    counted: true,
                    trace: trace.clone(),
                }),
                ..Commit::default()
            };
            let sent = match self.log.commit(&Topic::room(room), commit).await? {
                Committed::Done { entry: Some((position, at)) } => Ok(Sent::at(position, at)),
                Committed::Done { entry: None } => {
                    Err(Refusal::new(Code::Unavailable, "the message was not stored; try again"))
                }
                Committed::Repeated(entry) => same_message(&entry, draft),
                // A message sets no fields.
                Committed::Full => Err(Refusal::new(Code::Unavailable, "the message was not stored; try again")),
                Committed::Refused(values) => {
                    access = access_from(values)?.ok_or_else(no_such_room)?;
                    continue;
                }
            };
            *rights = Some(access);
            return sent;
        }
    }

    /// What became of a message that may have been sent before.
    ///
    /// # Errors
    /// `conflict` if the nonce stands for another text.
    async fn sent_before(&self, user: &User, draft: &Draft) -> Result<Option<Sent>, Refusal> {
        let found = self.log.find_nonce(&Topic::room(&draft.room), &user.id, draft.nonce.as_str()).await?;
        found.map(|entry| same_message(&entry, draft)).transpose()
    }
}

fn same_message(entry: &Entry, draft: &Draft) -> Result<Sent, Refusal> {
    #[derive(Deserialize)]
    struct Stored {
        #[serde(flatten)]
        content: Content,
    }
    let stored = entry.payload.parse::<Stored>();
    if entry.event != MESSAGE_NEW || stored.ok().is_none_or(|stored| stored.content != draft.content) {
        return Err(Refusal::new(Code::Conflict, "the nonce stands for another message"));
    }
    Ok(Sent::at(entry.position(), entry.at))
}
