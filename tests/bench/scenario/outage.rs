//! Redis is away for two of six seconds.

use std::time::Duration;

use serde::Serialize;

use crate::contender::Contender;
use crate::crowd::{Crowd, Habits, Layout, Timed};
use crate::servers::Stage;

use super::Extent;

const ROOMS: usize = 50;
const MEMBERS: usize = 10;

/// Messages a second.
const RATE: f64 = 200.0;

/// Each third: with Redis, without, and with it again.
const THIRD: Duration = Duration::from_secs(2);

/// How long what was held up may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// In what way it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    /// It answers nobody, and keeps its connections.
    Stopped,
    /// It is killed, and started again with what its file holds.
    Killed,
}

/// What came of the messages.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    sent: u64,
    acked: u64,
    refused: u64,
    /// How often one was refused for now, and sent again.
    put_off: u64,
    /// Of all deliveries that were due, those that came.
    arrived_share: f64,
    /// Of those that were due of acked messages, those that never came.
    lost_acked: u64,
    lost: u64,
    unanswered: u64,
    duplicated: u64,
    disordered: u64,
    ended: u64,
    /// The longest time in which nobody heard anything.
    silence_seconds: f64,
    /// Of what was sent after all that, the share that came.
    arrived_share_afterwards: f64,
}

/// Talks all the while.
pub(super) fn run(stage: &Stage, contender: &Contender, away: Away, extent: &Extent) -> anyhow::Result<Figures> {
    let mut servers = stage.start(contender, contender.processes)?;
    let mut crowd = Crowd::new(contender.dialect(), Layout::apart(ROOMS, MEMBERS), servers.addrs.clone(), 200)?;
    crowd.habits = Habits { retries: true, ..Habits::default() };
    crowd.arrive()?;
    crowd.pace(RATE);
    crowd.run_for(extent.warm_up)?;
    crowd.measure(Timed::Deliveries);
    crowd.run_for(THIRD)?;
    servers.redis()?.leave(away == Away::Killed)?;
    crowd.run_for(THIRD)?;
    servers.redis()?.come_back()?;
    crowd.run_for(THIRD)?;
    crowd.drain(PATIENCE)?;
    let (tally, faults) = (crowd.tally(), crowd.ledger().faults());

    crowd.pace(RATE);
    crowd.run_for(extent.warm_up)?;
    crowd.drain(PATIENCE)?;
    let then = crowd.tally();
    let share = |delivered: u64, sent: u64| delivered as f64 / (sent as f64 * MEMBERS as f64).max(1.0);
    Ok(Figures {
        sent: tally.sent,
        acked: tally.acked,
        refused: tally.refused,
        put_off: tally.put_off,
        arrived_share: share(tally.delivered - faults.duplicated, tally.sent),
        lost_acked: faults.lost_acked,
        lost: faults.lost,
        unanswered: faults.unanswered,
        duplicated: faults.duplicated,
        disordered: faults.disordered,
        ended: tally.ended,
        silence_seconds: tally.silence as f64 / 1e9,
        arrived_share_afterwards: share(then.delivered - tally.delivered, then.sent - tally.sent),
    })
}
