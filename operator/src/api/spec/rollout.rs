//! Rolling updates and drains of the nodes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Rolling update of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Maximum number of pods above the desired number during a rollout, as a number or a
    /// percentage such as `25%`. Below 100 %, the first new pods carry more clients than the last
    /// ones.
    pub max_surge: Surge,
}

/// A number of pods, or a percentage of the desired number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Surge(pub String);

impl Default for Surge {
    fn default() -> Self {
        Self("100%".into())
    }
}

impl Surge {
    /// The number of pods for this many replicas: at least one, or no pod could be replaced.
    #[must_use]
    pub fn of(&self, replicas: usize) -> usize {
        let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
        let pods = match self.0.strip_suffix('%') {
            Some(percent) => number(percent).saturating_mul(replicas).div_ceil(100),
            None => number(&self.0),
        };
        pods.max(1)
    }
}

impl<'de> Deserialize<'de> for Surge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::pod::Amount::deserialize(deserializer).map(|super::pod::Amount(text)| Self(text))
    }
}

impl JsonSchema for Surge {
    fn schema_name() -> Cow<'static, str> {
        "Surge".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^[0-9]{1,4}%?$",
            "minimum": 1,
            "maximum": 1000,
        })
    }
}

/// How a node hands its clients over to other nodes before it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Drain {
    /// Deadline for handing over all sockets of a node, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: i32,
    /// Sockets that one node hands over per second.
    #[schemars(range(min = 1, max = 100_000))]
    pub connections_per_second: i32,
    /// Sockets that all nodes together hand over per second: the reconnect budget. The operator
    /// drains as many nodes at a time as the budget allows, at least one.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_reconnects_per_second: i32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout_seconds: 600, connections_per_second: 100, max_reconnects_per_second: 200 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_up_and_at_least_one() {
        let of = |text: &str, replicas| Surge(text.into()).of(replicas);
        assert_eq!((of("25%", 4), of("25%", 5), of("1%", 3), of("0%", 3)), (1, 2, 1, 1));
        assert_eq!((of("100%", 5), of("2", 5), of("0", 5)), (5, 2, 1));
    }
}
