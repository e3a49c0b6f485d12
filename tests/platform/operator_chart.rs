//! The chart: that it says what k8s/ says, that its values are all there is to turn, and what happens to a chat when
//! the operator is installed, upgraded and uninstalled by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::ApiResource;
use kube::{Api, ResourceExt};
use operator::api::spec::ChatCluster;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::control_plane::{Cluster, run, run_alone, until_gone, until_list, until_object};
use crate::harness::helm::{Helm, chart};
use crate::harness::operator::{chat_cluster, is_ready, nodes, until_condition};

const DEFINITION: &str = "chatclusters.chatcluster.dev";
/// What Helm says of itself.
const HELM_LABELS: [&str; 3] = ["app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"];

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(chart().join(name)).expect("a file of the chart")
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

/// The objects of some manifests by kind, namespace and name, without what Helm says of itself.
fn objects(manifests: &str) -> BTreeMap<String, Value> {
    let documents = serde_yaml::Deserializer::from_str(manifests).map(|one| Value::deserialize(one).expect("YAML"));
    let named = documents.filter(|object| !object.is_null()).map(|mut object| {
        plain_numbers(&mut object);
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            HELM_LABELS.iter().for_each(|label| drop(labels.remove(*label)));
        }
        if metadata.get("annotations") == Some(&json!({"helm.sh/resource-policy": "keep"})) {
            metadata.remove("annotations");
        }
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let metadata = &object["metadata"];
        let key = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(word).join(" ");
        (key, object)
    });
    named.collect()
}

/// 1000 and 1000.0 are the same number.
fn plain_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        Value::Object(fields) => fields.values_mut().for_each(plain_numbers),
        _ => {}
    }
}

#[test]
fn the_chart_is_clean_and_of_the_version_of_the_workspace() {
    crate::harness::run(async {
        let answer = Helm::alone().run(&["lint", "--strict", path(&chart())]).await;
        println!("helm lint --strict charts/chat-operator\n{}{}", answer.stdout, answer.stderr);
        let said = answer.expect_ok();
        assert!(!said.contains('['), "it has something to say: {said}");
        let about = yaml(&file("Chart.yaml"));
        assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
        assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    });
}

#[test]
fn the_chart_and_the_manifests_are_equivalent() {
    run(async |cluster| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s");
        let mut manifests = objects(&cluster.kubectl(&["kustomize", path(&folder)]).await.expect_ok());
        let namespace = manifests.remove("Namespace - chat-system");
        assert!(namespace.is_some(), "the one thing that Helm makes by itself");
        let chart = chart();
        let template = ["template", "any-name", path(&chart), "--namespace", "chat-system"];
        let charts = objects(&Helm::alone().run(&template).await.expect_ok());
        for (key, object) in &manifests {
            assert_eq!(charts.get(key), Some(object), "{key}: left the chart, right k8s/");
        }
        assert_eq!(charts.keys().collect::<Vec<_>>(), manifests.keys().collect::<Vec<_>>());
        println!("the same in k8s/ and in the chart: {}", charts.into_keys().collect::<Vec<_>>().join(", "));
    });
}

/// The values that one can set, each with its default and its description.
fn values() -> Vec<(String, Value, String)> {
    fn walk(found: &mut Vec<(String, Value, String)>, above: &str, schema: &Value, defaults: &Value) {
        assert_eq!(schema["additionalProperties"], false, "{above} lets anything pass");
        let properties = schema["properties"].as_object().expect("properties");
        for (name, property) in properties.iter().filter(|(name, _)| *name != "global") {
            match property["description"].as_str() {
                Some(meaning) => found.push((format!("{above}{name}"), defaults[name].clone(), meaning.to_owned())),
                None => walk(found, &format!("{above}{name}."), property, &defaults[name]),
            }
        }
    }
    let schema: Value = serde_json::from_str(&file("values.schema.json")).expect("JSON");
    let mut found = Vec::new();
    walk(&mut found, "", &schema, &yaml(&file("values.yaml")));
    found
}

