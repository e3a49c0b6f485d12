//! Everyone at once: who connects for the first time, and who comes back after a node's death.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::contender::{Contender, Kind};
use crate::crowd::{Crowd, Habits, Layout, Timed};
use crate::servers::Stage;

use super::Extent;

/// Members of a room, in the storm of those who are new.
const MEMBERS: usize = 10;

/// How many rooms one person makes: a person may be in 500.
const ROOMS_EACH: usize = 100;

/// Messages a second that the others go on sending meanwhile.
const RATE: f64 = 200.0;

/// How long all may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it takes at most until everything came: what the dead node did not answer is never answered.
const REST: Duration = Duration::from_secs(3);

/// What a storm of new clients took.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Joined {
    clients: usize,
    /// Until the last was in its room.
    seconds: f64,
    p50_ms: f64,
    /// CPU of the servers for each.
    cpu_us_per_client: f64,
    ended: u64,
}

/// All connect at once and join a room of ten.
pub(super) fn join(stage: &Stage, contender: &Contender, extent: &Extent) -> anyhow::Result<Joined> {
    let servers = stage.start(contender, contender.processes)?;
    let rooms = extent.storm / MEMBERS;
    let new = |layout| Crowd::new(contender.dialect(), layout, servers.addrs.clone(), 200);
    let founders = Layout { clients: rooms.div_ceil(ROOMS_EACH), rooms, members: 1, senders: 1 };
    let ids = {
        let mut founders = new(founders)?;
        founders.arrive()?;
        founders.room_ids()
    };
    let mut crowd = new(Layout::apart(rooms, MEMBERS))?;
    crowd.know_rooms(ids);
    // What the founders left behind is over.
    crowd.run_for(Duration::from_secs(1))?;
    let used = servers.used()?;
    crowd.measure(Timed::Arrivals);
    crowd.storm()?;
    let times = crowd.measured();
    let clients = rooms * MEMBERS;
    Ok(Joined {
        clients,
        seconds: times.longest_millis() / 1e3,
        p50_ms: times.millis(0.5),
        cpu_us_per_client: (servers.used()?.servers - used.servers) * 1e6 / clients as f64,
        ended: crowd.tally().ended,
    })
}

/// Half of a crowd in so many rooms loses its node, and comes back to the other, where the other half goes on talking.
pub(super) fn come_back(
    stage: &Stage,
    contender: &Contender,
    rooms: usize,
    extent: &Extent,
) -> anyhow::Result<Map<String, Value>> {
    assert_eq!(contender.kind, Kind::Ours, "only our clients come back to where they were");
    let mut servers = stage.start(contender, contender.processes)?;
    let back = extent.storm;
    let layout = Layout::apart(rooms, 2 * back / rooms);
    let mut crowd = Crowd::new(contender.dialect(), layout, servers.addrs.clone(), 200)?;
    crowd.habits = Habits { returns: true, ..Habits::default() };
    crowd.arrive()?;
    crowd.pace(RATE);
    crowd.run_for(extent.warm_up)?;

    let commands = servers.commands()?;
    crowd.measure(Timed::Arrivals);
    servers.nodes.remove(0).kill();
    crowd.until("all are back", PATIENCE, |crowd| crowd.tally().resumed as usize >= back)?;
    let times = crowd.measured();
    let commands_then = servers.commands()?;
    crowd.run_for(extent.warm_up)?;
    crowd.drain(REST)?;

    let (tally, faults) = (crowd.tally(), crowd.ledger().faults());
    let mut figures = Map::new();
    let mut say = |name: &str, value: f64| figures.insert(name.to_owned(), value.into());
    say("clients", back as f64);
    say("rooms", rooms as f64);
    say("seconds", times.longest_millis() / 1e3);
    say("p50_ms", times.millis(0.5));
    say("recovered", tally.recovered as f64);
    say("sent", tally.sent as f64);
    say("delivered", tally.delivered as f64);
    say("lost", faults.lost as f64);
    say("lost_acked", faults.lost_acked as f64);
    say("unanswered", faults.unanswered as f64);
    say("duplicated", faults.duplicated as f64);
    say("disordered", faults.disordered as f64);
    say("gaps", tally.gaps as f64);
    for (name, calls) in commands_then {
        let before = commands.iter().find(|(before, _)| *before == name).map_or(0, |(_, calls)| *calls);
        if calls > before {
            say(&format!("redis_{name}"), (calls - before) as f64);
        }
    }
    Ok(figures)
}
