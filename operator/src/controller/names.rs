//! What the things are called that belong to a ChatCluster, and how they are labelled.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use crate::api::spec::ChatCluster;

/// Who manages them: the value of `app.kubernetes.io/managed-by`, and the field manager.
pub const MANAGER: &str = "chat-operator";
/// The label by which the operator finds what is its own.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label with the ChatCluster's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label that tells nodes from Redis.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The label of a pod and its ReplicaSet with the kind of pods; its name is that of Deployments, so that
/// topologySpreadConstraints tell kinds apart as everywhere.
pub const REVISION: &str = "pod-template-hash";
/// The label with the version of a pod.
pub const VERSION: &str = "app.kubernetes.io/version";
/// The label of a pod that is on its way out: where it is.
pub const STATE: &str = "chatcluster.dev/state";
/// The annotation of a pod with the time since when it is there.
pub const SINCE: &str = "chatcluster.dev/state-since";
/// The annotation of a ChatCluster, or of a pod, by which a person says `skip`: nobody waits for drains.
pub const DRAIN: &str = "chatcluster.dev/drain";
/// The annotation of a pod by which its ReplicaSet takes it away before others.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The whole that all of this is part of.
const APP: &str = "chatcluster";

/// A part of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The nodes.
    Node,
    /// The managed Redis.
    Redis,
}

impl Component {
    /// The value of its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "chat-server",
            Self::Redis => "redis",
        }
    }
}

/// The names of what belongs to one ChatCluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    name: String,
}

impl Names {
    /// The names of what belongs to this one.
    #[must_use]
    pub fn of(cluster: &ChatCluster) -> Self {
        Self { name: cluster.name_any() }
    }

    /// The names of what belongs to one of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Service, Ingress, ConfigMap, ServiceAccount and the rest of the nodes.
    #[must_use]
    pub fn node(&self) -> String {
        self.name.clone()
    }

    /// The ReplicaSet of the nodes of one kind.
    #[must_use]
    pub fn replica_set(&self, revision: &str) -> String {
        format!("{}-{revision}", self.name)
    }

    /// The headless Service of the nodes.
    #[must_use]
    pub fn nodes(&self) -> String {
        format!("{}-nodes", self.name)
    }

    /// The Secret with the keys that sign resume tokens.
    #[must_use]
    pub fn session(&self) -> String {
        format!("{}-session", self.name)
    }

    /// The Secret with the token for the nodes' admin port.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("{}-admin", self.name)
    }

    /// Everything of a managed Redis.
    #[must_use]
    pub fn redis(&self) -> String {
        format!("{}-redis", self.name)
    }

    /// The ConfigMap with dashboards.
    #[must_use]
    pub fn dashboards(&self) -> String {
        format!("{}-dashboards", self.name)
    }

    /// The labels that selectors use, which can never change.
    #[must_use]
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        [("app.kubernetes.io/name", APP), (INSTANCE, &self.name), (COMPONENT, component.as_str())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// All labels.
    #[must_use]
    pub fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.selector(component);
        labels.insert(MANAGED_BY.into(), MANAGER.into());
        labels.insert("app.kubernetes.io/part-of".into(), APP.into());
        labels
    }

    /// The selector, as objects have it.
    #[must_use]
    pub fn label_selector(&self, component: Component) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector(component)), ..LabelSelector::default() }
    }

    /// The nodes that are not on their way out, as text.
    #[must_use]
    pub fn serving_selector(&self) -> String {
        let selector = self.selector(Component::Node);
        let mut terms: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        terms.push(format!("!{STATE}"));
        terms.join(",")
    }
}
