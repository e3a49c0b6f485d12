//! Nobody talks: what a connection takes, with a session and a room, and what of a burst stays.

use std::time::Duration;

use serde::Serialize;

use crate::contender::{Contender, Kind};
use crate::crowd::{Crowd, Layout};
use crate::servers::{Servers, Stage};

use super::Extent;

/// Members of each room.
const MEMBERS: usize = 10;

/// How long what was needed to connect may take to be given back.
const SETTLE: Duration = Duration::from_secs(5);

/// How long everyone talks at full speed.
const BURST: Duration = Duration::from_secs(5);

/// KiB of the servers' memory by connection, their memory without any left out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    connections: usize,
    kib_per_connection: f64,
    /// Only of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    kib_after_burst: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kib_after_rest: Option<f64>,
}

/// Connects as many as asked for, and weighs.
pub(super) fn run(stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<Figures> {
    let servers = stage.start(contender, contender.processes)?;
    let without = servers.resident_kib()?;
    let layout = Layout::apart(extent.idle / MEMBERS, MEMBERS);
    let mut crowd = Crowd::new(contender.dialect(), layout, servers.addrs.clone(), 200)?;
    crowd.arrive()?;
    crowd.run_for(SETTLE)?;
    let each = |servers: &Servers| -> anyhow::Result<f64> {
        Ok(servers.resident_kib()?.saturating_sub(without) as f64 / layout.clients as f64)
    };
    let mut figures =
        Figures { connections: layout.clients, kib_per_connection: each(&servers)?, ..Figures::default() };
    if contender.kind == Kind::Ours {
        crowd.full_speed(2);
        crowd.run_for(BURST)?;
        crowd.drain(BURST)?;
        figures.kib_after_burst = Some(each(&servers)?);
        crowd.run_for(extent.rest)?;
        figures.kib_after_rest = Some(each(&servers)?);
    }
    Ok(figures)
}
