//! Settings of the nodes' pods other than their image.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, EnvVar, Toleration, TopologySpreadConstraint};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Settings of the nodes' pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Resource requests and limits. The default requests are 250m CPU and 256Mi memory.
    pub resources: Resources,
    /// Node selector of the pods.
    #[schemars(extend("maxProperties" = 50))]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of the pods.
    #[schemars(length(max = 50))]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Topology spread constraints of the pods. If empty, pods spread across zones and Kubernetes
    /// nodes where possible.
    #[schemars(
        length(max = 10),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"])
    )]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Name of the pods' PriorityClass.
    #[schemars(length(max = 253))]
    pub priority_class_name: String,
    /// Additional environment variables. Variables that the operator sets are rejected. A change in
    /// a Secret or ConfigMap that a variable refers to does not replace the pods.
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub extra_env: Vec<EnvVar>,
    /// Additional annotations of the pods.
    #[schemars(extend("maxProperties" = 50))]
    pub annotations: BTreeMap<String, String>,
    /// Additional labels of the pods. Labels that the operator sets take precedence.
    #[schemars(extend("maxProperties" = 50))]
    pub labels: BTreeMap<String, String>,
}

/// Resource requests and limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// Resources reserved for the container.
    #[schemars(extend("maxProperties" = 20))]
    pub requests: BTreeMap<String, Amount>,
    /// Resources that the container can't exceed.
    #[schemars(extend("maxProperties" = 20))]
    pub limits: BTreeMap<String, Amount>,
}

/// A quantity, such as `500m` or `2Gi`. A bare integer is valid too, as in `cpu: 2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Amount(pub String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => Self(number.to_string()),
            Written::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
        })
    }
}
