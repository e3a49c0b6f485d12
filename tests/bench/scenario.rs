//! What is done with a contender, to be measured.

mod idle;
mod talk;

use std::time::Duration;

use serde_json::Value;

use crate::contender::{self, Contender};
use crate::servers::Stage;
use crate::shape::{self, Shape};

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
    /// How long a server has to become small again after a burst.
    pub(crate) rest: Duration,
    /// How often what decides is run.
    pub(crate) rounds: usize,
}

impl Extent {
    /// Whole, or quick.
    pub(crate) fn of(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self { warm_up: seconds(1), measured: seconds(2), idle: 2_000, rest: seconds(20), rounds: 1 }
        } else {
            Self { warm_up: seconds(1), measured: seconds(4), idle: 19_500, rest: seconds(60), rounds: 3 }
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
}

impl Scenario {
    /// All, in the order in which they are run.
    pub(crate) fn all() -> Vec<Self> {
        shape::ALL.into_iter().map(Self::Talk).chain([Self::Idle]).collect()
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
        }
    }

    /// What the tables say.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Talk(shape) => shape.title.to_owned(),
            Self::Idle => "idle connections".to_owned(),
        }
    }

    /// Whom it is done with.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let all = contender::ALL.into_iter();
        match self {
            Self::Talk(_) => all.collect(),
            Self::Idle => all.filter(|contender| !contender.redis).collect(),
        }
    }

    /// How often it is run.
    pub(crate) fn rounds(&self, extent: &Extent) -> usize {
        match self {
            Self::Talk(_) => extent.rounds,
            Self::Idle => 1,
        }
    }

    /// Does it: an object of figures.
    pub(crate) fn run(&self, stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Talk(shape) => serde_json::to_value(talk::run(stage, contender, shape, extent)?)?,
            Self::Idle => serde_json::to_value(idle::run(stage, contender, extent)?)?,
        })
    }
}
