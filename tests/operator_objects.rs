//! What the operator makes of a ChatCluster, as the API server has it.

use crate::harness::control_plane::run;
use crate::harness::operator::{Operator, chat_cluster};

#[test]
fn everything_a_chat_consists_of_is_admitted_where_pod_security_is_restricted() {
    run(async |cluster| {
        let namespace =
            cluster.namespace_with("objects", &[("pod-security.kubernetes.io/enforce", "restricted")]).await;
        let operator = Operator::start(&cluster, &namespace).await;
        cluster.apply(&chat_cluster(&namespace, "chat", "{redis: {managed: {}}}")).await;
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        println!(
            "{}",
            cluster
                .kubectl(&["get", "all,cm,secret,sa,ingress,netpol,pdb,events,chatclusters", "-n", &namespace])
                .await
                .stdout
        );
        println!("{}", cluster.kubectl(&["get", "chatcluster", "chat", "-o", "yaml", "-n", &namespace]).await.stdout);
        println!("{}", operator.log());
    });
}
