//! What somebody who can publish on the bus, and no more, can't make nodes send.

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Cluster, Plan};

/// A name that no event has but forged ones.
const FORGED: &str = "forged-like-no-other";

/// Publishes a frame in a room, as the nodes do it.
async fn publish(cluster: &mut Cluster, channel: &str, frame: &str) {
    let heard = cluster.redis().ask(&["PUBLISH", channel, frame]).await;
    assert_ne!(heard, ["0"], "nobody listens to {channel}");
}

fn signal(event: &str) -> String {
    format!("s{}", json!({"event": event, "payload": {"text": FORGED, "user": {"id": FORGED}, "resume": FORGED}}))
}

/// An entry of that name which comes next in the lobby.
fn entry(event: &str, position: &Value) -> String {
    let (epoch, offset) = (position["epoch"].as_str().expect("an epoch"), position["offset"].as_u64().expect("one"));
    format!("e{epoch}\n{}\n1\nu1\n{event}\n\"text\":\"{FORGED}\"", offset + 1)
}

scenario! {
    async fn only_known_events_are_taken_from_the_bus() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.fence("lobby", &[&bob]).await;
        let lobby = "chat:{room:lobby}";
        let names = ["session", "gap", "room:added", "server:draining", "read:marked", "message:forged", FORGED, "",
            "typing\",{}]", "message:new\",{}]"];
        for name in names {
            publish(&mut cluster, lobby, &signal(name)).await;
            let position = ann.position("lobby");
            let one = entry(name, &position);
            publish(&mut cluster, lobby, &one).await;
            publish(&mut cluster, lobby, &format!("b{}:{one}", one.len())).await;
        }
        // An entry is no signal, and what is no frame at all is nothing.
        publish(&mut cluster, lobby, &signal("message:new")).await;
        publish(&mut cluster, lobby, FORGED).await;
        let notices = format!("chat:{{user:{}}}", ann.id());
        for frame in [signal("session"), signal("room:added"), FORGED.to_owned()] {
            publish(&mut cluster, &notices, &frame).await;
        }

        // The room goes on, without a hole, and nobody has heard of any of it.
        let sent = bob.say("lobby", "and on").await;
        for client in [&ann, &bob] {
            assert_eq!(client.hear_text("lobby", "and on").await["id"], sent["id"]);
            assert!(client.is_open());
        }
        let later = ann.again(cluster.node(1)).await;
        later.fence("lobby", &[&ann, &bob]).await;
        for client in [&ann, &bob, &later] {
            let heard = client.transcript();
            assert!(!heard.contains(FORGED), "{heard}");
            assert_eq!(client.heard("session").len(), 1, "{heard}");
        }
        // The next is what can't be told from the truth: SECURITY.md says so.
        publish(&mut cluster, lobby, &signal("typing")).await;
        ann.hear("typing", |typing| typing["text"] == FORGED).await;
    }
}
