//! What the strangers were told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::attack::Attack;
use crate::harness::INTERVAL;

/// What is not a refusal.
pub(super) const OK: &str = "ok";

type Counts = BTreeMap<Attack, BTreeMap<String, u64>>;

/// Counts what all strangers were told.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    /// Notes what somebody was told.
    pub(super) fn note(&self, attack: Attack, told: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(attack).or_default().entry(told.to_owned()).or_default() += 1;
    }

    /// How often what was refused so far, whatever they did.
    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = BTreeMap::new();
        for (told, count) in counts.values().flatten().filter(|(told, _)| *told != OK) {
            *refused.entry(told.clone()).or_default() += count;
        }
        refused
    }

    /// Waits until an attack was refused as it has to be.
    pub(super) async fn until_refused(&self, attack: Attack) {
        while self.unrefused().contains(&attack) {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// What was never refused as it has to be.
    pub(crate) fn unrefused(&self) -> Vec<Attack> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_refused = |attack: &Attack| {
            counts.get(attack).is_some_and(|told| attack.refusals().iter().any(|refusal| told.contains_key(*refusal)))
        };
        Attack::ALL.into_iter().filter(|attack| !is_refused(attack)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (attack, told) in counts.iter() {
            let granted = told.get(OK).unwrap_or(&0);
            write!(f, "  {:<16} {granted:>8} granted", format!("{attack:?}"))?;
            for (told, count) in told.iter().filter(|(told, _)| *told != OK) {
                write!(f, ", {count} {told}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[test]
fn what_is_refused_otherwise_is_not_refused() {
    let tally = Tally::default();
    for attack in Attack::ALL {
        tally.note(attack, OK);
        tally.note(attack, attack.refusals()[0]);
    }
    assert!(tally.unrefused().is_empty());
    let tally = Tally::default();
    tally.note(Attack::PushDms, "503");
    assert_eq!(tally.unrefused(), Attack::ALL);
    assert_eq!(tally.refused(), [("503".to_owned(), 1)].into());
}