#[test]
fn schema_defaults_and_readme_list_the_same_values() {
    let values = values();
    let defaults = file("values.yaml");
    let mut table = String::from("| value | default | description |\n|---|---|---|\n");
    for (name, default, meaning) in &values {
        assert!(!default.is_null(), "{name} has no default in values.yaml");
        let key = name.rsplit('.').next().expect("a name");
        let lines: Vec<&str> = defaults.lines().map(str::trim).collect();
        let told = lines.windows(2).any(|pair| {
            pair[0].strip_prefix("# ") == Some(meaning.as_str()) && pair[1].starts_with(&format!("{key}:"))
        });
        assert!(told, "values.yaml does not say before {key}: # {meaning}");
        table += &format!("| `{name}` | `{default}` | {meaning} |\n");
    }
    let keys = defaults.lines().filter(|line| !line.trim_start().starts_with('#') && line.contains(':')).count();
    // The groups `image`, `crds`, `monitoring` and `networkPolicy`, and what is below `resources`.
    assert_eq!(keys, values.len() + 4 + 5, "values.yaml has others");
    assert!(file("README.md").contains(&format!("\n\n{table}\n")), "the README's table should be:\n{table}");
}

#[test]
fn each_chart_value_takes_effect() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let pinned = format!("image: \"ghcr.io/chatcluster/operator@{digest}\"");
    let affinity = r#"affinity={"nodeAffinity": {}}"#;
    let metrics_from = r#"networkPolicy.metricsFrom=[{"namespaceSelector": {}}]"#;
    let secrets = r#"imagePullSecrets=[{"name": "registry"}]"#;
    let tolerations = r#"tolerations=[{"key": "dedicated", "operator": "Exists"}]"#;
    let by_digest = format!("image.digest=\"{digest}\"");
    let cases = [
        (affinity, "affinity:\n        nodeAffinity: {}"),
        (&by_digest, pinned.as_str()),
        ("image.pullPolicy=\"Always\"", "imagePullPolicy: Always"),
        ("image.repository=\"mirror:5000/operator\"", "image: \"mirror:5000/operator:0.1.0\""),
        ("image.tag=\"1.0\"", "image: \"ghcr.io/chatcluster/operator:1.0\""),
        (secrets, "imagePullSecrets:\n        - name: registry"),
        ("logLevel=\"info,operator=debug\"", "name: RUST_LOG\n          value: \"info,operator=debug\""),
        (
            metrics_from,
            "ingress:\n  - from:\n    - namespaceSelector: {}\n    ports:\n    - {protocol: TCP, port: metrics}",
        ),
        (r#"nodeSelector={"kubernetes.io/os": "linux"}"#, "nodeSelector:\n        kubernetes.io/os: linux"),
        (r#"podAnnotations={"example.com/team": "chat"}"#, "annotations:\n        example.com/team: chat"),
        (r#"podLabels={"example.com/team": "chat"}"#, "part-of: chatcluster\n        example.com/team: chat"),
        ("priorityClassName=\"high\"", "priorityClassName: \"high\""),
        ("replicas=3", "replicas: 3"),
        (r#"resources={"limits": {"memory": "1Gi"}}"#, "limits:\n            memory: 1Gi"),
        (tolerations, "tolerations:\n        - key: dedicated\n          operator: Exists"),
        ("watchNamespace=\"one\"", "name: CHAT_OPERATOR_WATCH_NAMESPACE\n          value: \"one\""),
    ];
    crate::harness::run(async {
        let helm = Helm::alone();
        for (set, there) in cases {
            let made = helm.run(&["template", "x", path(&chart()), "--set-json", set]).await.expect_ok();
            assert!(made.contains(there), "{set}: no {there:?} in\n{made}");
        }
        let without = helm.run(&["template", "x", path(&chart()), "--set", "crds.install=false"]).await.expect_ok();
        assert!(!without.contains("CustomResourceDefinition\n"), "crds.install=false");
        // A rule that lists nobody would admit everybody.
        let nobody = helm.run(&["template", "x", path(&chart()), "--set-json", "networkPolicy.metricsFrom=[]"]).await;
        let nobody = nobody.expect_ok();
        assert!(nobody.contains("kind: NetworkPolicy\n") && !nobody.contains("\n  ingress:\n"), "{nobody}");
        let open =
            helm.run(&["template", "x", path(&chart()), "--set", "networkPolicy.enabled=false"]).await.expect_ok();
        assert!(!open.contains("kind: NetworkPolicy\n"), "networkPolicy.enabled=false");
        let watched = [
            ("monitoring.dashboard", "name: chat-operator-dashboard\n"),
            ("monitoring.podMonitor", "kind: PodMonitor\n"),
            ("monitoring.prometheusRule", "kind: PrometheusRule\n"),
        ];
        let installed = ["PodMonitor", "PrometheusRule"].map(|kind| format!("monitoring.coreos.com/v1/{kind}"));
        let api = ["--api-versions", &installed[0], "--api-versions", &installed[1]];
        let chart_path = chart();
        for (value, there) in watched {
            let template = ["template", "x", path(&chart_path)];
            let made = helm.run(&[&template[..], &api].concat()).await.expect_ok();
            assert!(made.contains(there), "no {there:?} in\n{made}");
            let set = format!("{value}=false");
            let without = helm.run(&[&template[..], &api, &["--set", &set]].concat()).await.expect_ok();
            assert!(!without.contains(there), "{set}");
            let bare = helm.run(&template).await.expect_ok();
            assert!(!bare.contains(there), "it is not installed, and {there:?} is there");
        }
        let cases = cases.iter().filter_map(|(set, _)| set.split('=').next());
        let turned: Vec<&str> = cases.chain(watched.iter().map(|(value, _)| *value)).collect();
        let all = values();
        let left = all.iter().map(|(name, ..)| name.as_str()).filter(|name| !turned.contains(name));
        assert_eq!(left.collect::<Vec<_>>(), ["crds.install", "networkPolicy.enabled"], "values that no case turns");
    });
}

#[test]
fn invalid_values_are_rejected_by_name() {
    let cases = [
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas=\"two\"", "at '/replicas': got string, want integer"),
        ("image.tag=1.0", "at '/image/tag': got number, want string"),
        ("image.tga=\"0.1.0\"", "at '/image': additional properties 'tga' not allowed"),
        ("image.repository=\"ghcr.io/chatcluster/operator:0.1.0\"", "at '/image/repository': "),
        ("image.digest=\"abc\"", "at '/image/digest': 'abc' does not match"),
        ("image.pullPolicy=\"Sometimes\"", "at '/image/pullPolicy': value must be one of"),
        ("imagePullSecrets=[\"registry\"]", "at '/imagePullSecrets/0': got string, want object"),
        ("watchNamespace=\"Not_One\"", "at '/watchNamespace': 'Not_One' does not match"),
        ("logLevel=\"loud\"", "at '/logLevel': 'loud' does not match"),
        ("resources={\"limits\": {\"memory\": \"lots\"}}", "at '/resources/limits/memory': 'lots' does not match"),
        ("resources={\"limit\": {}}", "at '/resources': additional properties 'limit' not allowed"),
        ("priorityClassName=\"High\"", "at '/priorityClassName': 'High' does not match"),
        ("nodeSelector={\"disks\": 2}", "at '/nodeSelector/disks': got number, want string"),
        ("tolerations=[{\"effect\": \"Never\"}]", "at '/tolerations/0/effect': value must be one of"),
        ("affinity={\"podAfinity\": {}}", "at '/affinity': additional properties 'podAfinity' not allowed"),
        ("podLabels={\"app.kubernetes.io/name\": \"x\"}", "at '/podLabels/app.kubernetes.io~1name': false schema"),
        ("podAnnotations={\"scrape\": true}", "at '/podAnnotations/scrape': got boolean, want string"),
        ("networkPolicy.metricsFrom=[{}]", "at '/networkPolicy/metricsFrom/0': minProperties: got 0, want 1"),
        ("crds.install=\"maybe\"", "at '/crds/install': got string, want boolean"),
        ("autoscaling.enabled=true", "at '': additional properties 'autoscaling' not allowed"),
    ];
    crate::harness::run(async {
        let helm = Helm::alone();
        for (set, words) in cases {
            let refusal = helm.run(&["template", "x", path(&chart()), "--set-json", set]).await.expect_refusal();
            assert!(refusal.contains(words), "{set}: no {words:?} in\n{refusal}");
            println!("{set}: {}", refusal.lines().find(|line| line.starts_with("- ")).unwrap_or_default());
        }
    });
}

#[test]
fn the_chart_works_as_a_dependency() {
    crate::harness::run(async {
        let umbrella = tempfile::tempdir().expect("a folder");
        std::fs::write(umbrella.path().join("Chart.yaml"), "{apiVersion: v2, name: all, version: 1.0.0}\n")
            .expect("a chart");
        copy(&chart(), &umbrella.path().join("charts/chat-operator"));
        let set = ["--set", "global.registry=example.com", "--set", "chat-operator.replicas=3"];
        let made = Helm::alone().run(&[&["template", "x", path(umbrella.path())], &set[..]].concat()).await.expect_ok();
        assert!(made.contains("replicas: 3"), "{made}");
    });
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let there = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &there);
        } else {
            std::fs::copy(entry.path(), there).expect("a copy");
        }
    }
}

