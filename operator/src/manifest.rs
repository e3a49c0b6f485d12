//! The CRD as YAML.

use kube::CustomResourceExt;

use crate::api::spec::ChatCluster;

/// The CustomResourceDefinition of ChatCluster, for `kubectl apply`.
///
/// # Errors
/// The CRD can't be serialized.
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

    /// The CRD as a Helm template: optional, kept when the release is uninstalled, and with braces
    /// in its text escaped.
    fn template(definition: &str) -> String {
        let text = definition.replace("{{", "{{ \"{{\" }}");
        let metadata = "\nmetadata:\n";
        assert_eq!(text.matches(metadata).count(), 1, "the definition's own metadata is found");
        let keep = format!("{metadata}  annotations:\n    helm.sh/resource-policy: keep\n");
        format!("{{{{- if .Values.crds.install }}}}\n{}{{{{- end }}}}\n", text.replace(metadata, &keep))
    }

    #[test]
    fn braces_in_the_crd_are_escaped() {
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
