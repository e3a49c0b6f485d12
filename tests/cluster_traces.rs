//! What becomes of a message, as an OpenTelemetry collector is told it.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::collector::{Collector, Span, tree};
use crate::harness::{Bus, Client, Plan, until};

const ROOM: &str = "PeculiarRoom";
const TEXT: &str = "a text like no other";

/// The spans of each trace.
fn traces(spans: &[Span]) -> BTreeMap<&str, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<Span>>::new();
    for span in spans {
        traces.entry(span.trace.as_str()).or_default().push(span.clone());
    }
    traces
}

/// Checks the tree of one message that these nodes delivered; the ids that the store and the nodes gave it.
fn check(spans: &[Span], sent_on: &str, delivered_on: &[&str]) -> BTreeSet<String> {
    let shown = tree(spans);
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let ([send], [commit]) = (&of("send room")[..], &of("commit")[..]) else { panic!("{shown}") };
    let deliveries = of("deliver room");
    assert_eq!(spans.len(), 2 + deliveries.len(), "{shown}");
    assert_eq!((send.parent.as_str(), send.kind, send.node.as_str()), ("", SpanKind::Producer, sent_on), "{shown}");
    assert_eq!((&commit.parent, commit.kind, &commit.node), (&send.id, SpanKind::Client, &send.node), "{shown}");
    assert_eq!(commit.attributes["chat.commit.outcome"], "done", "{shown}");
    for delivery in &deliveries {
        assert_eq!((&delivery.parent, delivery.kind), (&commit.id, SpanKind::Consumer), "{shown}");
        assert!(commit.start <= delivery.start && send.start <= commit.start && commit.end <= send.end, "{shown}");
    }
    let nodes: Vec<&str> = deliveries.iter().map(|span| span.node.as_str()).collect();
    assert!(nodes.len() == delivered_on.len() && delivered_on.iter().all(|node| nodes.contains(node)), "{shown}");
    assert!(spans.iter().all(|span| !span.failed && span.end >= span.start), "{shown}");
    deliveries.iter().chain([commit]).map(|span| span.attributes["messaging.message.id"].clone()).collect()
}

scenario! {
    /// Show 3.
    async fn a_message_is_one_trace_from_its_socket_to_every_node_that_delivers_it() {
        let collector = Collector::start().await;
        let plan = Plan::on(Bus::Redis).flag("--otlp-endpoint", &collector.url()).flag("--trace-sample-ratio", "1");
        let cluster = plan.start().await;
        let ann = Client::guest(cluster.node(0), "AnnTheUnusual").await;
        let others = [Client::guest(cluster.node(1), "Bob").await, Client::guest(cluster.node(1), "Carol").await];
        let room = ann.create(ROOM, "private").await;
        for other in &others {
            ann.ok("room:invite", json!({"room": room, "user": other.id()})).await;
            other.hear("room:added", |added| added["room"] == room.as_str()).await;
        }
        let ack = ann.say(&room, TEXT).await;
        for other in &others {
            other.hear_text(&room, TEXT).await;
        }

        let spans = collector.at_least(4).await;
        let ids = check(&spans, "node-0", &["node-0", "node-1"]);
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [ack["id"].as_str().expect("an id")]);
        let reached = |node: &str| {
            let delivery = spans.iter().find(|span| span.name == "deliver room" && span.node == node);
            delivery.expect("a delivery").attributes["chat.recipients"].clone()
        };
        assert_eq!((reached("node-0").as_str(), reached("node-1").as_str()), ("1", "2"));
        assert!(spans.iter().all(|span| span.resource["service.name"] == "chat-server"));
        let said = format!("{spans:?}");
        let secrets = [ROOM, TEXT, "AnnTheUnusual", "Bob", "Carol", &room, ann.id(), others[0].id(), ann.resume()];
        for secret in secrets {
            assert!(!said.contains(secret), "{secret} is told: {said}");
        }
        println!("{}", tree(&spans));
        assert_eq!(collector.spans().len(), 4, "a span for whom? {}", tree(&collector.spans()));
    }
}

