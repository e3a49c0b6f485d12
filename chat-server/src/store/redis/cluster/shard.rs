//! One server, and the connections to it.

use std::sync::Arc;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::scripts::Script;
use fred::types::{CustomCommand, FromValue, Value};
use tokio::time::Instant;

use crate::domain::trouble::Trouble;
use crate::store::StoreError;
use crate::store::redis::connect::client::ClientFactory;
use crate::store::redis::connect::connection::{Connection, TrafficCounters};
use crate::store::redis::durability::writer::{DurableWriter, Write};
use crate::store::redis::pubsub::shared::Shared;
use crate::store::redis::pubsub::subscriber::Subscriber;
use crate::store::redis::refusals::Refusing;

/// One server, and the connections to it.
pub(crate) struct Shard {
    /// Host and port; `None` for the only server, which [`ClientFactory::client`] finds.
    pub(super) at: Option<(String, u16)>,
    pub(super) number: u64,
    pub(super) commands: Connection,
    /// For durable writes, if writes are to be durable.
    durable: Option<DurableWriter>,
    subscriber: Subscriber,
    pub(super) refusing: Refusing,
}

/// A script to run.
pub(crate) struct Call<'a> {
    pub(crate) script: &'a Script,
    pub(crate) keys: Vec<String>,
    pub(crate) args: Vec<String>,
    /// It counts only once it is as durable as configured.
    pub(crate) durable: bool,
}

/// A command that reads one key: it costs less than a script does.
pub(crate) struct Query {
    pub(crate) command: &'static str,
    pub(crate) key: String,
    pub(crate) args: Vec<Value>,
}

/// What a shard can be asked for.
pub(crate) trait Ask {
    /// A key: its shard is asked.
    fn key(&self) -> &str;

    /// Asks. `asking`: its keys are being moved to this server.
    fn ask<R: FromValue + Send>(&self, shard: &Shard, asking: bool) -> impl Future<Output = Result<R, Error>> + Send;
}

impl Ask for Call<'_> {
    fn key(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    async fn ask<R: FromValue + Send>(&self, shard: &Shard, asking: bool) -> Result<R, Error> {
        let Self { script, keys, args, durable } = self;
        let (keys, args) = (keys.clone(), args.clone());
        match &shard.durable {
            Some(writer) if *durable => writer.write(Write { script: (*script).clone(), keys, args, asking }).await,
            _ if asking => ask(script, shard.client()?, &keys, &args).await,
            _ => script.evalsha_with_reload(shard.client()?, keys, args).await,
        }
    }
}

impl Ask for Query {
    fn key(&self) -> &str {
        &self.key
    }

    async fn ask<R: FromValue + Send>(&self, shard: &Shard, asking: bool) -> Result<R, Error> {
        let client = shard.client()?;
        let command = CustomCommand::new_static(self.command, None, false);
        let all: Vec<Value> = std::iter::once(self.key.as_str().into()).chain(self.args.iter().cloned()).collect();
        if !asking {
            return client.custom(command, all).await;
        }
        let pipeline = client.pipeline();
        let () = pipeline.custom(CustomCommand::new_static("ASKING", None, false), Vec::<String>::new()).await?;
        let () = pipeline.custom(command, all).await?;
        pipeline.last().await
    }
}

impl Shard {
    /// Starts to connect.
    pub(super) fn start(
        at: Option<(String, u16)>,
        number: u64,
        clients: &ClientFactory,
        shared: &Arc<Shared>,
        counters: &Arc<TrafficCounters>,
    ) -> Result<Self, StoreError> {
        let client = || match &at {
            Some((host, port)) => clients.client_of(host, *port),
            None => clients.client(),
        };
        let connection = |role| Ok::<_, StoreError>(Connection::start(client()?, role, counters.clone()));
        // The bus has a connection of its own, so that no message waits behind a reply.
        let subscriber = Subscriber::start(client()?, number, shared.clone(), counters.clone());
        let durable = match clients.requirement {
            Some(requirement) => Some(DurableWriter::start(connection("durable")?, requirement)),
            None => None,
        };
        let commands = connection("commands")?;
        Ok(Self { at, number, commands, durable, subscriber, refusing: Refusing::default() })
    }

    pub(super) fn client(&self) -> Result<&Client, Error> {
        self.commands.client().map_err(|error| Error::new(ErrorKind::IO, error.to_string()))
    }

    pub(crate) fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// Why it can't be used, if it can't.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.connections().find_map(Connection::trouble) {
            Some(Trouble::Unreachable) => Some(self.refusing.recent(Instant::now()).unwrap_or(Trouble::Unreachable)),
            trouble => trouble.or_else(|| self.refusing.trouble()),
        }
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        let durable = self.durable.as_ref().map(DurableWriter::connection);
        [&self.commands, self.subscriber.connection()].into_iter().chain(durable)
    }
}

/// Runs a script on a shard to which its keys are being moved.
async fn ask<R: FromValue>(script: &Script, client: &Client, keys: &[String], args: &[String]) -> Result<R, Error> {
    script.load(client).await?;
    let head = [script.sha1().to_string(), keys.len().to_string()];
    let all: Vec<String> = head.into_iter().chain(keys.iter().chain(args).cloned()).collect();
    let pipeline = client.pipeline();
    let () = pipeline.custom(CustomCommand::new_static("ASKING", None, false), Vec::<String>::new()).await?;
    let () = pipeline.custom(CustomCommand::new_static("EVALSHA", None, false), all).await?;
    pipeline.last().await
}
