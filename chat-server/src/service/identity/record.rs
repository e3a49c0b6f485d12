//! What is kept of a session, and which of its tokens still continue it. Pure.

use serde::{Deserialize, Serialize};

use super::token::Generation;
use crate::domain::position::Millis;
use crate::domain::session::SESSION_TTL_MS;

/// How long a token is still accepted after a newer one was used: other tabs of the browser may be about to use it.
pub(super) const GRACE_MS: Millis = 60_000;
/// How exact the time of the last use is, so that few connects write it.
const LAST_SEEN_GRAIN_MS: Millis = HOUR_MS;
/// How far the time of the last use of an open session may be behind, with much to spare.
const LAST_SEEN_LAG_MS: Millis = 24 * HOUR_MS;
const HOUR_MS: Millis = 3_600_000;

/// A session, as the topic of its user keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) since: Millis,
    pub(super) last_seen: Millis,
    pub(super) client: String,
    /// The newest token that was used, once a client asked for rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rotation {
    #[serde(flatten)]
    newest: Generation,
    /// When it was first used.
    at: Millis,
}

/// A token that a newer one replaced was used after the time in which other tabs may still do so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reused;

impl Record {
    pub(super) fn new(since: Millis, client: String, rotate: bool) -> Self {
        let rotation = rotate.then(|| Rotation { newest: Generation::default(), at: since });
        Self { since, last_seen: since, client, rotation }
    }

    /// One that an earlier build began.
    pub(super) fn adopted(since: Millis, client: String, now: Millis) -> Self {
        Self { since, last_seen: now, client, rotation: None }
    }

    /// Whether its time is over.
    pub(super) fn is_expired(&self, now: Millis) -> bool {
        self.last_seen.saturating_add(SESSION_TTL_MS + LAST_SEEN_LAG_MS) < now
    }

    /// Notes that it is in use.
    pub(super) fn note_seen(&mut self, now: Millis) {
        if now >= self.last_seen.saturating_add(LAST_SEEN_GRAIN_MS) {
            self.last_seen = now;
        }
    }

    /// Notes that a token was used; `rotate`: by a client that always uses the newest one from now on.
    ///
    /// The newest changes at most once in [`GRACE_MS`]: so whatever came before it is past its own grace already, and
    /// one generation and its time say all that there is to know.
    ///
    /// # Errors
    /// The token must not be used any more.
    pub(super) fn note_used(&mut self, used: &Generation, rotate: bool, now: Millis) -> Result<(), Reused> {
        let Some(Rotation { newest, at }) = &mut self.rotation else {
            if rotate || used.number > 0 {
                self.rotation = Some(Rotation { newest: used.clone(), at: now });
            }
            return Ok(());
        };
        let in_grace = now < at.saturating_add(GRACE_MS);
        let ahead = i64::from(used.number) - i64::from(newest.number);
        match ahead {
            0 if used == newest => Ok(()),
            // Given for the newest one. One further ahead: the store lost what it knew.
            1.. => {
                if ahead > 1 || !in_grace {
                    (*newest, *at) = (used.clone(), now);
                }
                Ok(())
            }
            // Given together with the newest one, or the one before it.
            -1..=0 if in_grace => Ok(()),
            _ => Err(Reused),
        }
    }

