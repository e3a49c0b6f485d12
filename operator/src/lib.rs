//! Kubernetes operator that reconciles ChatClusters.

pub mod api;
pub mod controller;
pub mod crd_check;
pub mod http;
pub mod leader;
pub mod manifest;
pub mod metrics;
pub mod run;