/// A copy of the chart whose definition has one optional field more.
fn next_version(folder: &Path) -> PathBuf {
    let next = folder.join("chat-operator");
    copy(&chart(), &next);
    let template = next.join("templates/crd.yaml");
    let before = std::fs::read_to_string(&template).expect("the definition");
    let paused = "\n              paused:\n";
    assert_eq!(before.matches(paused).count(), 1, "where spec.paused is");
    let after = before.replace(paused, &format!("\n              motto:\n                type: string{paused}"));
    std::fs::write(template, after).expect("the definition");
    next
}

/// Both replicas of the operator, ready.
async fn replicas(cluster: &Cluster, namespace: &str) {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, namespace);
    let labels = "app.kubernetes.io/name=chat-operator";
    until_list(&pods, labels, "both replicas of the operator are ready", |pods| {
        pods.len() == 2 && pods.iter().all(is_ready)
    })
    .await;
}

/// The pods of a chat, by name and id.
async fn pods_of_chat(cluster: &Cluster, namespace: &str) -> BTreeMap<String, Option<String>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, namespace);
    let chat = ListParams::default().labels("app.kubernetes.io/instance=chat");
    let pods = pods.list(&chat).await.expect("the pods").items;
    pods.into_iter().map(|pod| (pod.name_any(), pod.metadata.uid)).collect()
}

