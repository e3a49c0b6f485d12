//! What is left of the options of Redis in a program that is built without it.

use clap::Args;

/// The option that asks for Redis: it is refused with a reason.
#[derive(Debug, Clone, Args)]
pub struct RedisOptions {
    /// URL of the Redis that all nodes share; this program was built without Redis support
    #[arg(id = "redis-url", long, env = "CHAT_REDIS_URL", value_name = "URL", hide = true, hide_env_values = true)]
    pub url: Option<String>,
}
