//! Builds all objects of a validated ChatCluster. Pure: the same input gives the same objects.

use std::marker::PhantomData;

use super::validate::{ValidatedCluster, ValidatedRedis};

mod certificates;
mod config_map;
mod env;
mod hash;
mod horizontal_pod_autoscaler;
mod ingress;
mod meta;
mod monitoring;
mod network_policy;
mod pod_disruption_budget;
mod redis;
mod replica_set;
mod resources;
mod secret;
mod security;
mod service;
mod service_account;

pub use resources::{Applied, Desired, Monitoring, Redis, Resources, Scale};

/// The desired revision: a hash of the pod template.
#[must_use]
pub fn revision(cluster: &ValidatedCluster) -> String {
    replica_set::revision(cluster, &config_map::build(cluster))
}

/// Builds all objects.
#[must_use]
pub fn build(cluster: &ValidatedCluster, scale: &Scale) -> Resources<Desired> {
    let config = config_map::build(cluster);
    let redis = match &cluster.redis {
        ValidatedRedis::Managed { spec, max_memory, fsync, password } => {
            Some(redis::build(cluster, spec, &redis::configuration(*max_memory, fsync), password))
        }
        ValidatedRedis::Embedded | ValidatedRedis::External { .. } => None,
    };
    Resources {
        service_account: service_account::build(cluster),
        session: secret::session(cluster),
        admin: secret::admin(cluster),
        service: service::public(cluster),
        nodes: service::nodes(cluster),
        replica_set: replica_set::build(cluster, &config, scale.current_replicas),
        autoscaler: horizontal_pod_autoscaler::build(cluster),
        disruption: pod_disruption_budget::build(cluster, scale),
        network_policy: network_policy::nodes(cluster),
        ingress: ingress::build(cluster),
        monitoring: monitoring::build(cluster),
        config,
        redis,
        stage: PhantomData,
    }
}

#[cfg(test)]
mod tests;
