//! The operator is killed after each of its writes in turn: whatever it had done by then, the next one ends where it
//! would have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kube::Api;
use operator::api::spec::ChatCluster;
use serde_json::Value;

use crate::harness::api_proxy::ApiProxy;
use crate::harness::control_plane::{Cluster, run_within, until_object};
use crate::harness::operator::{Operator, chat_cluster, is_settled};
use crate::harness::{is_full, until};

/// A chat with everything that a chat can consist of.
const WHOLE: &str = "{redis: {managed: {}}, exposure: {ingress: {hosts: [chat.example.com]}}}";

/// What a chat can consist of.
const KINDS: &str = "serviceaccount,secret,configmap,service,replicaset,statefulset,poddisruptionbudget,networkpolicy,\
    ingress,role,rolebinding,job,horizontalpodautoscaler";

/// Waits until a chat is available and nothing is on its way.
async fn settled(cluster: &Cluster, namespace: &str, chat: &str) {
    let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, namespace);
    until_object(&chats, chat, "is available and settled", |chat| chat.is_some_and(is_settled)).await;
}

/// The objects of a chat, `KIND NAME` with `CHAT` for its name, and what is in its Secrets.
async fn objects(cluster: &Cluster, namespace: &str, chat: &str) -> BTreeMap<String, Value> {
    let label = format!("app.kubernetes.io/instance={chat}");
    let list = cluster.kubectl(&["get", KINDS, "-n", namespace, "-l", &label, "-o", "json"]).await.expect_ok();
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let object = |object: &Value| {
        let (kind, metadata) = (object["kind"].as_str().expect("a kind"), &object["metadata"]);
        let owner = &metadata["ownerReferences"][0]["name"];
        assert_eq!(owner, chat, "{kind} {} belongs to it", metadata["name"]);
        // What a ReplicaSet is named after tells one chat from the other.
        let name = match kind {
            "ReplicaSet" => "CHAT-…".to_owned(),
            _ => metadata["name"].as_str().expect("a name").replacen(chat, "CHAT", 1),
        };
        (format!("{kind} {name}"), if kind == "Secret" { object["data"].clone() } else { Value::Null })
    };
    list["items"].as_array().expect("a list").iter().map(object).collect()
}

#[test]
fn killed_after_any_write_of_a_creation_it_ends_at_the_same_objects() {
    run_within(Duration::from_secs(900), async |cluster| {
        let namespace = cluster.namespace_with("sweep", &[("tests.chatcluster.dev/pods", "faked")]).await;
        let proxy = ApiProxy::start(&cluster).await;
        let mut operator = Operator::start_through(&cluster, &namespace, &proxy).await;
        let mark = cluster.audit_mark();
        cluster.apply(&chat_cluster(&namespace, "undisturbed", WHOLE)).await;
        settled(&cluster, &namespace, "undisturbed").await;
        let expected: BTreeSet<String> = objects(&cluster, &namespace, "undisturbed").await.into_keys().collect();

        // The API server has heard what the proxy says, and nothing else.
        let writes = until("the audit log is as long as the proxy's", || async {
            let writes = proxy.writes();
            let entries = cluster.audit(&mark).into_iter();
            let heard = entries.filter(|e| e.user == operator.user() && e.writes() && e.resource != "leases");
            let mut heard: Vec<String> =
                heard.map(|e| format!("{} {}", e.verb, e.resource.split('/').next().unwrap_or_default())).collect();
            let mut said: Vec<String> =
                writes.iter().map(|w| w.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
            heard.sort();
            said.sort();
            (heard == said).then_some(writes)
        })
        .await;
        println!("undisturbed, {} objects in {} writes: {writes:#?}", expected.len(), writes.len());
        assert!(writes.len() > expected.len(), "{writes:?}");

        let step = if is_full("SWEEP_FULL") { 1 } else { 3 };
        let chats: Api<ChatCluster> = Api::namespaced(cluster.client().await, &namespace);
        for n in (1..=writes.len()).step_by(step) {
            let began = Instant::now();
            let chat = format!("killed-{n}");
            let before = proxy.writes().len();
            proxy.kill_after(n, operator.pid());
            cluster.apply(&chat_cluster(&namespace, &chat, WHOLE)).await;
            until("it is killed, or through", || async {
                let told = proxy.writes()[before..].iter().any(|write| write == "create events");
                let through = told && chats.get(&chat).await.is_ok_and(|chat| is_settled(&chat));
                (through || proxy.fired()).then_some(())
            })
            .await;
            // It may need fewer writes this time, where two changes of the status come together.
            if !proxy.disarm() {
                assert!(n > expected.len(), "{n}: each object is a write: {:?}", &proxy.writes()[before..]);
                println!("{n}: no such write");
                continue;
            }
            let write = proxy.writes().pop().unwrap_or_default();
            let left = objects(&cluster, &namespace, &chat).await;
            operator.kill().await;
            operator.restart();
            settled(&cluster, &namespace, &chat).await;
            let end = objects(&cluster, &namespace, &chat).await;
            println!("{n}: killed at {} objects by {write}; settled after {:.1?}", left.len(), began.elapsed());
            assert_eq!(
                end.keys().cloned().collect::<BTreeSet<_>>(),
                expected,
                "after {n} writes, the last of them {write}"
            );
            for (object, data) in &left {
                assert_eq!(end.get(object), Some(data), "{object} is made once, also after {write}");
            }
        }
    });
}
