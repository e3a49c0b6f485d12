//! Applies the desired objects of a ChatCluster, and prunes those that are no longer desired.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use kube::ResourceExt;

use super::build::{Applied, Desired, Monitoring, Redis, Resources};
use super::caches::Operand;
use super::error::Error;
use super::names::Names;
use super::optional_resources::OptionalResources;
use super::writer::Writer;

/// Applies all objects of one ChatCluster.
pub(super) struct Applier<'a> {
    pub(super) writer: &'a Writer<'a>,
    pub(super) optional: &'a OptionalResources,
}

impl Applier<'_> {
    /// Applies the objects in the order in which they depend on each other, then prunes.
    ///
    /// # Errors
    /// The first object that can't be written. Objects written before it stay; the rest follows
    /// with the next reconciliation.
    pub(super) async fn apply(&self, desired: Resources<Desired>) -> Result<Resources<Applied>, Error> {
        let Resources {
            service_account,
            session,
            admin,
            config,
            redis,
            service,
            nodes,
            replica_set,
            autoscaler,
            disruption,
            network_policy,
            ingress,
            monitoring,
            stage: PhantomData,
        } = desired;
        let writer = self.writer;
        let applied = Resources {
            service_account: writer.apply(service_account).await?,
            session: writer.apply(session).await?,
            admin: writer.apply(admin).await?,
            config: writer.apply(config).await?,
            network_policy: self.apply_some(network_policy).await?,
            redis: match redis {
                None => None,
                Some(Redis { secret, config, service, stateful_set, network_policy }) => Some(Redis {
                    secret: writer.apply(secret).await?,
                    config: writer.apply(config).await?,
                    network_policy: self.apply_some(network_policy).await?,
                    service: writer.apply(service).await?,
                    stateful_set: writer.apply(stateful_set).await?,
                }),
            },
            service: writer.apply(service).await?,
            nodes: writer.apply(nodes).await?,
            replica_set: writer.apply(replica_set).await?,
            autoscaler: self.apply_some(autoscaler).await?,
            disruption: writer.apply(disruption).await?,
            ingress: self.apply_some(ingress).await?,
            // Last: nothing of the chat itself depends on it.
            monitoring: self.apply_monitoring(monitoring).await?,
            stage: PhantomData,
        };
        self.prune(&applied).await?;
        Ok(applied)
    }

    async fn apply_monitoring(&self, desired: Monitoring) -> Result<Monitoring, Error> {
        let Monitoring { installed, pod_monitor, prometheus_rule, dashboards } = desired;
        let name = Names::new(self.writer.name).node();
        let dashboards = self.apply_some(dashboards).await?;
        if installed.pod_monitor {
            self.optional.apply(self.writer, &name, pod_monitor.as_ref()).await?;
        }
        if installed.prometheus_rule {
            self.optional.apply(self.writer, &name, prometheus_rule.as_ref()).await?;
        }
        Ok(Monitoring { installed, pod_monitor, prometheus_rule, dashboards })
    }

    async fn apply_some<K: Operand>(&self, desired: Option<K>) -> Result<Option<K>, Error> {
        match desired {
            None => Ok(None),
            Some(desired) => self.writer.apply(desired).await.map(Some),
        }
    }

    /// Only kinds that a spec can stop asking for are pruned. The others are always desired.
    async fn prune(&self, applied: &Resources<Applied>) -> Result<(), Error> {
        let redis = applied.redis.as_ref().and_then(|Redis { network_policy, .. }| network_policy.as_ref());
        let policies: Vec<_> = applied.network_policy.iter().chain(redis).collect();
        self.prune_kind(&policies).await?;
        let configs = std::iter::once(&applied.config).chain(applied.redis.as_ref().map(|redis| &redis.config));
        self.prune_kind(&configs.chain(&applied.monitoring.dashboards).collect::<Vec<_>>()).await?;
        self.prune_kind(&applied.autoscaler.iter().collect::<Vec<_>>()).await?;
        self.prune_kind(&applied.ingress.iter().collect::<Vec<_>>()).await
    }

    /// Deletes every object of this kind that the ChatCluster owns, except the desired ones.
    async fn prune_kind<K: Operand>(&self, desired: &[&K]) -> Result<(), Error> {
        let desired: BTreeSet<String> = desired.iter().map(|object| object.name_any()).collect();
        let undesired = K::store(self.writer.caches).state_filter(|object| {
            let ours = object.owner_references().iter().any(|owner| owner.uid == self.writer.owner);
            ours && !desired.contains(&object.name_any()) && object.meta().deletion_timestamp.is_none()
        });
        for object in undesired {
            self.writer.delete(&*object).await?;
        }
        Ok(())
    }
}
