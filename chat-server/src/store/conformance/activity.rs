//! What goes on in a chat.

use super::*;
use crate::domain::activity::{Activity, DAY_MS, HOUR_MS, Hour, Report};

on_all!(
    activity_of_all_nodes_is_summed_and_users_count_once,
    a_report_covers_the_requested_hours_and_days,
    a_new_store_reports_no_activity,
);

fn said(by: &str, connections: u64, messages: u64, users: &[&str], rooms: &[&str]) -> Activity {
    Activity {
        node: node(by),
        connections,
        messages,
        users: users.iter().map(|who| user(who)).collect(),
        rooms: rooms.iter().map(|room| RoomId::parse(room).unwrap()).collect(),
    }
}

/// The last two hours and days; the hour or day may end meanwhile.
async fn recent(node: &Node) -> (Hour, u64, u64) {
    let Report { hours, days, .. } = node.store.activity(2, 2).await.unwrap();
    let sum = hours.into_iter().fold(Hour::default(), |sum, hour| Hour {
        start: hour.start,
        messages: sum.messages + hour.messages,
        rooms: sum.rooms.max(hour.rooms),
        peak_connections: sum.peak_connections.max(hour.peak_connections),
    });
    let active = days.iter().map(|day| day.active_users).max().unwrap();
    (sum, active, days.last().unwrap().active_users_week)
}

async fn activity_of_all_nodes_is_summed_and_users_count_once(stage: Stage) {
    let node = stage.node().await;
    for activity in [
        said("a", 10, 3, &["u1", "u2"], &["r1"]),
        said("b", 5, 0, &["u2"], &[]),
        said("a", 4, 2, &["u1", "u3"], &["r1", "r2"]),
    ] {
        node.store.record(&activity).await.unwrap();
    }
    let (hour, day, week) = recent(&node).await;
    assert_eq!((hour.messages, hour.rooms, hour.peak_connections), (5, 2, 15));
    assert_eq!((day, week), (3, 3));
}

async fn a_report_covers_the_requested_hours_and_days(stage: Stage) {
    let node = stage.node().await;
    // More than a script's stack holds.
    let many: Vec<String> = (0..2_500).map(|number| format!("u{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    node.store.record(&said("a", 1, 1, &many, &["r1"])).await.unwrap();
    let report = node.store.activity(5, 3).await.unwrap();
    let (hours, days): (Vec<Millis>, Vec<Millis>) =
        (report.hours.iter().map(|hour| hour.start).collect(), report.days.iter().map(|day| day.start).collect());
    assert_eq!(hours, (0..5).rev().map(|back| (report.at / HOUR_MS - back) * HOUR_MS).collect::<Vec<_>>());
    assert_eq!(days, (0..3).rev().map(|back| (report.at / DAY_MS - back) * DAY_MS).collect::<Vec<_>>());
    let week = report.days.last().unwrap().active_users_week;
    assert!((2_400..=2_600).contains(&week), "an estimate: {week}");
}

async fn a_new_store_reports_no_activity(stage: Stage) {
    let node = stage.node().await;
    let (hour, day, week) = recent(&node).await;
    assert_eq!((hour.messages, hour.rooms, hour.peak_connections, day, week), (0, 0, 0, 0, 0));
}