#[test]
fn chats_survive_upgrade_uninstall_and_reinstall_of_the_operator() {
    run_alone(async |cluster| {
        let helm = Helm::of(&cluster);
        let own = ["-n", "chat-system"];
        let chart = chart();
        let chart = path(&chart);
        cluster.kubectl(&["create", "namespace", "chat-system"]).await.expect_ok();
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        cluster.kubectl(&["label", "namespace", "chat-system", restricted]).await.expect_ok();

        let rendered = helm.run(&[&["template", "chat-operator", chart], &own[..]].concat()).await.expect_ok();
        let kubectl = cluster.kubectl_with(&cluster.kubeconfig());
        let answer = kubectl.input(&["apply", "--dry-run=server", "-f", "-"], &rendered).await;
        assert_eq!(answer.stderr, "");
        println!("helm template | kubectl apply --dry-run=server -f -\n{}", answer.expect_ok());

        let nonsense = ["install", "chat-operator", chart, "-n", "chat-system", "--set", "replicas=0"];
        let refusal = helm.run(&nonsense).await.expect_refusal();
        assert!(refusal.contains("at '/replicas': minimum: got 0, want 1"), "{refusal}");
        println!("helm install --set replicas=0\n{refusal}");

        let installed = helm.run(&[&["install", "chat-operator", chart], &own[..]].concat()).await.expect_ok();
        println!("helm install chat-operator\n{installed}");
        assert!(installed.contains("rollout status deployment/chat-operator"), "it says what to do next");
        replicas(&cluster, "chat-system").await;
        let namespace = cluster.namespace_with("chart", &[("pod-security.kubernetes.io/enforce", "restricted")]).await;
        cluster.apply(&chat_cluster(&namespace, "chat", "{redis: {managed: {}}}")).await;
        until_condition(&cluster, &namespace, "chat", "Progressing", ("False", "RolloutComplete")).await;
        nodes(&cluster, &namespace, "chat", 2).await;
        let pods = pods_of_chat(&cluster, &namespace).await;
        println!("{}", cluster.kubectl(&["get", "chatclusters", "-A"]).await.expect_ok());

        // A field that is new in the definition is one that the API server keeps.
        let folder = tempfile::tempdir().expect("a folder");
        let next = next_version(folder.path());
        let upgraded = helm.run(&[&["upgrade", "chat-operator", path(&next)], &own[..]].concat()).await.expect_ok();
        println!(
            "helm upgrade, with spec.motto in the definition\n{}",
            upgraded.lines().take(6).collect::<Vec<_>>().join("\n")
        );
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client().await);
        let definition = definitions.get(DEFINITION).await.expect("the definition");
        let definition = serde_json::to_value(&definition).expect("JSON");
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(schema["properties"]["spec"]["properties"]["motto"], json!({"type": "string"}));
        crate::harness::until("the API server takes the new field", || async {
            cluster
                .kubectl(&[
                    "patch",
                    "chatcluster",
                    "chat",
                    "-n",
                    &namespace,
                    "--type=merge",
                    "-p",
                    r#"{"spec":{"motto":"on"}}"#,
                ])
                .await
                .expect_ok();
            let kind = ApiResource::erase::<ChatCluster>(&());
            let chats: Api<DynamicObject> = Api::namespaced_with(cluster.client().await, &namespace, &kind);
            let chat = chats.get("chat").await.ok()?;
            (chat.data["spec"]["motto"] == "on").then_some(())
        })
        .await;
        replicas(&cluster, "chat-system").await;
        assert_eq!(pods_of_chat(&cluster, &namespace).await, pods, "the upgrade left the chat alone");

        let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, &namespace);
        let before = chats.get("chat").await.expect("the chat").metadata.uid;
        let gone = helm.run(&["uninstall", "chat-operator", "-n", "chat-system", "--wait"]).await.expect_ok();
        println!("helm uninstall chat-operator\n{gone}");
        assert!(gone.contains(DEFINITION), "it says what it keeps");
        let operators: Api<Pod> = Api::namespaced(cluster.client().await, "chat-system");
        until_list(&operators, "", "the operator is gone", <[Pod]>::is_empty).await;
        let left =
            "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,deployments,poddisruptionbudgets";
        let left =
            cluster.kubectl(&["get", left, "-A", "-l", "app.kubernetes.io/name=chat-operator", "-o", "name"]).await;
        assert_eq!(left.expect_ok(), "", "what Helm should have removed");
        definitions.get(DEFINITION).await.expect("the definition is kept");
        assert_eq!(chats.get("chat").await.expect("the chat is kept").metadata.uid, before);
        assert_eq!(pods_of_chat(&cluster, &namespace).await, pods, "the pods are kept");
        nodes(&cluster, &namespace, "chat", 2).await;
        println!(
            "after it\n{}",
            cluster.kubectl(&["get", "crd,chatclusters,pods", "-n", &namespace]).await.expect_ok()
        );

        let again = helm.run(&[&["install", "chat-operator", chart], &own[..]].concat()).await.expect_ok();
        println!("helm install chat-operator, again\n{}", again.lines().take(6).collect::<Vec<_>>().join("\n"));
        replicas(&cluster, "chat-system").await;
        cluster.kubectl(&["scale", "chatcluster", "chat", "-n", &namespace, "--replicas=3"]).await.expect_ok();
        until_object(&chats, "chat", "three nodes are ready", |chat| {
            chat.and_then(|chat| chat.status.as_ref()).is_some_and(|status| status.ready_replicas == 3)
        })
        .await;
        let after = pods_of_chat(&cluster, &namespace).await;
        assert!(pods.iter().all(|(name, id)| after.get(name) == Some(id)), "with the pods that were there: {after:?}");
        println!("and looks after them\n{}", cluster.kubectl(&["get", "chatclusters", "-A"]).await.expect_ok());
    });
}