scenario! {
    /// They go to Redis together, and each is followed by itself, or not.
    async fn of_messages_that_are_sent_together_each_has_its_own_trace() {
        const EACH: usize = 60;
        let collector = Collector::start().await;
        let plan = Plan::on(Bus::Redis).flag("--otlp-endpoint", &collector.url()).flag("--trace-sample-ratio", "0.5");
        let mut cluster = plan.start().await;
        let people = [
            Client::guest(cluster.node(0), "Ann").await,
            Client::guest(cluster.node(0), "Bob").await,
            Client::guest(cluster.node(1), "Carol").await,
        ];
        people[0].fence("lobby", &[&people[1], &people[2]]).await;
        let talk = people.iter().enumerate().map(|(who, person)| {
            person.say_all("lobby", (0..EACH).map(move |number| format!("{who}:{number}")))
        });
        let acks = futures_util::future::join_all(talk).await;
        people[0].fence("lobby", &[&people[1], &people[2]]).await;

        // Whatever is told is told by the time that they have ended.
        for number in 0..cluster.len() {
            cluster.node(number).terminate();
            assert!(cluster.node_mut(number).ended().await.success());
        }
        let spans = collector.spans();
        let sent: BTreeSet<&str> = acks.iter().flatten().map(|ack| ack["id"].as_str().expect("an id")).collect();
        assert_eq!(sent.len(), people.len() * EACH);
        let mut followed = 0;
        for spans in traces(&spans).values() {
            let from = &spans.iter().find(|span| span.parent.is_empty()).expect("a root").node;
            let ids = check(spans, from, &["node-0", "node-1"]);
            let [id] = &ids.into_iter().collect::<Vec<_>>()[..] else { panic!("{}", tree(spans)) };
            // The others are those of the fences.
            followed += usize::from(sent.contains(id.as_str()));
        }
        assert!(0 < followed && followed < sent.len(), "{followed} of {}", sent.len());
        println!("{followed} of {} messages were followed, each in a tree of its own of {} spans", sent.len(), spans.len());
    }
}

scenario! {
    /// It takes connections and says nothing.
    async fn a_collector_that_does_not_answer_holds_nobody_up() {
        const MESSAGES: usize = 3000;
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let mut cluster = Plan::on(Bus::Embedded)
            .flag("--otlp-endpoint", &url)
            .flag("--trace-sample-ratio", "1")
            .start()
            .await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for part in 0..MESSAGES / 500 {
            ann.say_all("lobby", (0..500).map(|number| format!("{part}:{number}"))).await;
        }
        let told = |result: &str| format!("chat_trace_spans_total{{result=\"{result}\"}}");
        assert!(cluster.node(0).metric(&told("dropped")).await > 0.0, "three spans a message are more than may wait");
        until("the collector counts as failed", async || {
            (cluster.node(0).metric(&told("failed")).await > 0.0).then_some(())
        })
        .await;
        assert_eq!(cluster.node(0).metric(&told("exported")).await, 0.0);
        let words = cluster.node(0).last_words(1000);
        assert_eq!(words.matches("the collector takes no traces").count(), 1, "{words}");
        cluster.node(0).terminate();
        assert!(cluster.node_mut(0).ended().await.success());
    }
}

scenario! {
    async fn a_message_that_is_refused_says_why_in_its_trace() {
        let collector = Collector::start().await;
        let plan = Plan::on(Bus::Embedded).flag("--otlp-endpoint", &collector.url()).flag("--trace-sample-ratio", "1");
        let cluster = plan.start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.refused("message:send", json!({"room": "nowhere", "nonce": "n", "text": TEXT}), "not_found").await;
        let spans = collector.at_least(1).await;
        assert_eq!(spans.len(), 1, "{}", tree(&spans));
        assert_eq!((spans[0].name.as_str(), spans[0].failed), ("send room", true));
        assert_eq!(spans[0].attributes["error.type"], "not_found");
    }
}
