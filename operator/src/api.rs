//! The `ChatCluster` resource, `chatcluster.dev/v1alpha1`.

pub mod spec;
