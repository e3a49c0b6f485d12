//! Histories in which the store loses the end of a log, and of what was sent again.

use super::*;

/// 11 is kept, 12 is lost; a new 12 comes in the next life.
fn with_a_lost_tail() -> Story {
    let mut story = Story::begin();
    story.said("a", "A", 11).said("lost", "A", 12).restarted("A", 11).ends_in("B", 12);
    story
}

#[test]
fn a_lost_tail_is_excused_where_a_session_or_a_gap_told_of_it() {
    let mut story = with_a_lost_tail();
    story.unrecovered(2, ("A", 12), ("B", 11)).gap(1, "B", 12, 12).send(2, "new").ack(2, "new", "B", 12);
    story.hear(2, "B", 12, 2, "new").page(1, "B", 12, 2, "new");
    let counts = story.is_clean().counts;
    assert_eq!((counts.lost_by_store, counts.told, counts.not_told), (1, 2, 0));
}

/// Both were told of the lost tail; whoever had sent it sends it again.
fn with_a_tail_that_is_sent_again() -> Story {
    let mut story = with_a_lost_tail();
    story.gap(1, "B", 12, 11).gap(2, "B", 12, 11).said("lost", "B", 12);
    story
}

#[test]
fn what_was_lost_and_is_sent_again_is_healed_and_has_to_reach_all() {
    let counts = with_a_tail_that_is_sent_again().is_clean().counts;
    assert_eq!((counts.lost_by_store, counts.healed, counts.told, counts.delivered), (1, 1, 2, 4));
    let mut story = with_a_lost_tail();
    story.gap(1, "B", 12, 11).gap(2, "B", 12, 11).send(1, "lost").ack(1, "lost", "B", 12).hear(1, "B", 12, 1, "lost");
    story.breaks(&[Check::Lost]);
}

#[test]
fn what_is_sent_again_may_be_lost_again_and_healed_again() {
    let mut story = with_a_tail_that_is_sent_again();
    story.restarted("B", 11).ends_in("C", 12).gap(1, "C", 12, 11).gap(2, "C", 12, 11).said("lost", "C", 12);
    let counts = story.is_clean().counts;
    assert_eq!((counts.lost_by_store, counts.healed, counts.told), (1, 1, 4));
}

#[test]
fn what_is_sent_again_and_stored_twice_is_duplicated() {
    let mut story = with_a_tail_that_is_sent_again();
    story.ends_in("B", 13).said("lost", "B", 13).breaks(&[Check::Duplicated, Check::NonceMoved]);
}

#[test]
fn what_was_not_lost_and_is_stored_again_in_a_new_life_is_duplicated() {
    let mut story = Story::begin();
    story.said("a", "A", 11).restarted("A", 11).ends_in("B", 12).said("a", "B", 12);
    story.breaks(&[Check::Duplicated, Check::NonceMoved]);
}

#[test]
fn what_stood_twice_in_a_life_is_duplicated_though_the_store_lost_it() {
    let mut story = Story::begin();
    story.said("a", "A", 11).hear(1, "A", 12, 1, "a").hear(2, "A", 12, 1, "a");
    story.restarted("A", 10).ends_in("B", 10).gap(1, "B", 11, 10).gap(2, "B", 11, 10);
    story.breaks(&[Check::Duplicated]);
}

#[test]
fn what_is_lost_later_was_rightly_recovered_before() {
    let mut story = Story::begin();
    story.said("a", "A", 11).said("lost", "A", 12).back(1, "A", 12).restarted("A", 11).ends_in("B", 11);
    story.gap(1, "B", 12, 11).gap(2, "B", 12, 11).is_clean();
}

#[test]
fn a_refusal_is_not_excused_by_what_is_lost_later() {
    let mut story = Story::begin();
    story.said("a", "A", 11).said("lost", "A", 12).unrecovered(1, ("A", 12), ("A", 12));
    story.restarted("A", 11).ends_in("B", 11).gap(1, "B", 12, 11).gap(2, "B", 12, 11);
    story.breaks(&[Check::Refused]);
}

/// Both have up to 12, of which the store has lost 12; Bob was told to page the old life beyond it, and was refused.
fn refused_beyond_a_lost_tail() -> Story {
    let mut story = Story::begin();
    story.said("a", "A", 11).said("b", "A", 12).gap(2, "A", 13, 13).restarted("A", 11).ends_in("B", 11);
    story.line("refused", 2, json!({"room": "r", "epoch": "A", "after": 12})).gap(1, "B", 12, 11);
    story
}

#[test]
fn a_gap_that_tells_of_a_loss_counts_after_a_refused_page_too() {
    let mut story = refused_beyond_a_lost_tail();
    story.gap(2, "B", 12, 11).line("join", 2, json!({"room": "r", "position": at("B", 11)})).is_clean();
}

#[test]
fn a_refused_page_alone_does_not_tell_of_what_was_lost_before_it() {
    let mut story = refused_beyond_a_lost_tail();
    story.line("join", 2, json!({"room": "r", "position": at("B", 11)})).breaks(&[Check::KeptSilent]);
}

#[test]
fn a_lost_tail_of_which_nobody_tells_is_kept_silent() {
    let mut story = with_a_lost_tail();
    story.unrecovered(1, ("A", 12), ("B", 11));
    story.breaks(&[Check::KeptSilent]);
}

