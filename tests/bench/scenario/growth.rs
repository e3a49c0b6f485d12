//! The same talk, with more of everything.

use crate::contender::Contender;
use crate::crowd::{Crowd, Layout};
use crate::dialect::Dialect;
use crate::servers::Stage;
use crate::shape::Pace;

use super::{Extent, talk};

/// Deliveries a second, so that one is as busy as the other.
const DELIVERIES: f64 = 10_000.0;

/// Members of a room, where it is not these that grow.
const MEMBERS: usize = 10;

/// Above so many, members join by themselves first.
const MANY: usize = 1_000;

/// What there is more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Nodes, with members of each of 200 rooms on all of them.
    Nodes(usize),
    /// Nodes, with all members of a room on one of them.
    NodesApart(usize),
    /// Members of the one room.
    Members(usize),
    /// Rooms of five, of a thousand people at most.
    Rooms(usize),
}

impl Growth {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let nodes = 1..=5;
        let members = [10, 100, 1_000, 10_000];
        let rooms = [1, 10, 100, 1_000, 10_000];
        nodes
            .clone()
            .map(Self::Nodes)
            .chain(nodes.map(Self::NodesApart))
            .chain(members.into_iter().map(Self::Members))
            .chain(rooms.into_iter().map(Self::Rooms))
            .collect()
    }

    /// What `--only` knows it by.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.kind(), self.size())
    }

    /// What grows.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Nodes(_) => "nodes",
            Self::NodesApart(_) => "nodes-apart",
            Self::Members(_) => "members",
            Self::Rooms(_) => "rooms",
        }
    }

    /// How much of it there is.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Nodes(size) | Self::NodesApart(size) | Self::Members(size) | Self::Rooms(size) => size,
        }
    }

    fn layout(self) -> Layout {
        match self {
            Self::Nodes(_) | Self::NodesApart(_) => Layout::apart(200, MEMBERS),
            Self::Members(members) => Layout::apart(1, members),
            Self::Rooms(rooms) => {
                let members = MEMBERS / 2;
                Layout { clients: 1_000.min(rooms * members), rooms, members, senders: members }
            }
        }
    }
}

/// Measures one size.
pub(super) fn run(
    stage: &Stage,
    contender: &Contender,
    growth: Growth,
    extent: &Extent,
) -> anyhow::Result<talk::Figures> {
    let processes = match growth {
        Growth::Nodes(count) | Growth::NodesApart(count) => count,
        Growth::Members(_) | Growth::Rooms(_) => contender.processes,
    };
    let servers = stage.start(contender, processes)?;
    let layout = growth.layout();
    let mut crowd = Crowd::new(contender.dialect(), layout, servers.addrs.clone(), 200)?;
    if matches!(growth, Growth::NodesApart(_)) {
        crowd.keep_rooms_together();
    }
    if layout.members > MANY && contender.dialect() == Dialect::Chat {
        crowd.arrive_apart()?;
    } else {
        crowd.arrive()?;
    }
    // As many messages in rooms of five as in rooms of ten.
    let rate = DELIVERIES / layout.members.max(MEMBERS) as f64;
    talk::measure(&servers, &mut crowd, Pace::PerSecond(rate), extent)
}
