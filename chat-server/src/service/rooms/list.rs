//! Finding rooms.

use super::Rooms;
use super::access::Access;
use super::names::{NamePage, is_called};
use crate::domain::error::{Code, Refusal};
use crate::domain::fold::search_form;
use crate::domain::id::RoomId;
use crate::domain::room::View;
use crate::service::actor::Actor;

/// Rooms of one's own that one request looks at, and rooms that it may show: each costs the store a command or two.
const ROOMS_AT_ONCE: usize = 100;

/// A page of rooms.
pub struct Listed {
    /// The rooms.
    pub rooms: Vec<View>,
    /// Where the next page begins, if there may be one.
    pub cursor: Option<String>,
}

/// Where a page begins.
enum Cursor {
    /// After so many of one's own rooms.
    Own(usize),
    /// After this public name.
    Public(String),
}

impl Rooms {
    /// Lists one's own rooms and then the public ones, those whose name holds `query`. A page may be shorter than `limit`,
    /// or empty, and yet have a cursor: the work for it has a bound.
    ///
    /// # Errors
    /// `bad_request` for a cursor that none of these made.
    pub async fn list(
        &self,
        actor: &Actor,
        query: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listed, Refusal> {
        let query = search_form(query);
        let limit = limit.min(ROOMS_AT_ONCE);
        let (mut found, mut cursor) = match cursor.map_or(Ok(Cursor::Own(0)), Cursor::parse)? {
            Cursor::Own(skip) => self.list_own(actor, &query, skip, limit).await?,
            Cursor::Public(after) => (Vec::new(), Cursor::Public(after)),
        };
        let mut next = Some(cursor.to_string());
        if let Cursor::Public(after) = &mut cursor
            && found.len() < limit
        {
            next = self.list_public(actor, &query, after, limit, &mut found).await?;
        }
        Ok(Listed { rooms: self.views(&actor.user.id, &found).await?, cursor: next })
    }

    /// Some of one's own rooms, and where to go on.
    async fn list_own(
        &self,
        actor: &Actor,
        query: &str,
        skip: usize,
        limit: usize,
    ) -> Result<(Vec<(RoomId, Access)>, Cursor), Refusal> {
        let user = &actor.user;
        let called = |access: &Access| search_form(access.info.name_for(&user.id)).contains(query);
        let (mut found, lobby) = (Vec::new(), Access::lobby(user));
        if skip == 0 && called(&lobby) {
            found.push((RoomId::lobby(), lobby));
        }
        // The lobby is looked at first, and belongs to nobody's list.
        let own = self.indexed(&user.id).await?;
        let from = skip.saturating_sub(1).min(own.len());
        let to = own.len().min(from + limit - found.len().min(limit));
        for (room, access) in own[from..to].iter().zip(self.accesses(&user.id, &own[from..to]).await?) {
            let access = access.filter(|access| access.member.is_some() && called(access));
            found.extend(access.map(|access| (room.clone(), access)));
        }
        let next = if to == own.len() { Cursor::Public(String::new()) } else { Cursor::Own(1 + to) };
        Ok((found, next))
    }

    /// Adds public rooms that one is not in, after the name `after`. Answers where to go on, if there is more.
    async fn list_public(
        &self,
        actor: &Actor,
        query: &str,
        after: &str,
        limit: usize,
        found: &mut Vec<(RoomId, Access)>,
    ) -> Result<Option<String>, Refusal> {
        let NamePage { names, mut more } = self.public_names(Some(after).filter(|after| !after.is_empty())).await?;
        let last = names.last().map(|(name, _)| name.clone());
        let matching = names.into_iter().filter(|(name, _)| search_form(name).contains(query));
        let mut matching = matching.filter_map(|(name, room)| Some((name, room?)));
        let candidates: Vec<(String, RoomId)> = matching.by_ref().take(limit - found.len()).collect();
        let mut upto = last;
        if matching.next().is_some() {
            more = true;
            upto = candidates.last().map(|(name, _)| name.clone());
        }
        let rooms: Vec<RoomId> = candidates.iter().map(|(_, room)| room.clone()).collect();
        for ((name, room), access) in candidates.into_iter().zip(self.accesses(&actor.user.id, &rooms).await?) {
            if access.is_none() {
                self.release_dead_name(&name, &room).await?;
            }
            // One's own were listed before. One that was renamed may still have its former name for a moment.
            let access = access.filter(|access| access.member.is_none() && is_called(&access.info, &name));
            found.extend(access.map(|access| (room, access)));
        }
        Ok(upto.filter(|_| more).map(|name| Cursor::Public(name).to_string()))
    }
}

impl Cursor {
    fn parse(cursor: &str) -> Result<Self, Refusal> {
        let unknown = || Refusal::new(Code::BadRequest, "not a cursor of room:list");
        match cursor.split_once(':').ok_or_else(unknown)? {
            ("own", skip) => Ok(Self::Own(skip.parse().map_err(|_| unknown())?)),
            ("all", after) => Ok(Self::Public(after.to_owned())),
            _ => Err(unknown()),
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(skip) => write!(f, "own:{skip}"),
            Self::Public(after) => write!(f, "all:{after}"),
        }
    }
}
