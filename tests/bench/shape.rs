//! Who talks how much.

use crate::crowd::Layout;

/// At what pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// So many messages a second, over all rooms.
    PerSecond(f64),
    /// As fast as the servers go, with so many of each room on their way.
    Full(usize),
}

/// A kind of talk, the same for all contenders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// As the tables have it.
    pub(crate) title: &'static str,
    pub(crate) layout: (usize, usize),
    /// Bytes of each text.
    pub(crate) text: usize,
    pub(crate) pace: Pace,
}

/// All of them, rooms by members.
pub(crate) const ALL: [Shape; 5] = [
    shape("big-fixed", "1 × 500, 20,000 deliveries/s", (1, 500), 200, Pace::PerSecond(40.0)),
    shape("small-fixed", "200 × 10, 10,000 deliveries/s", (200, 10), 200, Pace::PerSecond(1_000.0)),
    shape("big-full", "1 × 500, full speed", (1, 500), 200, Pace::Full(8)),
    shape("small-full", "200 × 10, full speed", (200, 10), 200, Pace::Full(2)),
    shape("big-4k", "1 × 500, 4 KB, 20,000 deliveries/s", (1, 500), 4_096, Pace::PerSecond(40.0)),
];

const fn shape(name: &'static str, title: &'static str, layout: (usize, usize), text: usize, pace: Pace) -> Shape {
    Shape { name, title, layout, text, pace }
}

impl Shape {
    /// Its rooms and members.
    pub(crate) fn layout(&self) -> Layout {
        let (rooms, members) = self.layout;
        Layout::apart(rooms, members)
    }
}
