//! The closed sets that labels take their values from.

use crate::domain::error::Code;
use crate::domain::trouble::Trouble;
use crate::lifecycle::NodeState;

/// A value of a label, one of a set that never grows while a node runs.
pub trait Word: Copy + PartialEq + 'static {
    /// Each of them, in the order of [`Word::place`].
    fn all() -> Vec<Self>;

    /// Its place among all.
    fn place(self) -> usize;

    /// How it stands in the metrics.
    fn as_str(self) -> &'static str;
}

/// The version of this node, as the value of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Version;

impl Word for Version {
    fn all() -> Vec<Self> {
        vec![Self]
    }

    fn place(self) -> usize {
        0
    }

    fn as_str(self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

macro_rules! label_values {
    ($($(#[doc = $about:literal])+ $set:ident { $($(#[doc = $meaning:literal])+ $name:ident => $word:expr,)+ })+) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $set {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl $set {
            /// The word in metrics and answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }

        impl Word for $set {
            fn all() -> Vec<Self> {
                vec![$(Self::$name,)+]
            }

            fn place(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }
    )+};
}

label_values! {
    /// Why a handshake was refused before it began.
    HandshakeRefusal {
        /// The broker can't be reached.
        Unavailable => "unavailable",
        /// The node keeps the sockets that it has and takes no others.
        Cordoned => NodeState::Cordoned.as_str(),
        /// The node is about to stop.
        Draining => NodeState::Draining.as_str(),
        /// The node has all the sockets it takes.
        Full => "full",
        /// The page's origin is not allowed.
        Origin => "origin",
        /// The client's address makes too many handshakes.
        Address => "address",
    }

    /// What became of a guest who said or changed something for the first time.
    FirstWrite {
        /// The guest was stored.
        Stored => "stored",
        /// Too many new guests came, from the guest's address or to the node.
        RateLimited => "rate_limited",
        /// The store is almost full.
        Full => "full",
    }

    /// Why the node ended a TCP connection outside of a request.
    Cut {
        /// The head of a request was not complete in time.
        Head => "head_timeout",
        /// No request came for a long time.
        Idle => "idle",
        /// Another connection needed its place.
        Displaced => "displaced",
        /// All places were taken by connections that are in use.
        Refused => "refused",
    }

    /// How a client is connected.
    Transport {
        /// By a WebSocket.
        Websocket => "websocket",
        /// By long polling.
        Polling => "polling",
    }

    /// What a client asked for.
    Request {
        /// To say something: `message:send`.
        Send => "send",
        /// All else.
        Other => "other",
    }

    /// How a socket's session came to be.
    Opened {
        /// A guest who was not here before.
        New => "new",
        /// Somebody who came back: a reconnect.
        Resumed => "resumed",
    }

    /// Why a socket ended. All but those that left or were revoked come back.
    Ended {
        /// The client said goodbye.
        Left => "left",
        /// The client, or what is between, closed the connection.
        Closed => "closed",
        /// The connection broke, or what came over it could not be read.
        Broken => "broken",
        /// The client answered no ping in time.
        Silent => "silent",
        /// The node ended it so that it goes on with another node.
        HandedOver => "handed_over",
        /// The node stopped.
        Stopped => "stopped",
        /// Its session was revoked.
        Revoked => "revoked",
    }

    /// What became of a client's position in a room when it came back.
    Recovery {
        /// It got all that it had missed.
        Complete => "complete",
        /// It had missed too much for events, and was told to page through the history.
        Gap => "gap",
        /// The log does not go back so far, or it lost what the client has.
        Refused => "refused",
    }

    /// What a socket is to the feed of a room.
    Pace {
        /// It takes each event when it comes.
        Live => "live",
        /// It was just attached, or is slower than the room.
        Behind => "behind",
    }

    /// What the broker is asked for.
    Verb {
        /// To change a topic and add to its log.
        Commit => "commit",
        /// To read a log.
        Read => "read",
        /// To say where logs end.
        Tops => "tops",
        /// To read, list or count fields.
        Fields => "fields",
        /// To keep a topic alive.
        Touch => "touch",
        /// To keep or say what is read.
        Marks => "marks",
        /// To tell something that passes.
        Signal => "signal",
        /// To hear topics, or no longer.
        Subscribe => "subscribe",
        /// To keep or say who is there.
        Presence => "presence",
        /// To add to what is known of what goes on, or to say it.
        Activity => "activity",
    }

    /// What became of a span that was to be told to the collector.
    Told {
        /// The collector has it.
        Exported => "exported",
        /// The collector did not take it, or could not be reached.
        Failed => "failed",
        /// Too many waited already.
        Dropped => "dropped",
    }

    /// Why the broker did not do it.
    BrokerFailure {
        /// It can't be reached, or gave no answer in time.
        Unavailable => "unavailable",
        /// What it holds can't be read.
        Corrupt => "corrupt",
    }
}

impl Word for NodeState {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn place(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

impl Word for Trouble {
    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn place(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

/// How a request was answered; `None` is a success.
impl Word for Option<Code> {
    fn all() -> Vec<Self> {
        std::iter::once(None).chain(Code::ALL.map(Some)).collect()
    }

    fn place(self) -> usize {
        self.map_or(0, |code| code as usize + 1)
    }

    fn as_str(self) -> &'static str {
        self.map_or("ok", Code::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_place<W: Word + std::fmt::Debug>() {
        let all = W::all();
        let places: Vec<usize> = all.iter().map(|word| word.place()).collect();
        assert_eq!(places, (0..all.len()).collect::<Vec<_>>(), "{all:?}");
    }

    #[test]
    fn each_word_is_where_its_place_says() {
        in_place::<HandshakeRefusal>();
        in_place::<Verb>();
        in_place::<NodeState>();
        in_place::<Trouble>();
        in_place::<Option<Code>>();
    }
}
