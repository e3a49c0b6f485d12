//! What is done with a contender, to be measured.

mod growth;
mod idle;
mod outage;
mod read;
mod storm;
mod talk;

use std::time::Duration;

use serde_json::Value;

use crate::contender::{self, Contender, Kind};
use crate::servers::Stage;
use crate::shape::{self, Shape};

pub(crate) use growth::Growth;
pub(crate) use outage::Away;
pub(crate) use talk::Figures as Talk;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Before anything counts.
    pub(crate) warm_up: Duration,
    /// How long a run counts.
    pub(crate) measured: Duration,
    /// How many connections idle, as many as open files are allowed at most.
    pub(crate) idle: usize,
    /// How many connect at once, or lose their node.
    pub(crate) storm: usize,
    /// How long a server has to become small again after a burst.
    pub(crate) rest: Duration,
    /// How often what decides is run.
    pub(crate) rounds: usize,
    /// Whether what says little more than something else is left out.
    pub(crate) quick: bool,
}

impl Extent {
    /// Whole, or quick.
    pub(crate) fn of(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self {
                warm_up: seconds(1),
                measured: Duration::from_millis(1_500),
                idle: 2_000,
                storm: 1_000,
                rest: seconds(20),
                rounds: 1,
                quick,
            }
        } else {
            Self {
                warm_up: seconds(1),
                measured: seconds(4),
                idle: 19_500,
                storm: 5_000,
                rest: seconds(60),
                rounds: 3,
                quick,
            }
        }
    }
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scenario {
    /// People talk, in a shape that the tables compare.
    Talk(Shape),
    /// Nobody talks: what a connection takes.
    Idle,
    /// Thousands connect at once.
    JoinStorm,
    /// A node dies, and its thousands come back to another; with so many rooms in all.
    ReconnectStorm(usize),
    /// Everyone reads what was said before.
    History,
    /// Some read nothing for a while.
    SlowReaders,
    /// Redis is away.
    Outage(Away),
    /// There is more of something.
    Growth(Growth),
}

impl Scenario {
    /// All, in the order in which they are run.
    pub(crate) fn all() -> Vec<Self> {
        let mut all: Vec<_> = shape::ALL.into_iter().map(Self::Talk).collect();
        all.extend([Self::Idle, Self::JoinStorm, Self::ReconnectStorm(100), Self::ReconnectStorm(1_000)]);
        all.extend([Self::History, Self::SlowReaders, Self::Outage(Away::Stopped), Self::Outage(Away::Killed)]);
        all.extend(Growth::all().into_iter().map(Self::Growth));
        all
    }

    /// Whether it is left out where time is short, unless asked for.
    pub(crate) fn is_long(&self) -> bool {
        match self {
            Self::Outage(away) => *away == Away::Stopped,
            Self::Growth(Growth::Nodes(size)) => size % 2 == 0,
            Self::Growth(Growth::NodesApart(size)) => *size < 5,
            Self::Growth(growth) => !matches!(growth.size(), 10 | 1_000),
            _ => false,
        }
    }

    /// The one of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name() == name)
    }

    /// What `--only` knows it by.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Talk(shape) => shape.name.to_owned(),
            Self::Idle => "idle".to_owned(),
            Self::JoinStorm => "join-storm".to_owned(),
            Self::ReconnectStorm(rooms) => format!("reconnect-storm-{rooms}"),
            Self::History => "history".to_owned(),
            Self::SlowReaders => "slow-readers".to_owned(),
            Self::Outage(Away::Stopped) => "redis-stopped".to_owned(),
            Self::Outage(Away::Killed) => "redis-killed".to_owned(),
            Self::Growth(growth) => growth.name(),
        }
    }

    /// What the tables say.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Talk(shape) => shape.title.to_owned(),
            Self::Idle => "idle connections".to_owned(),
            Self::JoinStorm => "all connect at once".to_owned(),
            Self::ReconnectStorm(rooms) => format!("a node dies, {rooms} rooms"),
            Self::History => "history reads".to_owned(),
            Self::SlowReaders => "slow readers".to_owned(),
            Self::Outage(Away::Stopped) => "Redis stopped for 2 of 6 s".to_owned(),
            Self::Outage(Away::Killed) => "Redis killed for 2 of 6 s".to_owned(),
            Self::Growth(growth) => growth.name(),
        }
    }

    /// Whom it is done with.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let is_ours = |contender: &Contender| contender.kind == Kind::Ours;
        let is_in = |contender: &Contender| match self {
            Self::Talk(_) => true,
            Self::Idle | Self::JoinStorm | Self::SlowReaders => !contender.redis,
            Self::ReconnectStorm(_) => is_ours(contender) && contender.processes == 2,
            Self::History => is_ours(contender) && contender.processes <= 2,
            Self::Outage(_) => contender.redis && contender.processes == 2,
            Self::Growth(growth) => {
                // The same kind of chat whatever its size, and beside it what tells all nodes everything.
                is_ours(contender) && contender.processes == 2
                    || matches!(growth, Growth::Nodes(_)) && contender.name == "node-redis"
            }
        };
        contender::ALL.into_iter().filter(is_in).collect()
    }

    /// How often it is run.
    pub(crate) fn rounds(&self, extent: &Extent) -> usize {
        match self {
            Self::Talk(_) | Self::JoinStorm => extent.rounds,
            _ => 1,
        }
    }

    /// Does it: an object of figures.
    pub(crate) fn run(&self, stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<Value> {
        Ok(match *self {
            Self::Talk(shape) => serde_json::to_value(talk::run(stage, contender, &shape, extent)?)?,
            Self::Idle => serde_json::to_value(idle::run(stage, contender, extent)?)?,
            Self::JoinStorm => serde_json::to_value(storm::join(stage, contender, extent)?)?,
            Self::ReconnectStorm(rooms) => storm::come_back(stage, contender, rooms, extent)?.into(),
            Self::History => serde_json::to_value(read::history(stage, contender, extent)?)?,
            Self::SlowReaders => serde_json::to_value(read::slow(stage, contender, extent)?)?,
            Self::Outage(away) => serde_json::to_value(outage::run(stage, contender, away, extent)?)?,
            Self::Growth(growth) => serde_json::to_value(growth::run(stage, contender, growth, extent)?)?,
        })
    }
}
