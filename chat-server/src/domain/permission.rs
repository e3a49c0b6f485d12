//! Who may do what. A refusal never tells an outsider that a private room is there.

use super::error::{Code, Refusal};
use super::room::{Kind, Role};

/// What someone is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who can see the room.
    pub kind: Kind,
    /// Whether it is the lobby, which nobody joins or leaves.
    pub lobby: bool,
    /// The person's role; `None` for one who is not a member.
    pub role: Option<Role>,
    /// Whether the room takes no more messages.
    pub archived: bool,
    /// Whether it is a direct message with someone who has blocked the person.
    pub blocked: bool,
}

fn unseen() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such room")
}

fn forbidden(why: &str) -> Refusal {
    Refusal::new(Code::Forbidden, why)
}

/// What someone hears who is blocked, whatever they try.
#[must_use]
pub fn takes_nothing_from_you() -> Refusal {
    forbidden("this person takes no messages or invitations from you")
}

impl Standing {
    /// May read history, log and members.
    ///
    /// # Errors
    /// `not_found` for a room that is hidden from the person.
    pub fn may_read(self) -> Result<(), Refusal> {
        match (self.role, self.kind) {
            (Some(_), _) | (None, Kind::Public) => Ok(()),
            (None, Kind::Private | Kind::Dm) => Err(unseen()),
        }
    }

    /// Takes part: may mark as read, and leave.
    ///
    /// # Errors
    /// `not_found` for a hidden room, `forbidden` for a public one that was not joined.
    pub fn may_take_part(self) -> Result<Role, Refusal> {
        self.may_read()?;
        self.role.ok_or_else(|| forbidden("join the room first"))
    }

    /// May write, and say that they type.
    ///
    /// # Errors
    /// As for taking part; `forbidden` in an archived room, and to someone who has blocked the person.
    pub fn may_write(self) -> Result<(), Refusal> {
        self.may_take_part()?;
        if self.blocked {
            return Err(takes_nothing_from_you());
        }
        if self.archived { Err(forbidden("the room is archived")) } else { Ok(()) }
    }

    /// May hide the room from their list until something is said there.
    ///
    /// # Errors
    /// As for taking part; `forbidden` for a room that can be left instead.
    pub fn may_close(self) -> Result<(), Refusal> {
        self.may_take_part()?;
        if self.kind != Kind::Dm {
            return Err(forbidden("only a direct message is closed; leave the room instead"));
        }
        Ok(())
    }

    /// May rename the room, change its topic, archive it and take it back.
    ///
    /// # Errors
    /// As for taking part; `forbidden` for members who keep no order, in the lobby and in direct messages.
    pub fn may_update(self) -> Result<(), Refusal> {
        let role = self.may_take_part()?;
        if self.lobby {
            return Err(forbidden("nobody changes the lobby"));
        }
        if self.kind == Kind::Dm {
            return Err(forbidden("a direct message has no name"));
        }
        if role < Role::Moderator {
            return Err(forbidden("only owners and moderators change a room"));
        }
        Ok(())
    }

    /// May join on their own.
    ///
    /// # Errors
    /// `not_found` for a hidden room.
    pub fn may_join(self) -> Result<(), Refusal> {
        self.may_read()
    }

    /// May leave.
    ///
    /// # Errors
    /// As for taking part; `forbidden` in the lobby, and in a direct message, which lasts.
    pub fn may_leave(self) -> Result<(), Refusal> {
        self.may_take_part()?;
        if self.lobby {
            return Err(forbidden("nobody leaves the lobby"));
        }
        if self.kind == Kind::Dm {
            return Err(forbidden("a direct message can't be left"));
        }
        Ok(())
    }

    /// May add others, or make a link that does.
    ///
    /// # Errors
    /// As for taking part; `forbidden` in the lobby and in direct messages.
    pub fn may_invite(self) -> Result<(), Refusal> {
        self.may_take_part()?;
        if self.lobby {
            return Err(forbidden("everyone is in the lobby already"));
        }
        if self.kind == Kind::Dm {
            return Err(forbidden("a direct message has two members"));
        }
        Ok(())
    }
}

