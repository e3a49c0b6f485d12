//! Checks that the installed CRD has every field that this operator knows. The API server silently
//! drops fields that an older CRD lacks, and the operator would reconcile an incomplete spec.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, CustomResourceExt};
use serde_json::Value;

use crate::api::spec::ChatCluster;

/// Checks the installed CRD.
///
/// # Errors
/// A message that says what is wrong and what to do.
pub async fn check(client: &Client) -> Result<(), String> {
    let name = ChatCluster::crd_name();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let installed = api.get_opt(name).await.map_err(|error| format!("can't read the CRD {name}: {error}"))?;
    let installed = installed
        .ok_or_else(|| format!("the CRD {name} is not installed: kubectl apply the crd.yaml of this version"))?;
    match missing(&installed, &ChatCluster::crd()) {
        None => Ok(()),
        Some(field) => Err(format!(
            "the CRD {name} is older than this operator: it lacks {field}. kubectl apply the crd.yaml of this version; \
             the operator changes nothing until then"
        )),
    }
}

/// The first field of `ours` that `installed` lacks.
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
    fn an_older_crd_is_reported_with_the_field_that_it_lacks() {
        let ours = ChatCluster::crd();
        assert_eq!(missing(&ours, &ours), None);
        let text = serde_json::to_string(&ours).unwrap().replace("\"maxAgeSeconds\":{", "\"formerName\":{");
        let older: CustomResourceDefinition = serde_json::from_str(&text).unwrap();
        assert!(missing(&older, &ours).is_some_and(|field| field.ends_with(".maxAgeSeconds")));
    }
}
