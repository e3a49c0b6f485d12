//! What an acknowledged message survives.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an acknowledged message survives.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, x_kube(cel))]
#[x_kube(
    validation = Rule::new("self.durability == 'Replica' || self.replicas == 1")
        .message("only with the durability Replica are replicas waited for: set durability to Replica, or leave replicas away")
        .field_path(".replicas"),
)]
pub struct Delivery {
    /// What is waited for before a message is acknowledged. What falls short of it is answered with `unavailable`,
    /// and sent again by the client under its nonce.
    #[serde(default)]
    pub durability: Durability,
    /// With the durability Replica, how many replicas have to have it. For a failover that loses nothing, as many as make most of
    /// all copies with the primary (1 of 2 replicas, 2 of 3 or 4), and min-replicas-to-write set in Redis.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: i32,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { durability: Durability::default(), replicas: default_replicas() }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// That Redis has it in its memory: it survives what Redis itself survives.
    #[default]
    Memory,
    /// That it is in Redis' append-only file, on the disk: it survives a crash of Redis and of its machine. An external Redis
    /// needs `appendonly yes`, and Redis 7.2 or `appendfsync always`; a managed one is set up so.
    Aof,
    /// That replicas have it: it survives the loss of the primary.
    Replica,
}

impl Durability {
    /// The word that the server knows it by.
    #[must_use]
    pub fn as_option(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Aof => "aof",
            Self::Replica => "replica",
        }
    }
}

fn default_replicas() -> i32 {
    1
}
