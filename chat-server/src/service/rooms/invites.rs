//! The open invite links of a room: who may make which, and who sees and revokes them.
//!
//! A link is named by an id that is derived from its secret, so that a list of links lets nobody in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Rooms;
use super::fields::{INVITE, from_json};
use super::retry::Attempts;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::limits::{Limit, MAX_INVITES, MAX_MEMBER_INVITE_SECONDS, MAX_MEMBER_INVITE_USES};
use crate::domain::permission::Standing;
use crate::domain::room::{Invite, InviteView};
use crate::service::actor::Actor;
use crate::store::{Commit, Committed, Topic};

/// How many bytes of a digest are an id.
const ID_BYTES: usize = 9;

/// May make a link for so many people and so long a time.
///
/// # Errors
/// `forbidden` beyond what a link of a member may be.
pub(super) fn within_role(standing: Standing, uses: u32, seconds: u64) -> Result<(), Refusal> {
    if standing.keeps_order() || (uses <= MAX_MEMBER_INVITE_USES && seconds <= MAX_MEMBER_INVITE_SECONDS) {
        return Ok(());
    }
    let what = format!(
        "a link for more than {MAX_MEMBER_INVITE_USES} people or {MAX_MEMBER_INVITE_SECONDS} seconds is made by owners \
         and moderators"
    );
    Err(Refusal::new(Code::Forbidden, what).at(Limit::MemberInvites))
}

/// An open link, with the field that holds it.
struct Open {
    view: InviteView,
    field: String,
    value: String,
}

impl Rooms {
    /// A page of the room's open links, those that end first at the start, and where the next page begins. Owners and
    /// moderators see all, a member sees the member's own.
    ///
    /// # Errors
    /// As for making one.
    pub async fn invites(
        &self,
        actor: &Actor,
        room: &RoomId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<InviteView>, Option<String>), Refusal> {
        let mut open = self.open_invites(actor, room).await?;
        open.sort_by_cached_key(|open| cursor(&open.view));
        let mut rest =
            open.into_iter().map(|open| open.view).filter(|view| after.is_none_or(|after| *cursor(view) > *after));
        let page: Vec<InviteView> = rest.by_ref().take(limit).collect();
        let next = page.last().map(cursor).filter(|_| rest.next().is_some());
        Ok((page, next))
    }

    /// Revokes an open link: nobody gets in by it any more.
    ///
    /// # Errors
    /// As for making one; `not_found` for a link that is not open, or that the actor does not see.
    pub async fn revoke_invite(&self, actor: &Actor, room: &RoomId, invite: &str) -> Result<(), Refusal> {
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            let open = self.open_invites(actor, room).await?;
            let Some(Open { field, value, .. }) = open.into_iter().find(|open| open.view.invite == invite) else {
                return Err(Refusal::new(Code::NotFound, "there is no such invite"));
            };
            // Used meanwhile, it is another value, and perhaps still open.
            let commit =
                Commit { expect: vec![(field.clone(), Some(value))], set: vec![(field, None)], ..Commit::default() };
            if let Committed::Done { .. } = self.log.commit(&Topic::room(room), commit).await? {
                return Ok(());
            }
        }
    }

    /// The links that let people in and that the actor may see.
    async fn open_invites(&self, actor: &Actor, room: &RoomId) -> Result<Vec<Open>, Refusal> {
        let standing = self.access(&actor.user, room).await?.standing(room);
        standing.may_invite()?;
        let topic = Topic::room(room);
        let (now, fields) =
            tokio::try_join!(self.fields.fields(&topic, &[]), self.fields.list(&topic, INVITE, None, MAX_INVITES))?;
        let mut open = Vec::new();
        for (field, value) in fields {
            let invite: Invite = from_json(&value)?;
            let own = invite.by.as_ref().is_some_and(|by| by.id == actor.user.id);
            if invite.used(now.now).is_none() || !(own || standing.keeps_order()) {
                continue;
            }
            let Invite { uses, expires_at, by } = invite;
            let view = InviteView { invite: id(field.strip_prefix(INVITE).unwrap_or_default()), by, uses, expires_at };
            open.push(Open { view, field, value });
        }
        Ok(open)
    }
}

/// The id of a link, which does not tell its secret.
fn id(secret: &str) -> String {
    let digest = Sha256::digest(format!("invite.v1.{secret}").as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..ID_BYTES])
}

/// Orders links by when they end.
fn cursor(view: &InviteView) -> String {
    format!("{:015}-{}", view.expires_at, view.invite)
}
