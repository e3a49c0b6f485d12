//! `user:block`.

use serde::Deserialize;

use crate::domain::error::Refusal;
use crate::domain::id::UserId;
use crate::transport::socketio::request::{Call, Done, RateClass, Reply, Request};

/// Blocks a user, or ends that. A blocked user can't invite, open a direct message, or write in one. They are not told.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct UserBlock {
    user: UserId,
    on: bool,
}

impl Request for UserBlock {
    const NAME: &'static str = "user:block";
    const RATE: RateClass = RateClass::Change;
    const PROTECTS: bool = true;
    const EXAMPLE: &'static str = r#"{"user":"uQ7b","on":true}"#;
    type Answer = Done;

    async fn handle(self, call: Call<'_>) -> Result<Reply<Done>, Refusal> {
        call.context.rooms.block(call.actor, &self.user, self.on).await?;
        Ok(Done {}.into())
    }
}
