//! Bare socketioxide as its documentation shows it, alone or with its Redis adapter: the least that is a chat. Stores
//! nothing, knows nobody.
//!
//! The allocator is the system's, for neither its documentation nor its examples name another one.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use clap::Parser;
use fred::clients::SubscriberClient;
use fred::interfaces::{EventInterface, PubsubInterface};
use fred::prelude::{Builder, Config, ReconnectPolicy};
use fred::types::RespVersion;
use serde::Deserialize;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, SocketIoBuilder, TransportType};
use socketioxide_redis::{FredAdapter, RedisAdapterCtr};
use tokio::net::TcpListener;

/// Serves until it is ended; says `ready` when it listens.
#[derive(Parser)]
struct Options {
    /// Where it listens, on the loopback interface.
    #[arg(long)]
    port: u16,
    /// What is between several processes.
    #[arg(long)]
    redis: Option<String>,
}

/// What someone says to a room.
#[derive(Deserialize)]
struct Said {
    room: String,
    text: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.redis {
        None => {
            let (layer, io) = builder().build_layer();
            io.ns("/", connected.with(register));
            serve(options.port, layer).await
        }
        Some(url) => {
            let client = subscriber(url)?;
            let adapter = RedisAdapterCtr::new_with_fred(client.clone()).await?;
            let (layer, io) = builder().with_adapter::<FredAdapter<_>>(adapter).build_layer();
            io.ns("/", connected.with(register)).await?;
            tokio::spawn(subscribe_again(client));
            serve(options.port, layer).await
        }
    }
}

fn builder() -> SocketIoBuilder {
    SocketIo::builder()
        .transports([TransportType::Websocket])
        // Of its documentation's example. With the default of 128, a burst is lost sooner.
        .max_buffer_size(10_000)
}

/// A client of Redis that hears what comes in bursts, and connects again.
fn subscriber(url: &str) -> anyhow::Result<SubscriberClient> {
    let mut config = Config::from_url(url)?;
    // The adapter's sharded channels need it, and the URL can't say it.
    config.version = RespVersion::RESP3;
    Ok(Builder::from_config(config)
        // Without a policy it never reconnects.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 5_000, 2))
        .with_performance_config(|performance| {
            // With the default of 32 most of a burst is lost.
            performance.broadcast_channel_capacity = 8_192;
            performance.default_command_timeout = Duration::from_secs(5);
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = Duration::from_secs(3);
            connection.internal_command_timeout = Duration::from_secs(3);
            // By default a command under way is run again after a reconnect: twice in all.
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = 50_000;
            connection.tcp.nodelay = Some(true);
        })
        .build_subscriber_client()?)
}

/// Subscribes anew after each reconnect, or nothing would ever be heard again.
///
/// What fred has for that, `manage_subscriptions`, first subscribes to no channels at all where, as here, only sharded
/// ones are used. Redis refuses that, and about every other time that is the end of it.
async fn subscribe_again(client: SubscriberClient) {
    let mut reconnects = client.reconnect_rx();
    while reconnects.recv().await.is_ok() {
        for channel in client.tracked_shard_channels() {
            if let Err(error) = client.ssubscribe(channel).await {
                eprintln!("redis: {error}");
            }
        }
    }
}

async fn connected<A: Adapter>(_: SocketRef<A>) {}

/// Before a socket is told that it is connected: a handler that is registered then comes too late, now and then, for
/// what its client says first.
async fn register<A: Adapter>(socket: SocketRef<A>) -> Result<(), Infallible> {
    socket.on("join", async |socket: SocketRef<A>, Data::<String>(room), ack: AckSender<A>| {
        socket.join(room);
        // A unit would be one argument, an empty array is none.
        let none: [(); 0] = [];
        ack.send(&none).ok();
    });
    socket.on("message", async |io: SocketIo<A>, Data::<Said>(Said { room, text })| {
        io.to(room).emit("message", &text).await.ok();
    });
    Ok(())
}

async fn serve<A: Adapter>(port: u16, layer: SocketIoLayer<A>) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?.tap_io(|stream| {
        // Node.js does this by itself.
        stream.set_nodelay(true).ok();
    });
    println!("ready");
    Ok(axum::serve(listener, Router::new().layer(layer)).await?)
}
