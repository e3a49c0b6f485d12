//! What makes room where a list is full of what others put there.

use super::Rooms;
use super::retry::Attempts;
use crate::domain::error::Refusal;
use crate::domain::position::Millis;
use crate::store::{Commit, Committed, FieldBound, Topic};

impl Rooms {
    /// Sets fields; where there are too many of their kind, the one that was written first goes.
    pub(super) async fn put_over_oldest(
        &self,
        topic: &Topic,
        set: Vec<(String, Option<String>)>,
        bound: FieldBound,
        time: impl Fn(&str) -> Option<Millis> + Copy + Send,
    ) -> Result<(), Refusal> {
        let mut attempts = Attempts::default();
        loop {
            attempts.another()?;
            let commit = Commit { set: set.clone(), bound: Some(bound), ..Commit::default() };
            if self.log.commit(topic, commit).await? != Committed::Full {
                return Ok(());
            }
            let listed = self.fields.list(topic, bound.prefix, None, bound.most).await?;
            let set = oldest(listed, time).map(|field| (field, None)).into_iter().collect();
            self.log.commit(topic, Commit { set, ..Commit::default() }).await?;
        }
    }
}

/// The field that was written first, by the time that its value tells. One that tells none goes before all others.
fn oldest(listed: Vec<(String, String)>, time: impl Fn(&str) -> Option<Millis>) -> Option<String> {
    listed.into_iter().min_by_key(|(_, value)| time(value).unwrap_or(0)).map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_was_written_makes_room() {
        let listed = |values: &[&str]| values.iter().map(|value| (format!("f{value}"), (*value).to_owned())).collect();
        let time = |value: &str| value.parse().ok();
        assert_eq!(oldest(listed(&["30", "9", "200"]), time).as_deref(), Some("f9"));
        assert_eq!(oldest(listed(&["30", "x"]), time).as_deref(), Some("fx"), "what can't be read goes first");
        assert_eq!(oldest(Vec::new(), time), None);
    }
}
