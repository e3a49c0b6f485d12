//! What makes room where a list is full of what others put there.

use crate::domain::position::Millis;

/// The field that was written first, by the time that its value tells. One that tells none goes before all others.
pub(super) fn oldest(listed: Vec<(String, String)>, time: impl Fn(&str) -> Option<Millis>) -> Option<String> {
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
