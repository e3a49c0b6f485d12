//! Histories made by hand: good ones, and one for each way in which a promise can be broken.

use serde_json::{Value, json};

use super::*;
use crate::history::account::line;

mod lost;

/// Accounts of two people, Ada (1) and Bob (2), in the room `r`, whose first life is `A`.
struct Story {
    lines: Vec<Line>,
    store: Store,
    now: Millis,
}

fn at(epoch: &str, offset: u64) -> Value {
    json!({"epoch": epoch, "offset": offset})
}

impl Story {
    /// Both are in the room, at 10.
    fn begin() -> Self {
        let mut story = Self { lines: Vec::new(), store: Store::default(), now: 1_000 };
        for person in [1, 2] {
            story.session(person, &Value::Null, true, &[], &json!({"r": at("A", 10)}));
        }
        story
    }

    fn line(&mut self, kind: &str, person: u32, fields: Value) -> &mut Self {
        self.now += 10;
        self.lines.push(line(&json!([kind, self.now, person, fields]).to_string()));
        self
    }

    fn session(&mut self, person: u32, given: &Value, recovered: bool, un: &[&str], rooms: &Value) -> &mut Self {
        let user = format!("u{person}");
        let fields = json!({"node": "node-0", "user": user, "given": given, "recovered": recovered,
            "unrecovered": un, "rooms": rooms});
        self.line("session", person, fields)
    }

    /// Comes back with a position of the room, and goes on from it.
    fn back(&mut self, person: u32, epoch: &str, offset: u64) -> &mut Self {
        let rooms = json!({"r": at(epoch, offset)});
        self.session(person, &rooms.clone(), true, &[], &rooms)
    }

    /// Comes back with a position of the room, and is told to begin anew at another.
    fn unrecovered(&mut self, person: u32, (epoch, offset): (&str, u64), (new, top): (&str, u64)) -> &mut Self {
        self.session(person, &json!({"r": at(epoch, offset)}), false, &["r"], &json!({"r": at(new, top)}))
    }

    fn send(&mut self, person: u32, nonce: &str) -> &mut Self {
        self.line("send", person, json!({"room": "r", "nonce": nonce, "attempt": 1, "connection": 1}))
    }

    /// The send was stored just before this.
    fn ack(&mut self, person: u32, nonce: &str, epoch: &str, offset: u64) -> &mut Self {
        let fields = json!({"nonce": nonce, "attempt": 1, "connection": 1, "position": at(epoch, offset),
            "id": format!("{epoch}-{offset}"), "at": self.now});
        self.line("ack", person, fields)
    }

    fn heard(&mut self, to: u32, epoch: &str, offset: u64, by: u32, nonce: &str, paged: bool) -> &mut Self {
        let fields = json!({"room": "r", "epoch": epoch, "offset": offset, "id": format!("{epoch}-{offset}"),
            "at": self.now, "paged": paged, "by": format!("u{by}"), "nonce": nonce});
        self.line("event", to, fields)
    }

    /// Somebody gets with a page what another sent.
    fn page(&mut self, to: u32, epoch: &str, offset: u64, by: u32, nonce: &str) -> &mut Self {
        self.heard(to, epoch, offset, by, nonce, true)
    }

    /// Somebody hears what another sent.
    fn hear(&mut self, to: u32, epoch: &str, offset: u64, by: u32, nonce: &str) -> &mut Self {
        self.heard(to, epoch, offset, by, nonce, false)
    }

    /// Both hear it.
    fn both(&mut self, epoch: &str, offset: u64, by: u32, nonce: &str) -> &mut Self {
        self.hear(1, epoch, offset, by, nonce).hear(2, epoch, offset, by, nonce)
    }

    /// Ada sends, is acked, and both hear it.
    fn said(&mut self, nonce: &str, epoch: &str, offset: u64) -> &mut Self {
        self.send(1, nonce).ack(1, nonce, epoch, offset).both(epoch, offset, 1, nonce)
    }

