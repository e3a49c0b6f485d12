//! What a client says to a server, and what it hears of it.

use std::io::Write;

use crate::stamp::Stamp;

/// The language that a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours: docs/protocol.md.
    Chat,
    /// The peers': rooms by name, and a message goes to all members.
    Bare,
}

/// The acks of messages are counted from here on; below are those that make and join rooms.
const FIRST_MESSAGE: u64 = 1 << 32;

/// What an ack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To make the room of this number.
    Create(u32),
    /// To join it.
    Join(u32),
    /// The end of its history.
    History(u32),
    /// A page of its log.
    Log(u32),
    /// To take the message of this number among all that the generator sent.
    Message(u32),
}

impl Asked {
    /// The number that the server is to answer with.
    pub(crate) fn ack(self) -> u64 {
        match self {
            Self::Create(room) => u64::from(room) * 4,
            Self::Join(room) => u64::from(room) * 4 + 1,
            Self::History(room) => u64::from(room) * 4 + 2,
            Self::Log(room) => u64::from(room) * 4 + 3,
            Self::Message(number) => FIRST_MESSAGE + u64::from(number),
        }
    }

    fn of(ack: u64) -> Option<Self> {
        if let Some(number) = ack.checked_sub(FIRST_MESSAGE) {
            return u32::try_from(number).ok().map(Self::Message);
        }
        let room = u32::try_from(ack / 4).ok()?;
        Some(match ack % 4 {
            0 => Self::Create(room),
            1 => Self::Join(room),
            2 => Self::History(room),
            _ => Self::Log(room),
        })
    }
}

/// A packet of Engine.IO, of which the generator has to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The transport is open.
    Open,
    /// To be answered with a pong.
    Ping,
    /// The namespace is open.
    Connected,
    /// The namespace is not to be had.
    Refused,
    /// An answer, with what it says.
    Ack(Asked, &'a [u8]),
    /// `session`, with all that it says.
    Session(&'a [u8]),
    /// Entries of a room that were not delivered: which.
    Gap(&'a [u8]),
    /// Another event.
    Event(&'a [u8]),
    /// Anything else.
    Other,
}

impl<'a> Packet<'a> {
    /// What these bytes are.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        match bytes {
            [b'4', b'2', event @ ..] => {
                let payload = |name: &[u8]| event.strip_prefix(name)?.strip_suffix(b"]");
                if let Some(session) = payload(b"[\"session\",") {
                    Self::Session(session)
                } else if let Some(gap) = payload(b"[\"gap\",") {
                    Self::Gap(gap)
                } else {
                    Self::Event(event)
                }
            }
            [b'4', b'3', rest @ ..] => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let number = rest[..digits]
                    .iter()
                    .fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
                Asked::of(number).map_or(Self::Other, |asked| Self::Ack(asked, &rest[digits..]))
            }
            [b'2', ..] => Self::Ping,
            [b'0', ..] => Self::Open,
            [b'4', b'0', ..] => Self::Connected,
            [b'4', b'4', ..] => Self::Refused,
            _ => Self::Other,
        }
    }
}

impl Dialect {
    /// Appends what opens the namespace: as a new guest, or with this `auth`.
    pub(crate) fn connect(self, out: &mut Vec<u8>, number: usize, auth: Option<&str>) {
        let _ = match (self, auth) {
            (Self::Bare, _) => write!(out, "40"),
            (Self::Chat, Some(auth)) => write!(out, "40{auth}"),
            (Self::Chat, None) => write!(out, "40{{\"name\":\"guest {number}\"}}"),
        };
    }

    /// Appends what makes a room; only our server has to be told.
    pub(crate) fn create(out: &mut Vec<u8>, room: u32) {
        let ack = Asked::Create(room).ack();
        let _ = write!(out, "42{ack}[\"room:create\",{{\"name\":\"room {room}\",\"kind\":\"public\"}}]");
    }

