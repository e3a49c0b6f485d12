//! The operator of ChatClusters. For now it knows the resource and prints its definition; the
//! reconciler follows.

pub mod api;
pub mod manifest;