    fn gap(&mut self, person: u32, epoch: &str, from: u64, to: u64) -> &mut Self {
        self.line("gap", person, json!({"room": "r", "epoch": epoch, "from": from, "to": to}))
    }

    /// Redis is started again, with a log that ends there, in the life that it had.
    fn restarted(&mut self, epoch: &str, top: u64) -> &mut Self {
        let (down, up) = (self.now + 1, self.now + 100);
        self.now = up;
        let heads = BTreeMap::from([("r".to_owned(), Head { epoch: epoch.to_owned(), top })]);
        self.store.outages.push(Outage { down, up, heads });
        self
    }

    /// In the end the log is in this life.
    fn ends_in(&mut self, epoch: &str, top: u64) -> &mut Self {
        self.store.heads.insert("r".to_owned(), Head { epoch: epoch.to_owned(), top });
        self
    }

    fn verdict(&self) -> Verdict {
        judge(&self.lines, self.store.clone(), &[])
    }

    fn is_clean(&self) -> Verdict {
        let verdict = self.verdict();
        assert!(verdict.offences.is_empty(), "{:#?}", verdict.offences);
        verdict
    }

    /// These checks, and no others, find something.
    fn breaks(&self, checks: &[Check]) {
        let verdict = self.verdict();
        let found: std::collections::BTreeSet<Check> = verdict.offences.iter().map(|offence| offence.check).collect();
        let expected = checks.iter().copied().collect();
        assert_eq!(found, expected, "{:#?}", verdict.offences);
    }
}

#[test]
fn what_all_hear_once_and_in_order_is_clean() {
    let verdict = Story::begin().said("a", "A", 11).said("b", "A", 12).said("c", "A", 13).is_clean();
    assert_eq!((verdict.counts.sent, verdict.counts.acked, verdict.counts.delivered), (3, 3, 6));
}

#[test]
fn a_last_message_that_did_not_reach_a_member_is_lost() {
    Story::begin().said("a", "A", 11).send(1, "b").ack(1, "b", "A", 12).hear(1, "A", 12, 1, "b").breaks(&[Check::Lost]);
}

#[test]
fn a_message_that_was_left_out_is_lost() {
    let mut story = Story::begin();
    story.send(1, "a").ack(1, "a", "A", 11).hear(1, "A", 11, 1, "a");
    story.said("b", "A", 12).breaks(&[Check::Lost]);
}

#[test]
fn an_entry_that_was_left_out_is_lost_though_it_was_no_acked_message() {
    Story::begin().said("a", "A", 12).breaks(&[Check::Lost]);
}

#[test]
fn an_ack_before_the_message_is_in_the_log_is_found() {
    Story::begin().send(1, "a").ack(1, "a", "A", 11).said("b", "A", 11).breaks(&[Check::Lost, Check::OutOfOrder]);
}

#[test]
fn an_ack_with_a_position_from_before_the_membership_is_found() {
    Story::begin().send(1, "a").ack(1, "a", "A", 3).breaks(&[Check::Lost]);
}

#[test]
fn an_entry_that_comes_twice_is_duplicated() {
    Story::begin().said("a", "A", 11).hear(2, "A", 11, 1, "a").breaks(&[Check::Duplicated]);
}

#[test]
fn one_message_at_two_places_is_duplicated() {
    let mut story = Story::begin();
    story.said("a", "A", 11).both("A", 12, 1, "a");
    story.breaks(&[Check::Duplicated]);
}

#[test]
fn a_nonce_that_is_acked_with_two_positions_has_moved() {
    let mut story = Story::begin();
    story.said("a", "A", 11).send(1, "a").ack(1, "a", "A", 12).both("A", 12, 1, "a");
    story.breaks(&[Check::Duplicated, Check::NonceMoved]);
}

#[test]
fn a_nonce_that_is_acked_twice_with_one_position_is_clean() {
    Story::begin().said("a", "A", 11).send(1, "a").ack(1, "a", "A", 11).is_clean();
}

