//! Unpatched clients: connect, join, send with ack, receive, history, over WebSocket only and over long-polling only.

use crate::harness::{Bus, Node, Plan, stock};

/// Holds a conversation with one node, off the runtime's threads.
async fn converse(node: &Node, talk: impl FnOnce(&str) -> String + Send + 'static) {
    let url = node.url();
    let printed = tokio::task::spawn_blocking(move || talk(&url)).await;
    let printed = printed.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
    println!("{printed}");
    assert!(printed.lines().any(|line| line == "done"), "{printed}");
}

async fn javascript(transport: &'static str) {
    for bus in [Bus::Embedded, Bus::Redis] {
        let cluster = Plan::on(bus).start().await;
        converse(cluster.node(0), move |url| stock::node("clients/js", "conversation.cjs", &[url, transport])).await;
    }
}

async fn python(transport: &'static str) {
    for bus in [Bus::Embedded, Bus::Redis] {
        let cluster = Plan::on(bus).start().await;
        for kind in ["sync", "async"] {
            let script = "conversation.py";
            converse(cluster.node(0), move |url| stock::python("clients/python", script, &[url, transport, kind]))
                .await;
        }
    }
}

scenario! {
    async fn the_newest_socket_io_client_over_web_socket() {
        javascript("websocket").await;
    }
}

scenario! {
    async fn the_newest_socket_io_client_over_polling() {
        javascript("polling").await;
    }
}

scenario! {
    async fn python_socketio_over_web_socket() {
        python("websocket").await;
    }
}

scenario! {
    async fn python_socketio_over_polling() {
        python("polling").await;
    }
}