#[test]
fn an_operator_for_one_namespace_has_permissions_there_only() {
    run_alone(async |cluster| {
        let helm = Helm::of(&cluster);
        let chart = chart();
        let ours = cluster.namespace("ours").await;
        let other = cluster.namespace("other").await;
        let watch = format!("watchNamespace={}", &*ours);
        let here = ["install", "here", path(&chart), "-n", &ours, "--set", &watch];
        helm.run(&here).await.expect_ok();
        replicas(&cluster, &ours).await;
        let user = format!("--as=system:serviceaccount:{}:chat-operator", &*ours);
        let mut told = String::new();
        for (namespace, verb, what, may) in [
            (&ours, "create", "secrets", "yes"),
            (&ours, "patch", "replicasets.apps", "yes"),
            (&other, "create", "secrets", "no"),
            (&other, "list", "chatclusters", "no"),
            (&other, "list", "pods", "no"),
        ] {
            let answer = cluster.kubectl(&["auth", "can-i", verb, what, "-n", namespace, &user]).await;
            told += &format!("may it {verb} {what} in {}? {}", &**namespace, answer.stdout);
            assert_eq!(answer.stdout.trim(), may, "{verb} {what} in {}", &**namespace);
        }
        println!("{told}");
        for namespace in [&other, &ours] {
            cluster.apply(&chat_cluster(namespace, "chat", "{replicas: 1}")).await;
        }
        until_condition(&cluster, &ours, "chat", "Available", ("True", "NodesReady")).await;
        let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, &other);
        assert!(chats.get("chat").await.expect("the chat").status.is_none(), "it is not this operator's");

        // A second one for the same chats would fight the first.
        let second = ["install", "there", path(&chart), "-n", &other, "--set", &watch, "--set", "crds.install=false"];
        let refusal = helm.run(&second).await.expect_refusal();
        assert!(refusal.contains(&format!("\"chat-operator:{}\"", &*ours)), "{refusal}");
        println!("a second one for the same namespace: {refusal}");
    });
}