#[test]
fn entries_that_change_places_on_their_way_are_out_of_order() {
    let mut story = Story::begin();
    story.send(1, "a").send(1, "b").ack(1, "a", "A", 11).ack(1, "b", "A", 12);
    story.hear(1, "A", 11, 1, "a").hear(1, "A", 12, 1, "b");
    story.hear(2, "A", 12, 1, "b").hear(2, "A", 11, 1, "a");
    // The first of the two looks as if the other had been left out.
    story.breaks(&[Check::Lost, Check::OutOfOrder]);
}

#[test]
fn two_orders_of_the_same_messages_are_a_disagreement() {
    let mut story = Story::begin();
    story.send(1, "a").send(2, "b").ack(1, "a", "A", 11).ack(2, "b", "A", 12);
    story.hear(1, "A", 11, 1, "a").hear(1, "A", 12, 2, "b");
    story.hear(2, "A", 11, 2, "b").hear(2, "A", 12, 1, "a");
    let verdict = story.verdict();
    assert!(verdict.broken(Check::Disagreement) > 0, "{:#?}", verdict.offences);
}

#[test]
fn what_was_sent_after_an_ack_comes_after_it() {
    let mut story = Story::begin();
    story.send(1, "a").ack(1, "a", "A", 12).send(1, "b").ack(1, "b", "A", 11);
    story.both("A", 11, 1, "b").both("A", 12, 1, "a");
    story.breaks(&[Check::OutOfOrder]);
}

#[test]
fn what_was_sent_on_one_connection_stays_in_order_before_its_acks_too() {
    let mut story = Story::begin();
    story.send(1, "a").send(1, "b").ack(1, "b", "A", 11).ack(1, "a", "A", 12);
    story.both("A", 11, 1, "b").both("A", 12, 1, "a");
    story.breaks(&[Check::OutOfOrder]);
}

#[test]
fn what_had_to_be_sent_again_may_come_after_what_was_sent_after_it() {
    let mut story = Story::begin();
    story.send(1, "a").send(1, "b").ack(1, "b", "A", 11);
    story.line("unacked", 1, json!({"nonce": "a", "code": "unavailable"}));
    story.line("send", 1, json!({"room": "r", "nonce": "a", "attempt": 2, "connection": 1}));
    story.line(
        "ack",
        1,
        json!({"nonce": "a", "attempt": 2, "connection": 1, "position": at("A", 12), "id": "A-12", "at": 9}),
    );
    story.both("A", 11, 1, "b").both("A", 12, 1, "a").is_clean();
}

#[test]
fn who_comes_back_and_hears_the_rest_has_all() {
    let mut story = Story::begin();
    story.said("a", "A", 11).send(1, "b").ack(1, "b", "A", 12).hear(1, "A", 12, 1, "b");
    story.back(2, "A", 11).hear(2, "A", 12, 1, "b").said("c", "A", 13);
    assert_eq!(story.is_clean().counts.recovered, 1);
}

#[test]
fn who_comes_back_and_misses_the_rest_is_falsely_recovered() {
    let mut story = Story::begin();
    story.said("a", "A", 11).send(1, "b").ack(1, "b", "A", 12).hear(1, "A", 12, 1, "b");
    story.back(2, "A", 11).said("c", "A", 13);
    story.breaks(&[Check::FalselyRecovered, Check::Lost]);
}

#[test]
fn a_session_that_goes_on_elsewhere_than_was_given_is_falsely_recovered() {
    let mut story = Story::begin();
    story.said("a", "A", 11);
    story.session(2, &json!({"r": at("A", 11)}), true, &[], &json!({"r": at("A", 12)}));
    story.breaks(&[Check::FalselyRecovered]);
}

