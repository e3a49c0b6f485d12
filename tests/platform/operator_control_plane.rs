//! The control plane that the operator's tests run against is a real one.

use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::harness::control_plane::{run, run_alone, until_gone, until_object};
use crate::harness::until;

#[test]
fn kubectl_finds_ready_nodes_of_the_version_that_is_pinned() {
    run(async |cluster| {
        let nodes = cluster.kubectl(&["get", "nodes"]).await.expect_ok();
        let ready = nodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
        assert_eq!(ready, 3, "{nodes}");
        let version = cluster.kubectl(&["version", "-o", "json"]).await.expect_ok();
        let version: serde_json::Value = serde_json::from_str(&version).expect("JSON");
        let pinned = include_str!("../go/go.mod");
        for side in ["clientVersion", "serverVersion"] {
            let version = version[side]["gitVersion"].as_str().expect("a version");
            assert!(pinned.contains(&format!("k8s.io/kubernetes {version}")), "{side}: {version}");
        }
        let zones = Api::<Node>::all(cluster.client().await).list(&Default::default()).await.expect("nodes");
        let zones: std::collections::BTreeSet<_> =
            zones.iter().filter_map(|node| node.labels().get("topology.kubernetes.io/zone")).collect();
        assert_eq!(zones.len(), 3, "each node is in a zone of its own");
    });
}

#[test]
fn rbac_limits_a_service_account_and_the_audit_log_records_it() {
    run(async |cluster| {
        let namespace = cluster.namespace("rbac").await;
        let client = cluster.client().await;
        let account = json!({"metadata": {"name": "reader"}});
        let accounts = Api::namespaced(client.clone(), &namespace);
        let account: k8s_openapi::api::core::v1::ServiceAccount = serde_json::from_value(account).expect("one");
        accounts.create(&PostParams::default(), &account).await.expect("a ServiceAccount");

        let mark = cluster.audit_mark();
        let theirs: Api<ConfigMap> = Api::namespaced(cluster.client_of(&namespace, "reader").await, &namespace);
        let refused = theirs.list(&Default::default()).await.expect_err("no right was given");
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");

        let binding = json!({
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": &*namespace}],
        });
        let binding: RoleBinding = serde_json::from_value(binding).expect("one");
        let bindings = Api::namespaced(client, &namespace);
        bindings.create(&PostParams::default(), &binding).await.expect("a RoleBinding");
        // The authorizer hears of it by a watch.
        let every = kube::api::ListParams::default();
        until("the right is known", || async { theirs.list(&every).await.ok() }).await;
        let map = ConfigMap {
            metadata: ObjectMeta { name: Some("mine".to_owned()), ..ObjectMeta::default() },
            ..ConfigMap::default()
        };
        let refused = theirs.create(&PostParams::default(), &map).await.expect_err("who views writes nothing");
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");

        let user = format!("system:serviceaccount:{}:reader", &*namespace);
        until("the audit log has the refused write", || async {
            let entries = cluster.audit(&mark);
            let theirs: Vec<_> = entries.iter().filter(|entry| entry.user == user).collect();
            let writes: Vec<_> = theirs.iter().filter(|entry| entry.writes()).collect();
            let reads: Vec<_> = theirs.iter().filter(|entry| !entry.writes()).map(|entry| entry.code).collect();
            let last = writes.first()?;
            assert_eq!((last.verb.as_str(), last.resource.as_str(), last.code), ("create", "configmaps", 403));
            assert_eq!(last.namespace, *namespace);
            let given = entries.iter().find(|entry| entry.resource == "rolebindings" && entry.name == "reader")?;
            assert_eq!((given.user.as_str(), given.group.as_str()), ("admin", "rbac.authorization.k8s.io"));
            assert!(reads.starts_with(&[403]) && reads.ends_with(&[200]), "{reads:?}");
            Some(())
        })
        .await;
    });
}

#[test]
fn a_claim_is_bound_by_the_default_class_and_pending_with_an_unknown_one() {
    run(async |cluster| {
        let namespace = cluster.namespace("claims").await;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client().await, &namespace);
        for (name, class) in [("known", None), ("unknown", Some("no-such-class"))] {
            let claim = json!({
                "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": class,
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            });
            let claim = serde_json::from_value(claim).expect("a claim");
            claims.create(&PostParams::default(), &claim).await.expect("a claim");
        }
        let phase = |claim: &PersistentVolumeClaim| claim.status.as_ref()?.phase.clone();
        until_object(&claims, "known", "is bound", |claim| claim.and_then(phase).as_deref() == Some("Bound")).await;
        let unknown = claims.get("unknown").await.expect("the claim");
        assert_eq!(phase(&unknown).as_deref(), Some("Pending"));
        let volume = claims.get("known").await.expect("the claim").spec.and_then(|spec| spec.volume_name);
        claims.delete("known", &Default::default()).await.expect("to delete the claim");
        let volumes: Api<k8s_openapi::api::core::v1::PersistentVolume> = Api::all(cluster.client().await);
        until_gone(&volumes, &volume.expect("a volume")).await;
    });
}

#[test]
fn a_private_cluster_recovers_after_its_api_server_restarts() {
    let mut folder = None;
    run_alone(async |cluster| {
        folder = cluster.kubeconfig().parent().map(std::path::Path::to_owned);
        let namespace = cluster.namespace("kept").await;
        cluster.stop_api_server().await;
        let refusal = cluster.kubectl(&["get", "nodes"]).await.expect_refusal();
        assert!(refusal.contains("refused"), "{refusal}");
        cluster.start_api_server().await;
        let mark = cluster.audit_mark();
        cluster.kubectl(&["get", "namespace", &namespace]).await.expect_ok();
        until("the audit log has it", || async {
            let entries = cluster.audit(&mark);
            let by_kubectl = entries.iter().find(|entry| entry.user_agent.starts_with("kubectl/"))?;
            assert_eq!((by_kubectl.verb.as_str(), by_kubectl.resource.as_str()), ("get", "namespaces"));
            Some(())
        })
        .await;
    });
    assert!(!folder.expect("a folder").exists(), "nothing is left of the cluster");
}