impl Standing {
    /// Sees and revokes the invite links of others, and makes links for more people and a longer time than a member.
    #[must_use]
    pub fn keeps_order(self) -> bool {
        self.role.is_some_and(|role| role >= Role::Moderator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(kind: Kind, role: Option<Role>) -> Standing {
        Standing { kind, lobby: false, role, archived: false, blocked: false }
    }

    #[test]
    fn a_private_room_is_not_there_for_outsiders_whatever_they_try() {
        for kind in [Kind::Private, Kind::Dm] {
            let outsider = standing(kind, None);
            for refused in [
                outsider.may_read(),
                outsider.may_take_part().map(drop),
                outsider.may_write(),
                outsider.may_join(),
                outsider.may_leave(),
                outsider.may_close(),
                outsider.may_invite(),
                outsider.may_update(),
            ] {
                assert_eq!(refused.unwrap_err().code, Code::NotFound);
            }
        }
    }

    #[test]
    fn a_public_room_is_read_by_all_and_written_by_members() {
        let visitor = standing(Kind::Public, None);
        assert!(visitor.may_read().is_ok());
        assert!(visitor.may_join().is_ok());
        assert_eq!(visitor.may_write().unwrap_err().code, Code::Forbidden);
        assert!(standing(Kind::Public, Some(Role::Member)).may_write().is_ok());
    }

    #[test]
    fn the_lobby_and_direct_messages_are_for_ever() {
        let lobby = Standing { lobby: true, ..standing(Kind::Public, Some(Role::Member)) };
        assert_eq!(lobby.may_leave().unwrap_err().code, Code::Forbidden);
        assert_eq!(lobby.may_invite().unwrap_err().code, Code::Forbidden);
        assert_eq!(lobby.may_close().unwrap_err().code, Code::Forbidden);
        let dm = standing(Kind::Dm, Some(Role::Member));
        assert!(dm.may_close().is_ok());
        assert_eq!(dm.may_leave().unwrap_err().code, Code::Forbidden);
        assert_eq!(dm.may_invite().unwrap_err().code, Code::Forbidden);
    }

    #[test]
    fn whoever_is_blocked_reads_what_was_said_and_says_nothing_more() {
        let blocked = Standing { blocked: true, ..standing(Kind::Dm, Some(Role::Member)) };
        assert_eq!(blocked.may_write().unwrap_err().code, Code::Forbidden);
        assert!(blocked.may_read().is_ok() && blocked.may_close().is_ok());
    }

    #[test]
    fn an_archived_room_is_read_and_left_but_not_written_to() {
        let member = Standing { archived: true, ..standing(Kind::Public, Some(Role::Owner)) };
        assert_eq!(member.may_write().unwrap_err().code, Code::Forbidden);
        assert!(member.may_read().is_ok() && member.may_take_part().is_ok() && member.may_leave().is_ok());
        assert!(member.may_update().is_ok(), "who archived it takes it back");
    }

    #[test]
    fn a_room_is_changed_by_those_who_keep_order_there() {
        for kind in [Kind::Public, Kind::Private] {
            assert!(standing(kind, Some(Role::Owner)).may_update().is_ok());
            assert!(standing(kind, Some(Role::Moderator)).may_update().is_ok());
            assert_eq!(standing(kind, Some(Role::Member)).may_update().unwrap_err().code, Code::Forbidden);
        }
        assert_eq!(standing(Kind::Dm, Some(Role::Member)).may_update().unwrap_err().code, Code::Forbidden);
        let lobby = Standing { lobby: true, ..standing(Kind::Public, Some(Role::Member)) };
        assert_eq!(lobby.may_update().unwrap_err().code, Code::Forbidden);
    }
}