#[test]
fn a_session_that_names_rooms_and_says_that_it_recovered_contradicts_itself() {
    let mut story = Story::begin();
    story.said("a", "A", 11).restarted("A", 10).ends_in("B", 10);
    story.session(2, &json!({"r": at("A", 11)}), true, &["r"], &json!({"r": at("B", 10)}));
    story.unrecovered(1, ("A", 11), ("B", 10));
    story.breaks(&[Check::FalselyRecovered]);
}

#[test]
fn a_recovery_that_is_refused_while_the_log_holds_the_range_is_refused_without_need() {
    let mut story = Story::begin();
    story.said("a", "A", 11).unrecovered(2, ("A", 11), ("A", 11));
    story.breaks(&[Check::Refused]);
}

#[test]
fn a_client_that_gives_what_it_does_not_have_is_a_fault_of_this_check() {
    Story::begin().said("a", "A", 11).back(2, "A", 10).hear(2, "A", 11, 1, "a").breaks(&[Check::Client]);
}

#[test]
fn a_membership_that_is_forgotten_is_refused() {
    let mut story = Story::begin();
    story.said("a", "A", 11).session(2, &json!({"r": at("A", 11)}), true, &[], &json!({}));
    story.breaks(&[Check::Refused]);
}

#[test]
fn a_gap_that_is_paged_is_clean_and_what_is_live_meanwhile_may_come_first() {
    let mut story = Story::begin();
    for (offset, nonce) in [(11, "a"), (12, "b")] {
        story.send(1, nonce).ack(1, nonce, "A", offset).hear(1, "A", offset, 1, nonce);
    }
    story.gap(2, "A", 11, 12).said("c", "A", 13);
    story.page(2, "A", 11, 1, "a").page(2, "A", 12, 1, "b");
    assert_eq!(story.is_clean().counts.paged, 2);
}

#[test]
fn a_page_with_a_hole_is_a_loss() {
    let mut story = Story::begin();
    for (offset, nonce) in [(11, "a"), (12, "b")] {
        story.send(1, nonce).ack(1, nonce, "A", offset).hear(1, "A", offset, 1, nonce);
    }
    story.gap(2, "A", 11, 12).page(2, "A", 12, 1, "b");
    story.breaks(&[Check::Lost]);
}

#[test]
fn a_gap_that_is_never_paged_is_unfinished() {
    Story::begin().gap(2, "A", 11, 12).breaks(&[Check::Unfinished]);
}

#[test]
fn a_gap_that_begins_too_late_is_a_loss() {
    let mut story = Story::begin();
    story.gap(2, "A", 12, 12);
    story.page(2, "A", 12, 1, "b").breaks(&[Check::Lost]);
}

#[test]
fn a_page_that_is_refused_while_the_log_holds_it_is_refused_without_need() {
    let mut story = Story::begin();
    story.gap(2, "A", 11, 12).line("refused", 2, json!({"room": "r", "epoch": "A", "after": 10}));
    story.line("join", 2, json!({"room": "r", "position": at("A", 12)}));
    story.breaks(&[Check::Refused]);
}

#[test]
fn a_send_that_is_never_acked_or_refused_for_good_is_found() {
    Story::begin().send(1, "a").breaks(&[Check::Unfinished]);
    let mut story = Story::begin();
    story.send(1, "a").line("unacked", 1, json!({"nonce": "a", "code": "conflict"}));
    story.breaks(&[Check::Refused]);
}

#[test]
fn a_log_that_goes_on_in_a_new_life_is_clean() {
    let mut story = Story::begin();
    story.said("a", "A", 11).restarted("A", 11).ends_in("B", 12);
    story.back(2, "A", 11).said("b", "B", 12).is_clean();
}

#[test]
fn a_refusal_after_a_restart_that_lost_nothing_is_without_need() {
    let mut story = Story::begin();
    story.said("a", "A", 11).restarted("A", 11).ends_in("B", 11).unrecovered(2, ("A", 11), ("B", 11));
    story.breaks(&[Check::Refused]);
}
