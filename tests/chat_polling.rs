//! Long-polling, for those whose way to the server lets no WebSocket through.

use serde_json::{Value, json};

use crate::harness::polling::Polling;
use crate::harness::{Client, Plan};

/// python-socketio drops a connection whose poll answers more.
const MOST_PACKETS: usize = 16;

on_both! {
    async fn an_answer_holds_at_most_16_packets_and_nothing_is_lost(bus) {
        const SAID: usize = 100;
        let cluster = Plan::on(bus).start().await;
        let polling = Polling::guest(cluster.node(0), "Polly").await;
        let (first, _) = polling.poll_until(|name, _| name == "session").await;
        assert_eq!(first[0].0, "session", "the first event");

        // Nobody polls while this is said, so that all of it waits.
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let witness = Client::guest(cluster.node(0), "Witness").await;
        bob.say_all("lobby", (0..SAID).map(|number| number.to_string())).await;
        witness.hear_text("lobby", &(SAID - 1).to_string()).await;

        let last = (SAID - 1).to_string();
        let (events, fullest) = polling.poll_until(|_, payload| payload["text"] == last.as_str()).await;
        let texts: Vec<&Value> =
            events.iter().filter(|(name, _)| name == "message:new").map(|(_, message)| &message["text"]).collect();
        let said: Vec<Value> = (0..SAID).map(|number| json!(number.to_string())).collect();
        assert_eq!(texts, said.iter().collect::<Vec<_>>(), "each once, in order");
        assert!(fullest > 1, "what waits comes together");
        assert!(fullest <= MOST_PACKETS, "{fullest} packets in one answer");
    }
}

on_both! {
    async fn requests_over_polling_are_answered(bus) {
        let cluster = Plan::on(bus).start().await;
        let polling = Polling::guest(cluster.node(0), "Polly").await;
        polling.poll_until(|name, _| name == "session").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let send = json!(["message:send", {"room": "lobby", "nonce": "n", "text": "by post"}]);
        // Two packets in one payload.
        polling.post(&format!("427{send}\u{1e}428{}", json!(["room:list", {}]))).await;
        let sent = polling.poll_ack(7).await;
        assert_eq!(sent["ok"], true, "{sent}");
        let list = polling.poll_ack(8).await;
        assert_eq!(list["rooms"][0]["room"], "lobby", "{list}");
        assert_eq!(bob.hear_text("lobby", "by post").await["id"], sent["id"]);
    }
}

on_both! {
    async fn a_post_that_is_too_large_is_refused_and_nobody_else_notices(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--max-message-bytes", "1000").start().await;
        let polling = Polling::guest(cluster.node(0), "Polly").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let limit = usize::try_from(bob.session["limits"]["maxPayload"].as_u64().unwrap()).unwrap();
        let send = json!(["message:send", {"room": "lobby", "nonce": "n", "text": "x".repeat(limit)}]);
        let status = polling.try_post(&format!("421{send}")).await;
        assert!(matches!(status, Some(400..500) | None), "{status:?}");
        bob.fence("lobby", &[]).await;
        assert_eq!(bob.heard("message:new").len(), 1);
    }
}