    /// Appends what joins a room.
    pub(crate) fn join(self, out: &mut Vec<u8>, room: u32, id: &str) {
        let ack = Asked::Join(room).ack();
        let _ = match self {
            Self::Chat => write!(out, "42{ack}[\"room:join\",{{\"room\":\"{id}\",\"limit\":1}}]"),
            Self::Bare => write!(out, "42{ack}[\"join\",\"{id}\"]"),
        };
    }

    /// Appends a question for the end of a room's history.
    pub(crate) fn history(out: &mut Vec<u8>, room: u32, id: &str) {
        let ack = Asked::History(room).ack();
        let _ = write!(out, "42{ack}[\"history:get\",{{\"room\":\"{id}\",\"limit\":50}}]");
    }

    /// Appends a question for what comes after this entry of a room's log.
    pub(crate) fn log(out: &mut Vec<u8>, room: u32, id: &str, epoch: &str, after: u64) {
        let ack = Asked::Log(room).ack();
        let _ = write!(
            out,
            "42{ack}[\"log:get\",{{\"room\":\"{id}\",\"epoch\":\"{epoch}\",\"after\":{after},\"limit\":100}}]"
        );
    }

    /// Appends a message that nobody counts, to our server.
    pub(crate) fn hello(out: &mut Vec<u8>, id: &str, nonce: usize) {
        let _ =
            write!(out, "42[\"message:send\",{{\"room\":\"{id}\",\"nonce\":\"hello {nonce}\",\"text\":\"hello\"}}]");
    }

    /// Appends a message, which is the `number`th of all.
    pub(crate) fn message(self, out: &mut Vec<u8>, number: u32, id: &str, stamp: Stamp, length: usize) {
        let ack = Asked::Message(number).ack();
        let _ = match self {
            Self::Chat => {
                write!(out, "42{ack}[\"message:send\",{{\"room\":\"{id}\",\"nonce\":\"{number}\",\"text\":\"")
            }
            Self::Bare => write!(out, "42[\"message\",{{\"room\":\"{id}\",\"text\":\""),
        };
        stamp.write(out, length);
        out.extend(b"\"}]");
    }
}

/// Whether our server took what it acks. What people wrote can't look like this: in a text, quotes are escaped.
pub(crate) fn is_ok(ack: &[u8]) -> bool {
    let ok = b"\"ok\":true";
    ack.windows(ok.len()).any(|window| window == ok)
}

/// Whether our server would perhaps take it later.
pub(crate) fn is_temporary(ack: &[u8]) -> bool {
    let temporary = b"\"temporary\":true";
    ack.windows(temporary.len()).any(|window| window == temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_says_what_it_is_for() {
        for asked in [Asked::Create(7), Asked::Join(9_999), Asked::History(0), Asked::Log(1), Asked::Message(123_456)] {
            let text = format!("43{}[{{\"ok\":true}}]", asked.ack());
            assert_eq!(Packet::of(text.as_bytes()), Packet::Ack(asked, b"[{\"ok\":true}]"));
        }
    }

    #[test]
    fn packets_are_known_by_their_first_bytes() {
        for (text, expected) in [
            ("0{\"sid\":\"a\"}", Packet::Open),
            ("2", Packet::Ping),
            ("40{\"sid\":\"a\"}", Packet::Connected),
            ("44{\"message\":\"bad_request\"}", Packet::Refused),
            ("42[\"session\",{\"user\":1}]", Packet::Session(b"{\"user\":1}")),
            ("42[\"gap\",{}]", Packet::Gap(b"{}")),
            ("42[\"message\",\"a\"]", Packet::Event(b"[\"message\",\"a\"]")),
            ("6", Packet::Other),
        ] {
            assert_eq!(Packet::of(text.as_bytes()), expected);
        }
    }

    #[test]
    fn an_ack_is_ok_only_if_it_says_so() {
        assert!(is_ok(b"[{\"at\":1,\"id\":\"a\",\"ok\":true}]"));
        assert!(!is_ok(b"[{\"error\":{\"code\":\"unavailable\",\"message\":\"\\\"ok\\\":true\"},\"ok\":false}]"));
    }
}
