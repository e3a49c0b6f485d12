//! Subscriptions on Redis. Each server has a subscriber, whose resubscriber restores its subscriptions.

pub(super) mod frames;
mod resubscriber;
pub(super) mod shared;
pub(super) mod subscribe;
pub(super) mod subscriber;
pub(super) mod subscriptions;
