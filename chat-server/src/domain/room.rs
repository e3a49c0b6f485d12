//! What a room is, and what its members are to it.

use serde::{Deserialize, Serialize};

use super::id::{MAX_TOPIC_CHARS, Name, RoomId, UserId};
use super::position::{Millis, Offset, Position};
use super::user::User;

/// Who can see a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Everyone can find, read and join it.
    Public,
    /// Only its members know that it is there.
    Private,
    /// Between two people, for ever.
    Dm,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Keeps order.
    Moderator,
    /// Decides.
    Owner,
}

/// What a room is called and for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its name. For a direct message empty: each side sees the other's.
    pub name: String,
    /// Who can see it.
    pub kind: Kind,
    /// What it is about; may be empty.
    pub topic: String,
    /// It takes no more messages.
    #[serde(default, skip_serializing_if = "is_false")]
    pub archived: bool,
    /// The two people of a direct message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<[User; 2]>,
}

impl Info {
    /// The room that is there from the start.
    #[must_use]
    pub fn lobby() -> Self {
        Self {
            name: "Lobby".into(),
            kind: Kind::Public,
            topic: "Everyone is here".into(),
            archived: false,
            between: None,
        }
    }

    /// The room as `viewer`, whose role is `role`, is told of it.
    #[must_use]
    pub fn described(&self, viewer: &UserId, room: &RoomId, role: Option<Role>) -> Described {
        let name = self.name_for(viewer).to_owned();
        let Self { kind, topic, archived, .. } = self;
        Described { room: room.clone(), name, kind: *kind, topic: topic.clone(), role, archived: *archived }
    }

    /// The name as `viewer` sees it: the other one's for a direct message.
    #[must_use]
    pub fn name_for(&self, viewer: &UserId) -> &str {
        match &self.between {
            Some([a, b]) if a.id == *viewer => b.name.as_str(),
            Some([a, _]) => a.name.as_str(),
            None => &self.name,
        }
    }
}

/// A person in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// Of a direct message: a stranger opened it, and this person has neither accepted it nor written in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub request: bool,
    /// Of a direct message: the other person has blocked this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub blocked: bool,
    /// Of a direct message: this person closed it when this was its newest entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Offset>,
}

impl Member {
    /// A person who just became a member.
    #[must_use]
    pub fn new(user: User, role: Role) -> Self {
        Self { user, role, request: false, blocked: false, closed_at: None }
    }

    /// Whether the room is hidden from this person's list while `top` is its newest entry.
    #[must_use]
    pub fn hides(&self, top: Offset) -> bool {
        self.closed_at.is_some_and(|closed_at| closed_at >= top)
    }
}

/// An invitation to a room that waits for the person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Invitation {
    /// The room.
    pub room: RoomId,
    /// What it was called then.
    pub name: String,
    /// Who can see it.
    pub kind: Kind,
    /// Who invites.
    pub by: User,
}

/// A link that lets people into a private room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// How many people it still lets in.
    pub uses: u32,
    /// After this it lets in nobody.
    pub expires_at: Millis,
    /// Who made it; links of earlier builds do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<User>,
}

impl Invite {
    /// The invite after one more use, if it still lets someone in at `now`.
    #[must_use]
    pub fn used(&self, now: Millis) -> Option<Self> {
        if now >= self.expires_at {
            return None;
        }
        let uses = self.uses.checked_sub(1)?;
        Some(Self { uses, expires_at: self.expires_at, by: self.by.clone() })
    }
}

/// A link that still lets people in, as members are told of it: without the secret that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InviteView {
    /// Its id, by which it is revoked. Nobody gets in by it.
    pub invite: String,
    /// Who made it, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<User>,
    /// How many people it still lets in.
    pub uses: u32,
    /// After this it lets in nobody.
    pub expires_at: Millis,
}

/// A room to be created.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub name: Name,
    /// Public or private; direct messages are opened, not created.
    pub kind: Kind,
    /// What it is about.
    pub topic: String,
}

impl Draft {
    /// What is wrong with the draft beyond its form, in words for the client.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.kind == Kind::Dm {
            return Some("a direct message is opened with dm:open");
        }
        topic_problem(&self.topic)
    }
}

/// What is wrong with a topic, in words for the client.
#[must_use]
pub fn topic_problem(topic: &str) -> Option<&'static str> {
    if topic.chars().nth(MAX_TOPIC_CHARS).is_some() {
        return Some("a topic must have at most 256 characters");
    }
    topic.chars().any(char::is_control).then_some("a topic holds a control character")
}

/// What is to be changed of a room: at least one of it.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// What it is called from now on.
    pub name: Option<Name>,
    /// What it is about from now on.
    pub topic: Option<String>,
    /// Whether it takes no more messages.
    pub archived: Option<bool>,
}

// For serde, which hands in references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a person is told of a room, wherever it is.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Described {
    /// Which.
    pub room: RoomId,
    /// Its name, for this person.
    pub name: String,
    /// Who can see it.
    pub kind: Kind,
    /// What it is about.
    pub topic: String,
    /// What this person is in it; absent for one who is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether it takes no more messages.
    pub archived: bool,
}

/// A room as one person sees it.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct View {
    /// What it is.
    #[serde(flatten)]
    pub about: Described,
    /// How many people are in it; for the lobby, how many are connected.
    pub members: u64,
}

/// A room of one's own, as a socket is told of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Membership {
    /// What it is.
    #[serde(flatten)]
    pub about: Described,
    /// From here on the socket receives the room.
    pub position: Position,
    /// How many messages of others one has not read.
    pub unread: u64,
    /// Of what the client has, up to where the log still holds the same, if the store lost what comes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_at: Option<Offset>,
    /// A direct message that a stranger opened, and that one has neither accepted nor answered.
    #[serde(skip_serializing_if = "is_false")]
    #[cfg_attr(test, schemars(default))]
    pub request: bool,
    /// A direct message that one closed, and in which nothing was said since.
    #[serde(skip_serializing_if = "is_false")]
    #[cfg_attr(test, schemars(default))]
    pub hidden: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_direct_message_is_hidden_until_something_is_said() {
        let user = User { id: UserId::parse("u1").unwrap(), name: Name::parse("Ann").unwrap(), guest: true };
        let member = Member { closed_at: Some(7), ..Member::new(user, Role::Member) };
        assert!(member.hides(7) && !member.hides(8));
        assert!(!Member { closed_at: None, ..member }.hides(0));
    }

    #[test]
    fn a_member_of_an_earlier_version_is_read() {
        let stored = r#"{"user":{"id":"u1","name":"Ann","guest":true},"role":"owner"}"#;
        let member: Member = serde_json::from_str(stored).unwrap();
        assert!(!member.request && !member.blocked && member.closed_at.is_none());
        assert_eq!(serde_json::to_string(&member).unwrap(), stored, "and written as that version wrote it");
    }

    #[test]
    fn an_invite_ends_with_its_uses_and_its_time() {
        let invite = Invite { uses: 1, expires_at: 100, by: None };
        let spent = invite.used(99).unwrap();
        assert_eq!(spent.uses, 0);
        assert_eq!(spent.used(99), None);
        assert_eq!(invite.used(100), None);
    }
}
