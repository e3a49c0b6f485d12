//! The servers of Redis, and which of them owns which slot: one server, or the shards of a Redis Cluster.
//!
//! A node has connections of its own to each shard, as if it were a single Redis, and finds the shard by the slot. fred
//! could do that, but then one shard that is down would block all others, and a subscription whose slot has moved would
//! stay silent for ever ([why](../../../../docs/decisions/0010-redis-cluster-connections.md)).

pub(super) mod router;
pub(super) mod shard;
mod slot_table;
