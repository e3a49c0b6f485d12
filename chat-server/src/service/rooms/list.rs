//! Finding rooms.

use super::Rooms;
use super::access::Access;
use super::names::is_called;
use crate::domain::error::{Code, Refusal};
use crate::domain::id::RoomId;
use crate::domain::room::View;
use crate::service::actor::Actor;

/// Names that one request looks at before it hands out a cursor.
const LISTED_AT_ONCE: usize = 2_000;
/// Names read at a time.
const CHUNK: usize = 100;

/// A page of rooms.
pub struct Listed {
    /// The rooms.
    pub rooms: Vec<View>,
    /// Where the next page begins, if there may be one.
    pub cursor: Option<String>,
}

impl Rooms {
    /// Lists one's own rooms and then the public ones, those whose name holds `query`.
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
        let user = &*actor.user;
        let query = query.trim().to_lowercase();
        let mut rooms = Vec::new();
        let own = self.of_user(&user.id).await?;
        let is_own = |room: &RoomId| room.is_lobby() || own.iter().any(|(id, _)| id == room);
        let (mut skip, mut after) = match cursor {
            None => (0, None),
            Some(cursor) => parse_cursor(cursor)?,
        };
        if after.is_none() {
            let lobby = (RoomId::lobby(), Access::lobby(user));
            let matching = std::iter::once(&lobby)
                .chain(&own)
                .filter(|(_, access)| access.info.name_for(&user.id).to_lowercase().contains(&query));
            for (room, _) in matching.skip(skip) {
                if rooms.len() == limit {
                    return Ok(Listed { rooms, cursor: Some(format!("own:{skip}")) });
                }
                if let Some(access) = self.try_access(user, room).await? {
                    rooms.push(self.view(&user.id, room, &access).await?);
                }
                skip += 1;
            }
        }
        let mut looked_at = 0;
        loop {
            let page = self.public_names(after.as_deref(), CHUNK).await?;
            if page.is_empty() {
                return Ok(Listed { rooms, cursor: None });
            }
            for (name, room) in page {
                if rooms.len() == limit || looked_at == LISTED_AT_ONCE {
                    let cursor = format!("all:{}", after.unwrap_or_default());
                    return Ok(Listed { rooms, cursor: Some(cursor) });
                }
                looked_at += 1;
                let found = name.contains(&query);
                let after = after.insert(name);
                let Some(room) = room.filter(|room| found && !is_own(room)) else { continue };
                // One that was renamed may still have its former name for a moment.
                let access = self.try_access(user, &room).await?;
                if let Some(access) = access.filter(|access| is_called(&access.info, after)) {
                    rooms.push(self.view(&user.id, &room, &access).await?);
                }
            }
        }
    }
}

fn parse_cursor(cursor: &str) -> Result<(usize, Option<String>), Refusal> {
    let unknown = || Refusal::new(Code::BadRequest, "not a cursor of room:list");
    match cursor.split_once(':').ok_or_else(unknown)? {
        ("own", skip) => Ok((skip.parse().map_err(|_| unknown())?, None)),
        ("all", after) => Ok((0, Some(after.to_owned()))),
        _ => Err(unknown()),
    }
}
