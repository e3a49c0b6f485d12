//! Names, labels and annotations of a ChatCluster's objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;

use crate::api::spec::ChatCluster;

/// Value of `app.kubernetes.io/managed-by`, and the field manager.
pub const MANAGER: &str = "chat-operator";
/// Label by which the operator finds its objects.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label with the name of the ChatCluster.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label that distinguishes nodes from Redis.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label of pods and ReplicaSets with the revision. Its key is that of Deployments, so that
/// topologySpreadConstraints work the same way.
pub const REVISION: &str = "pod-template-hash";
/// Label with the version of a pod.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Label with the drain state of a pod; absent while it serves.
pub const STATE: &str = "chatcluster.dev/state";
/// Annotation with the time when a pod entered its state.
pub const SINCE: &str = "chatcluster.dev/state-since";
/// Annotation of a ChatCluster or pod; the value `skip` skips drains.
pub const DRAIN: &str = "chatcluster.dev/drain";
/// Annotation of a pod: its ReplicaSet deletes pods with a lower cost first.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Value of `app.kubernetes.io/name` and `app.kubernetes.io/part-of`.
const APP: &str = "chatcluster";

/// A component of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The nodes.
    Node,
    /// The managed Redis.
    Redis,
}

impl Component {
    /// Value of the component label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "chat-server",
            Self::Redis => "redis",
        }
    }
}

/// Names of the objects of one ChatCluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    name: String,
}

impl Names {
    /// Names for a ChatCluster.
    #[must_use]
    pub fn of(cluster: &ChatCluster) -> Self {
        Self { name: cluster.name_any() }
    }

    /// Names for a ChatCluster of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Service, Ingress, ConfigMap, ServiceAccount and other objects of the nodes.
    #[must_use]
    pub fn node(&self) -> String {
        self.name.clone()
    }

    /// ReplicaSet of one revision.
    #[must_use]
    pub fn replica_set(&self, revision: &str) -> String {
        format!("{}-{revision}", self.name)
    }

    /// Headless Service of the nodes.
    #[must_use]
    pub fn nodes(&self) -> String {
        format!("{}-nodes", self.name)
    }

    /// Secret with the keys that sign resume tokens.
    #[must_use]
    pub fn session(&self) -> String {
        format!("{}-session", self.name)
    }

    /// Secret with the token of the nodes' admin port.
    #[must_use]
    pub fn admin(&self) -> String {
        format!("{}-admin", self.name)
    }

    /// All objects of a managed Redis.
    #[must_use]
    pub fn redis(&self) -> String {
        format!("{}-redis", self.name)
    }

    /// ConfigMap with dashboards.
    #[must_use]
    pub fn dashboards(&self) -> String {
        format!("{}-dashboards", self.name)
    }

    /// Labels for selectors. Immutable.
    #[must_use]
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        [("app.kubernetes.io/name", APP), (INSTANCE, &self.name), (COMPONENT, component.as_str())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// All labels of an object.
    #[must_use]
    pub fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = self.selector(component);
        labels.insert(MANAGED_BY.into(), MANAGER.into());
        labels.insert("app.kubernetes.io/part-of".into(), APP.into());
        labels
    }

    /// Label selector of a component.
    #[must_use]
    pub fn label_selector(&self, component: Component) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector(component)), ..LabelSelector::default() }
    }

    /// Selector of the serving nodes, as text.
    #[must_use]
    pub fn serving_selector(&self) -> String {
        let selector = self.selector(Component::Node);
        let mut terms: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        terms.push(format!("!{STATE}"));
        terms.join(",")
    }
}
