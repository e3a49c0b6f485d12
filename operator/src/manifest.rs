//! The resource's definition as a manifest. The one place that writes YAML.

use kube::CustomResourceExt;

use crate::api::spec::ChatCluster;

/// The CustomResourceDefinition, as `kubectl apply` takes it.
///
/// # Errors
/// The definition can't be written as YAML.
pub fn crd_manifest() -> Result<String, serde_yaml::Error> {
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
        hold_fresh("k8s/crd.yaml", &super::crd_manifest().unwrap());
    }

    #[test]
    fn the_template_in_the_chart_is_fresh() {
        hold_fresh("charts/chat-operator/templates/crd.yaml", &template(&super::crd_manifest().unwrap()));
    }

    /// The definition as a template of Helm: it can be left out, it outlives the release, and what looks like a
    /// template in its text stays text.
    fn template(definition: &str) -> String {
        let text = definition.replace("{{", "{{ \"{{\" }}");
        let metadata = "\nmetadata:\n";
        assert_eq!(text.matches(metadata).count(), 1, "the definition's own metadata is found");
        let keep = format!("{metadata}  annotations:\n    helm.sh/resource-policy: keep\n");
        format!("{{{{- if .Values.crds.install }}}}\n{}{{{{- end }}}}\n", text.replace(metadata, &keep))
    }

    #[test]
    fn the_text_of_the_definition_is_no_template() {
        let made = template("kind: X\nmetadata:\n  name: x\ndescription: as {{ this }}\n");
        assert!(made.contains("description: as {{ \"{{\" }} this }}\n"), "{made}");
    }

    fn hold_fresh(path: &str, fresh: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, fresh).unwrap();
        }
        let stored = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(stored == fresh, "{path} is stale: run `make generate`");
    }
}
