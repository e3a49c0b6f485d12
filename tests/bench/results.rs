//! All figures of all runs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What one contender gave in one scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cell {
    /// By the figure's name, one of each round.
    pub(crate) figures: BTreeMap<String, Vec<f64>>,
    /// Why there is none, of some round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<String>,
}

impl Cell {
    /// The middle one of a figure's values.
    pub(crate) fn median(&self, figure: &str) -> Option<f64> {
        let values = self.sorted(figure)?;
        let half = values.len() / 2;
        Some(if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) })
    }

    /// The least and the greatest.
    pub(crate) fn spread(&self, figure: &str) -> Option<(f64, f64)> {
        let values = self.sorted(figure)?;
        Some((*values.first()?, *values.last()?))
    }

    /// Over all rounds.
    pub(crate) fn sum(&self, figure: &str) -> f64 {
        // The sum of nothing is -0.
        self.figures.get(figure).into_iter().flatten().sum::<f64>() + 0.0
    }

    fn sorted(&self, figure: &str) -> Option<Vec<f64>> {
        let mut values = self.figures.get(figure).filter(|values| !values.is_empty())?.clone();
        values.sort_by(f64::total_cmp);
        Some(values)
    }
}

/// All, by scenario and contender.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Results {
    /// Where it was measured.
    pub(crate) machine: BTreeMap<String, String>,
    pub(crate) rounds: usize,
    pub(crate) scenarios: BTreeMap<String, BTreeMap<String, Cell>>,
}

impl Results {
    /// Adds what a run gave.
    pub(crate) fn add(&mut self, scenario: &str, contender: &str, run: anyhow::Result<Value>) {
        let cell = self.scenarios.entry(scenario.to_owned()).or_default().entry(contender.to_owned()).or_default();
        match run {
            Ok(Value::Object(figures)) => {
                for (name, value) in figures {
                    if let Some(value) = value.as_f64() {
                        cell.figures.entry(name).or_default().push(value);
                    }
                }
            }
            Ok(other) => cell.failures.push(format!("no figures but {other}")),
            Err(error) => cell.failures.push(format!("{error:#}")),
        }
    }

    /// What one contender gave in one scenario.
    pub(crate) fn cell(&self, scenario: &str, contender: &str) -> Option<&Cell> {
        self.scenarios.get(scenario)?.get(contender)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_knows_its_middle_and_its_ends() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 2.0, 10.0] {
            results.add("big", "ours", Ok(json!({"cost": value})));
        }
        let cell = results.cell("big", "ours").unwrap();
        assert_eq!(cell.median("cost"), Some(2.5));
        assert_eq!(cell.spread("cost"), Some((1.0, 10.0)));
        assert_eq!(cell.median("other"), None);
    }

    #[test]
    fn a_run_that_failed_leaves_the_others() {
        let mut results = Results::default();
        results.add("big", "ours", Ok(json!({"cost": 1})));
        results.add("big", "ours", Err(anyhow::anyhow!("it ended")));
        let cell = results.cell("big", "ours").unwrap();
        assert_eq!((cell.median("cost"), cell.failures.as_slice()), (Some(1.0), &["it ended".to_owned()][..]));
    }
}
