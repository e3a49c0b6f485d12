//! Why the store can't be used, or refuses: one closed list for answers, health, metrics and the page.

use serde::Serialize;

macro_rules! troubles {
    ($($(#[doc = $meaning:literal])+ $name:ident: $word:literal, $sentence:literal;)+) => {
        /// Why the store can't be used, or refuses what it is asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Trouble {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Trouble {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in answers and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The sentence in `/readyz` and the log. The operator matches on its beginning
            /// (operator/src/controller/status/redis.rs).
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

troubles! {
    /// The store can't be reached.
    Unreachable: "unreachable", "Redis can't be reached";
    /// The store refuses the user or the password.
    Unauthenticated: "unauthenticated", "Redis refuses the user or the password";
    /// The certificate of the store is not trusted.
    Untrusted: "untrusted", "Redis shows a certificate that can't be trusted";
    /// The store breaks TLS off.
    TlsRejected: "tls_rejected", "Redis breaks TLS off: it may want another client certificate";
    /// No sentinel leads to a primary.
    NoPrimary: "no_primary", "no sentinel leads to a primary of Redis that can be reached";
    /// A shard of the store can't be reached.
    ShardUnreachable: "shard_unreachable", "a shard of the Redis Cluster can't be reached";
    /// No server tells who has which slots.
    SlotsUnknown: "slots_unknown", "Redis does not say who has which slots: it is no Redis Cluster, or its user may not CLUSTER SLOTS";
    /// The store takes no writes: it is a replica.
    ReadOnly: "read_only", "Redis takes no writes: it is a replica (READONLY)";
    /// The memory of the store is full.
    OutOfMemory: "out_of_memory", "Redis takes no writes: its memory is full (OOM)";
    /// The store can't write to its disk.
    DiskFailed: "disk_failed", "Redis takes no writes: it can't save to its disk (MISCONF)";
    /// The store has too few replicas.
    TooFewReplicas: "too_few_replicas", "Redis takes no writes: it has too few replicas (NOREPLICAS)";
    /// The store loads its data.
    Loading: "loading", "Redis loads its data (LOADING)";
    /// The store runs somebody's script.
    Busy: "busy", "Redis runs a script that does not end (BUSY)";
    /// The user of the store lacks permissions.
    NoPermission: "no_permission", "the user of Redis may not do all that is needed (NOPERM)";
    /// The cluster of the store is down.
    ClusterDown: "cluster_down", "the Redis Cluster is down (CLUSTERDOWN)";
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_written_as_its_word() {
        for trouble in Trouble::ALL {
            assert_eq!(serde_json::to_string(trouble).unwrap(), format!("\"{}\"", trouble.as_str()));
        }
    }
}