#[test]
fn a_session_that_goes_on_from_what_the_store_lost_is_falsely_recovered() {
    let mut story = with_a_lost_tail();
    story.unrecovered(1, ("A", 12), ("B", 11)).back(2, "A", 12);
    story.breaks(&[Check::FalselyRecovered, Check::KeptSilent]);
}

#[test]
fn a_session_that_does_not_know_yet_may_say_so_with_a_gap() {
    let mut story = with_a_lost_tail();
    story.unrecovered(1, ("A", 12), ("B", 11)).back(2, "A", 12).gap(2, "B", 12, 11).is_clean();
}

#[test]
fn entries_of_the_new_life_up_to_where_one_begins_anew_need_not_come_and_later_ones_must() {
    let mut story = with_a_lost_tail();
    story.gap(1, "B", 12, 11);
    for (offset, nonce) in [(12, "b"), (13, "c")] {
        story.send(1, nonce).ack(1, nonce, "B", offset).hear(1, "B", offset, 1, nonce);
    }
    story.unrecovered(2, ("A", 12), ("B", 12));
    story.breaks(&[Check::Lost]);
    story.hear(2, "B", 13, 1, "c").is_clean();
}

#[test]
fn what_a_page_brought_of_the_new_life_may_be_undone_once_more() {
    let mut story = with_a_lost_tail();
    story.send(1, "b").ack(1, "b", "B", 12).gap(1, "B", 12, 12).page(1, "B", 12, 1, "b");
    // Bob was behind: what his gap in the old life stands for is of the new one when he pages it.
    story.lines.retain(|line| line.person != 2 || !matches!(&line.what, What::Event(event) if event.offset == 12));
    story.gap(2, "A", 12, 12).page(2, "B", 12, 1, "b").gap(2, "B", 12, 12).page(2, "B", 12, 1, "b").is_clean();
}

#[test]
fn a_life_that_goes_on_after_a_lost_tail_is_a_disagreement() {
    let mut story = with_a_lost_tail();
    story.ends_in("A", 12);
    story.send(1, "new").ack(1, "new", "A", 12);
    story.unrecovered(2, ("A", 12), ("A", 11)).hear(2, "A", 12, 1, "new");
    let verdict = story.verdict();
    assert!(verdict.broken(Check::Disagreement) > 0, "{:#?}", verdict.offences);
    assert!(verdict.broken(Check::KeptSilent) > 0, "Ada still has the first 12: {:#?}", verdict.offences);
}

#[test]
fn a_gap_that_undoes_what_the_log_holds_is_refused() {
    let mut story = Story::begin();
    story.said("a", "A", 11).gap(2, "B", 11, 11);
    story.page(2, "B", 11, 1, "a").breaks(&[Check::Refused]);
}

#[test]
fn what_was_lost_beyond_what_the_store_lost_is_a_loss() {
    let mut story = with_a_lost_tail();
    story.unrecovered(1, ("A", 12), ("B", 11)).unrecovered(2, ("A", 12), ("B", 11));
    story.send(1, "new").ack(1, "new", "B", 12).hear(1, "B", 12, 1, "new");
    story.breaks(&[Check::Lost]);
}

/// 11 of `B` is lost with the whole life `B`, which began after one outage and ended with the next.
fn with_a_life_between_two_outages() -> Story {
    let mut story = Story::begin();
    story.restarted("A", 10).send(1, "lost").ack(1, "lost", "B", 11).hear(1, "B", 11, 1, "lost");
    story.restarted("A", 10).ends_in("C", 10);
    story
}

#[test]
fn a_node_may_tell_of_a_life_that_came_and_went_between_two_outages_until_it_knows() {
    let mut story = with_a_life_between_two_outages();
    // It has not noticed the second outage yet.
    story.session(2, &json!({"r": at("A", 10)}), true, &[], &json!({"r": at("A", 10)})).hear(2, "B", 11, 1, "lost");
    story.unrecovered(2, ("B", 11), ("C", 10)).gap(1, "C", 11, 10);
    assert_eq!(story.is_clean().counts.lost_by_store, 1);
    let mut story = with_a_life_between_two_outages();
    story.session(2, &json!({"r": at("A", 12)}), false, &["r"], &json!({"r": at("B", 11)}));
    assert_eq!(story.verdict().broken(Check::Client), 1, "only that it had 12");
    story.unrecovered(2, ("B", 11), ("C", 10));
    assert_eq!(story.verdict().broken(Check::Refused), 1, "12 of A was never lost; 11 of B was");
}

#[test]
fn a_life_that_goes_on_is_not_lost_by_the_outage_before_it() {
    let mut story = Story::begin();
    story.restarted("A", 10).said("b", "B", 11).ends_in("B", 11).unrecovered(2, ("B", 11), ("B", 11));
    story.breaks(&[Check::Refused]);
    let mut story = Story::begin();
    story.restarted("A", 10).said("b", "B", 11).unrecovered(2, ("B", 11), ("B", 11));
    story.restarted("A", 10).ends_in("C", 10);
    assert_eq!(story.verdict().broken(Check::Refused), 1, "it was lost only later");
}
