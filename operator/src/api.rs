//! The `ChatCluster` resource, `chatcluster.dev/v1alpha1`.

#![expect(unreachable_pub, reason = "kube's KubeSchema repeats a struct inside of a function")]

pub mod prometheus;
pub mod reason;
pub mod spec;
pub mod status;
