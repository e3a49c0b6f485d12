//! The resource's definition as a manifest. The one place that writes YAML.

use kube::CustomResourceExt;

use crate::api::spec::ChatCluster;

/// The CustomResourceDefinition, as `kubectl apply` takes it.
///
/// # Errors
/// The definition can't be written as YAML.
pub fn definition() -> Result<String, serde_yaml::Error> {
    let manifest = serde_yaml::to_string(&ChatCluster::crd())?;
    Ok(format!("# Made by `make generate` from operator/src/api. Do not edit.\n{manifest}"))
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_manifest_in_k8s_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/crd.yaml");
        let fresh = super::definition().unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == fresh, "k8s/crd.yaml is stale: run `make generate`");
    }
}
