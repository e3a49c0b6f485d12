//! The chat over a Redis 8, with TLS and ACL.

use crate::harness::redis_set::{Form, Version};
use crate::redis_forms::is_a_chat;

#[test]
fn redis_8_behind_sentinels_is_a_chat() {
    is_a_chat(Form::Sentinel, Version::Eight);
}

#[test]
fn a_cluster_of_redis_8_is_a_chat() {
    is_a_chat(Form::Cluster, Version::Eight);
}
