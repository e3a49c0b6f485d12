//! What the strangers do.

/// Something that a stranger does to a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Attack {
    /// Makes private rooms and adds people to them.
    PushRooms,
    /// Many guests, made for this only, write to one person.
    PushDms,
    /// Makes rooms of long names, and leaves them.
    CreateAndLeave,
    /// Joins and leaves a room in which people talk.
    JoinAndLeave,
    /// Opens sessions of the transport and says no more.
    Handshakes,
    /// Asks for sessions of long names that are not open.
    BadSids,
    /// Says nothing, half a head or half a body.
    Unfinished,
    /// Asks for large pages on many sockets and does not read them.
    SlowReaders,
    /// Searches for rooms that are not there.
    UnmatchedLists,
    /// Takes names that look like those of others.
    LookAlikes,
    /// Types, and does not.
    Typing,
    /// Marks rooms as read.
    ReadMarks,
    /// Reads history.
    Histories,
    /// Comes back with the token of a session, again and again.
    Storm,
    /// Makes links into a room.
    Links,
    /// Comes with tokens of sessions that it made up.
    ForgedSessions,
    /// Asks for what is not served, by hosts that are not the server's.
    StrangeRequests,
}

impl Attack {
    /// All of them. Of the first twenty strangers at seven addresses, those that make many handshakes have an address
    /// each.
    pub(crate) const ALL: [Self; 17] = [
        Self::PushRooms,
        Self::PushDms,
        Self::CreateAndLeave,
        Self::JoinAndLeave,
        Self::Handshakes,
        Self::BadSids,
        Self::Unfinished,
        Self::SlowReaders,
        Self::UnmatchedLists,
        Self::LookAlikes,
        Self::Typing,
        Self::ReadMarks,
        Self::Histories,
        Self::Storm,
        Self::Links,
        Self::ForgedSessions,
        Self::StrangeRequests,
    ];

    /// How the chat refuses it: one of these is what a stranger is told.
    pub(crate) fn refusals(self) -> &'static [&'static str] {
        match self {
            Self::PushRooms | Self::CreateAndLeave | Self::JoinAndLeave | Self::Links => &["rate_limited changes"],
            Self::PushDms => &["rate_limited received"],
            Self::Handshakes | Self::Storm => &["503"],
            Self::BadSids => &["400"],
            Self::Unfinished => &["408", "closed"],
            Self::SlowReaders => &["a part of the page"],
            Self::UnmatchedLists | Self::ReadMarks | Self::Histories => &["rate_limited queries"],
            Self::LookAlikes => &["bad_request", "conflict"],
            Self::Typing => &["rate_limited messages"],
            Self::ForgedSessions => &["unauthenticated"],
            Self::StrangeRequests => &["421"],
        }
    }
}
