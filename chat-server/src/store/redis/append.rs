//! Sends concurrent appends together: those to one topic are coalesced, those to different topics are batched.

pub(super) mod batcher;
pub(super) mod coalescer;
