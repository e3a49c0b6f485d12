//! Whether the definition of ChatCluster in the cluster is one that this operator can work with. An
//! older one would drop fields without a word, and the operator would carry out half a spec.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, CustomResourceExt};
use serde_json::Value;

use crate::api::spec::ChatCluster;

/// Looks at the definition in the cluster.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub async fn check(client: &Client) -> Result<(), String> {
    let name = ChatCluster::crd_name();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let installed = api.get_opt(name).await.map_err(|error| format!("the definition {name} can't be read: {error}"))?;
    let installed = installed
        .ok_or_else(|| format!("there is no definition {name}: kubectl apply the crd.yaml of this version"))?;
    match missing(&installed, &ChatCluster::crd()) {
        None => Ok(()),
        Some(field) => Err(format!(
            "the definition {name} is older than this operator, it lacks {field}: kubectl apply the crd.yaml of this version; \
             until then nothing is touched"
        )),
    }
}

/// The first field that `ours` has and `installed` has not.
fn missing(installed: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> Option<String> {
    let schema = |definition: &CustomResourceDefinition| {
        let version = definition.spec.versions.iter().find(|version| version.name == "v1alpha1")?;
        serde_json::to_value(version.schema.as_ref()?.open_api_v3_schema.as_ref()?).ok()
    };
    missing_field(&schema(installed).unwrap_or_default(), &schema(ours).unwrap_or_default(), "")
}

fn missing_field(installed: &Value, ours: &Value, path: &str) -> Option<String> {
    let properties = ours.get("properties").and_then(Value::as_object).into_iter().flatten();
    let below = properties.map(|(name, schema)| (format!("{path}.{name}"), &installed["properties"][name], schema));
    let items = ours.get("items").map(|schema| (format!("{path}[]"), &installed["items"], schema));
    below.chain(items).find_map(
        |(path, installed, ours)| {
            if installed.is_null() { Some(path) } else { missing_field(installed, ours, &path) }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_lacks_a_field_is_told_by_it() {
        let ours = ChatCluster::crd();
        assert_eq!(missing(&ours, &ours), None);
        let text = serde_json::to_string(&ours).unwrap().replace("\"maxAgeSeconds\":{", "\"formerName\":{");
        let older: CustomResourceDefinition = serde_json::from_str(&text).unwrap();
        assert!(missing(&older, &ours).is_some_and(|field| field.ends_with(".maxAgeSeconds")));
    }
}
