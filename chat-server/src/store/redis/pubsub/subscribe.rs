//! Subscribing to channels of one server, confirmed by it.

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, PubsubInterface};
use futures_util::future::try_join_all;

use crate::store::StoreError;
use crate::store::redis::COMMAND_TIMEOUT;
use crate::store::redis::connect::connection::failed;

/// How many channels a command names.
const CHANNELS_AT_ONCE: usize = 1_000;

/// Why a subscription is not in force.
pub(crate) enum SubscribeError {
    /// Another server owns the slot of a channel.
    Moved,
    /// Anything else.
    Failed(StoreError),
}

impl From<StoreError> for SubscribeError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Subscribes, and waits until the subscription is in force. If the connection breaks meanwhile, so that another one
/// answers, the [`Resubscriber`](super::resubscriber::Resubscriber) subscribes again and reports an interruption.
pub(super) async fn subscribe(client: &Client, channels: &[String], sharded: bool) -> Result<(), SubscribeError> {
    let subscribed = async {
        if sharded {
            // One channel a command: Redis replies to each channel, and fred expects one reply to each command.
            for some in channels.chunks(CHANNELS_AT_ONCE) {
                try_join_all(some.iter().map(|channel| client.ssubscribe(channel.clone()))).await?;
            }
            return Ok(());
        }
        for some in channels.chunks(CHANNELS_AT_ONCE) {
            client.subscribe(some.to_vec()).await?;
        }
        // fred reports a subscription as done when it is written. The reply to a PING after it says that Redis has it.
        client.ping::<()>(None).await
    };
    match tokio::time::timeout(COMMAND_TIMEOUT, subscribed).await {
        Ok(Err(error)) if is_moved(&error) => Err(SubscribeError::Moved),
        Ok(result) => result.map_err(|error| SubscribeError::Failed(failed(error))),
        Err(_) => {
            let late = "Redis did not confirm a subscription in time".to_owned();
            Err(SubscribeError::Failed(StoreError::Unavailable(late)))
        }
    }
}

fn is_moved(error: &Error) -> bool {
    error.details().starts_with("MOVED")
}