#[test]
fn an_installation_by_manifests_becomes_a_release() {
    run_alone(async |cluster| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s");
        cluster.kubectl(&["apply", "--server-side", "-k", path(&folder)]).await.expect_ok();
        replicas(&cluster, "chat-system").await;
        let helm = Helm::of(&cluster);
        let chart = chart();
        let install = ["install", "chat-operator", path(&chart), "-n", "chat-system"];
        let refusal = helm.run(&install).await.expect_refusal();
        assert!(refusal.contains("cannot be imported into the current release"), "{refusal}");
        helm.run(&[&install[..], &["--take-ownership", "--force-conflicts"]].concat()).await.expect_ok();
        replicas(&cluster, "chat-system").await;
        helm.run(&["uninstall", "chat-operator", "-n", "chat-system", "--wait"]).await.expect_ok();
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client().await);
        definitions.get(DEFINITION).await.expect("the definition is kept");
        let pods: Api<Pod> = Api::namespaced(cluster.client().await, "chat-system");
        until_list(&pods, "", "the operator is gone", <[Pod]>::is_empty).await;
        let namespaces: Api<Namespace> = Api::all(cluster.client().await);
        cluster.kubectl(&["delete", "namespace", "chat-system", "--wait=false"]).await.expect_ok();
        until_gone(&namespaces, "chat-system").await;
    });
}