    /// The number of the next token, if the session rotates.
    pub(super) fn next_number(&self) -> Option<u32> {
        self.rotation.as_ref().map(|rotation| rotation.newest.number.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u32, salt: &str) -> Generation {
        Generation { number, salt: salt.to_owned() }
    }

    /// One that began at 0, and whose token `7-a` was first used at 1,000,000.
    fn record() -> Record {
        let mut record = Record::new(0, "web".to_owned(), true);
        record.rotation = Some(Rotation { newest: token(7, "a"), at: 1_000_000 });
        record
    }

    const LATER: Millis = 1_000_000 + GRACE_MS;

    #[test]
    fn a_session_that_does_not_rotate_keeps_its_first_token_for_ever() {
        let mut record = Record::new(0, String::new(), false);
        for day in 0..100 {
            assert_eq!(record.note_used(&Generation::default(), false, day * 24 * HOUR_MS), Ok(()));
            assert_eq!(record.next_number(), None);
        }
    }

    #[test]
    fn a_client_that_always_uses_the_newest_token_is_never_refused() {
        let (mut record, mut used, mut now) = (Record::new(0, String::new(), true), Generation::default(), 0);
        for (number, step) in (0..1_000).zip([1, 20_000, GRACE_MS, 5 * HOUR_MS, 100].into_iter().cycle()) {
            now += step;
            assert_eq!(record.note_used(&used, true, now), Ok(()), "{number}");
            // Each third answer is lost.
            if number % 3 > 0 {
                used = token(record.next_number().unwrap(), &number.to_string());
            }
        }
        assert!(used.number > 300, "{used:?}");
    }

    #[test]
    fn a_token_of_a_session_that_begins_to_rotate_is_its_first() {
        let mut record = Record::new(0, String::new(), false);
        assert_eq!(record.note_used(&Generation::default(), true, 5), Ok(()));
        assert_eq!(record.next_number(), Some(1));
        assert_eq!(record.note_used(&token(1, "x"), true, 5 + GRACE_MS), Ok(()));
        assert_eq!(record.note_used(&Generation::default(), false, 5 + 3 * GRACE_MS), Err(Reused));
    }

    #[test]
    fn the_newest_token_is_used_as_often_as_its_answers_are_lost() {
        let mut record = record();
        for now in [LATER, LATER * 10] {
            assert_eq!(record.note_used(&token(7, "a"), true, now), Ok(()));
        }
        assert_eq!(record, self::record());
    }

    #[test]
    fn tabs_that_still_have_an_older_token_have_some_time() {
        for older in [token(6, "x"), token(7, "b")] {
            let mut record = record();
            assert_eq!(record.note_used(&older, true, LATER - 1), Ok(()), "{older:?}");
            assert_eq!(record, self::record(), "it is as good as ever");
            assert_eq!(record.note_used(&older, true, LATER), Err(Reused), "{older:?}");
        }
    }

    #[test]
    fn what_was_replaced_before_the_newest_token_has_no_time_left() {
        assert_eq!(record().note_used(&token(5, "x"), true, 1_000_000), Err(Reused));
        assert_eq!(record().note_used(&Generation::default(), false, 1_000_000), Err(Reused));
    }

    #[test]
    fn of_a_thief_and_the_one_it_stole_from_the_second_is_noticed() {
        // Both were given a token for `7-a`, whoever used it.
        let mut record = record();
        assert_eq!(record.note_used(&token(8, "owner"), true, LATER), Ok(()));
        assert_eq!(record.note_used(&token(8, "thief"), true, LATER + GRACE_MS), Err(Reused));
    }

    #[test]
    fn tokens_change_at_most_once_in_the_time_that_older_ones_have() {
        let mut record = record();
        assert_eq!(record.note_used(&token(8, "x"), true, LATER - 1), Ok(()));
        assert_eq!(record, self::record());
        assert_eq!(record.note_used(&token(8, "y"), true, LATER), Ok(()));
        assert_eq!(record.next_number(), Some(9));
    }

    #[test]
    fn a_token_beyond_what_the_store_remembers_is_accepted() {
        let mut record = record();
        assert_eq!(record.note_used(&token(12, "x"), true, 1_000_001), Ok(()));
        assert_eq!(record.next_number(), Some(13));
    }

    #[test]
    fn the_last_use_is_kept_to_the_hour_and_ends_the_session_in_time() {
        let mut record = record();
        record.note_seen(HOUR_MS - 1);
        assert_eq!(record.last_seen, 0);
        record.note_seen(HOUR_MS + 7);
        assert_eq!(record.last_seen, HOUR_MS + 7);
        assert!(!record.is_expired(SESSION_TTL_MS + 2 * HOUR_MS));
        assert!(record.is_expired(SESSION_TTL_MS + 26 * HOUR_MS));
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        for record in [record(), Record::new(3, "x".to_owned(), false)] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
        }
    }
}
