//! [`ActivityStore`] on Redis.

use async_trait::async_trait;

use super::replies::number;
use super::store::RedisStore;
use crate::domain::activity::{Activity, CONNECTIONS_LIVE_MS, DAY_MS, Day, HOUR_MS, Hour, Report};
use crate::store::{ActivityStore, StoreError};

#[async_trait]
impl ActivityStore for RedisStore {
    async fn record(&self, activity: &Activity) -> Result<(), StoreError> {
        let _: Vec<String> =
            self.run(&self.scripts.activity, vec![self.keyspace.activity()], arguments(activity)).await?;
        Ok(())
    }

    async fn activity(&self, hours: u32, days: u32) -> Result<Report, StoreError> {
        let args = vec!["get".to_owned(), hours.to_string(), days.to_string()];
        let reply: Vec<String> = self.run(&self.scripts.activity, vec![self.keyspace.activity()], args).await?;
        report(&reply, hours)
    }
}

/// The arguments of the script that adds.
fn arguments(activity: &Activity) -> Vec<String> {
    let Activity { node, connections, messages, users, rooms } = activity;
    let numbers = [*connections, CONNECTIONS_LIVE_MS, *messages, users.len() as u64].map(|number| number.to_string());
    let mut args = vec!["add".to_owned(), node.to_string()];
    args.extend(numbers);
    args.extend(users.iter().map(ToString::to_string));
    args.extend(rooms.iter().map(ToString::to_string));
    args
}

/// Parses the reply: the time, so many hours, and days.
fn report(reply: &[String], hours: u32) -> Result<Report, StoreError> {
    let (at, rest) = reply.split_first().ok_or_else(corrupt)?;
    let (hours, days) = rest.split_at_checked(hours as usize).ok_or_else(corrupt)?;
    let at = number(at)?;
    let start = |length: u64, place: usize, of: usize| {
        (at / length).saturating_sub((of - 1 - place) as u64).saturating_mul(length)
    };
    let hour = |(place, text): (usize, &String)| {
        let [messages, peak_connections, rooms] = numbers(text)?;
        Ok(Hour { start: start(HOUR_MS, place, hours.len()), messages, rooms, peak_connections })
    };
    let day = |(place, text): (usize, &String)| {
        let [active_users, active_users_week] = numbers(text)?;
        Ok(Day { start: start(DAY_MS, place, days.len()), active_users, active_users_week })
    };
    Ok(Report {
        at,
        hours: hours.iter().enumerate().map(hour).collect::<Result<_, _>>()?,
        days: days.iter().enumerate().map(day).collect::<Result<_, _>>()?,
    })
}

fn numbers<const N: usize>(text: &str) -> Result<[u64; N], StoreError> {
    let numbers = text.split(',').map(number).collect::<Result<Vec<u64>, _>>()?;
    <[u64; N]>::try_from(numbers).map_err(|_| corrupt())
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("the reply of the activity script can't be read".to_owned())
}
