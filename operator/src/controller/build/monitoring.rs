//! Objects for the Prometheus Operator and Grafana.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::{Map, Value, json};

use super::hash::ConfigHash;
use super::resources::Monitoring;
use super::{meta, service};
use crate::api::prometheus::{PodMonitor, PodMonitorSpec, PrometheusRule, PrometheusRuleSpec};
use crate::api::spec::monitoring::Installed;
use crate::controller::names::{COMPONENT, Component, INSTANCE};
use crate::controller::validate::ValidatedCluster;

/// Recording rules and alerts, for all ChatClusters.
const RULES: &str = include_str!("../../../../charts/chat-operator/monitoring/chat.rules.yaml");
/// The matcher of every selector in it.
const ANY: &str = r#"chatcluster=~".+""#;
/// Dashboards, for all ChatClusters.
const DASHBOARDS: [&str; 3] = [
    include_str!("../../../../charts/chat-operator/monitoring/dashboards/chat-users.json"),
    include_str!("../../../../charts/chat-operator/monitoring/dashboards/chat-node.json"),
    include_str!("../../../../charts/chat-operator/monitoring/dashboards/chat-redis.json"),
];
/// Label by which Grafana's sidecar finds dashboards.
const SIDECAR: &str = "grafana_dashboard";

pub(super) fn build(cluster: &ValidatedCluster) -> Monitoring {
    Monitoring {
        installed: cluster.installed,
        pod_monitor: pod_monitor(cluster),
        prometheus_rule: rule(cluster),
        dashboards: dashboards(cluster),
    }
}

/// Scrapes the nodes. The Prometheus Operator adds the labels `namespace` and `pod`; `chatcluster`
/// is the name of the ChatCluster.
fn pod_monitor(cluster: &ValidatedCluster) -> Option<PodMonitor> {
    let enabled = cluster.monitoring.pod_monitor == Installed::Auto && cluster.installed.pod_monitor;
    enabled.then(|| PodMonitor {
        metadata: metadata(cluster, cluster.names.node()),
        spec: PodMonitorSpec {
            fields: fields(json!({
                "selector": {"matchLabels": cluster.names.selector(Component::Node)},
                "podMetricsEndpoints": [{
                    "port": service::ADMIN,
                    "relabelings": [{
                        "sourceLabels": [label(INSTANCE)],
                        "targetLabel": "chatcluster",
                    }],
                }],
                "jobLabel": COMPONENT,
            })),
        },
    })
}

/// Recording rules and alerts, limited to this ChatCluster.
fn rule(cluster: &ValidatedCluster) -> Option<PrometheusRule> {
    let enabled = cluster.monitoring.prometheus_rule == Installed::Auto && cluster.installed.prometheus_rule;
    // A test checks that the embedded file is valid.
    let rules: Value = enabled.then(|| serde_yaml::from_str(RULES).ok()).flatten()?;
    let own = format!(r#"namespace="{}",chatcluster="{}""#, cluster.namespace, cluster.owner.name);
    Some(PrometheusRule {
        metadata: metadata(cluster, cluster.names.node()),
        spec: PrometheusRuleSpec { fields: fields(narrowed(rules, &own)) },
    })
}

/// Dashboards with this ChatCluster selected. Grafana requires a unique id and title for each.
fn dashboards(cluster: &ValidatedCluster) -> Option<ConfigMap> {
    let enabled = cluster.monitoring.dashboards == Installed::Auto && cluster.installed.pod_monitor;
    enabled.then(|| {
        let (namespace, name) = (&cluster.namespace, &cluster.owner.name);
        // Grafana limits ids to 40 characters.
        let own = ConfigHash::keyed(namespace.as_bytes()).add(name.as_bytes()).finish();
        let own = own.get(..12).unwrap_or_default();
        let each = DASHBOARDS.iter().filter_map(|text| {
            let mut dashboard: Value = serde_json::from_str(text).ok()?;
            let uid = format!("{}-{own}", dashboard["uid"].as_str()?);
            let title = format!("{} ({namespace}/{name})", dashboard["title"].as_str()?);
            dashboard["uid"] = json!(uid);
            dashboard["title"] = json!(title);
            for variable in dashboard["templating"]["list"].as_array_mut()? {
                let own = match variable["name"].as_str()? {
                    "namespace" => namespace,
                    "cluster" => name,
                    _ => continue,
                };
                variable["current"] = json!({"text": [own], "value": [own]});
            }
            Some((format!("{uid}.json"), dashboard.to_string()))
        });
        let data: BTreeMap<String, String> = each.collect();
        let mut metadata = metadata(cluster, cluster.names.dashboards());
        metadata.labels.get_or_insert_default().insert(SIDECAR.into(), "1".into());
        ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }
    })
}

fn metadata(cluster: &ValidatedCluster, name: String) -> ObjectMeta {
    meta::object(cluster, Component::Node, name)
}

/// Name of a pod label in Prometheus before relabelling.
fn label(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("__meta_kubernetes_pod_label_{name}")
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Limits all selectors to this ChatCluster.
fn narrowed(value: Value, own: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(ANY, own)),
        Value::Array(items) => items.into_iter().map(|item| narrowed(item, own)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, narrowed(value, own))).collect(),
        other => other,
    }
}
