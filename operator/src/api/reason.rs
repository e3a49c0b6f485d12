//! Reasons: one closed list for conditions, Events, logs and metrics.

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident => $remedy:literal,)+) => {
        /// The reason of a condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The value in conditions, Events, logs and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),+),)+ }
            }

            /// What to do about it; empty if nothing needs to be done.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

reasons! {
    /// No problem is known.
    AsExpected => "",
    /// At least one node accepts clients.
    NodesReady => "",
    /// No node accepts clients.
    NoNodeReady => "See the conditions Degraded and RedisReady, then the pods: `kubectl describe pods`, `kubectl logs`.",
    /// `spec.replicas` is 0.
    ScaledToZero => "Set `spec.replicas`.",
    /// Pods are being replaced, added or removed.
    RollingOut => "",
    /// All pods match the spec.
    RolloutComplete => "",
    /// A rollout made no progress for ten minutes. The old pods keep running.
    RolloutStalled => "See the condition Degraded. Fix the cause or revert the spec.",
    /// Fewer nodes are ready than desired.
    NodesMissing => "If it persists, see `kubectl describe pods`.",
    /// The image of a pod can't be pulled.
    ImagePullFailed => "Check `spec.image` (or `spec.redis.managed.image`) and `spec.image.pullSecrets`.",
    /// A container can't be created from its configuration.
    ContainerConfigError => "The message names what is missing: a Secret, a ConfigMap, or a key of one that `spec.pod.extraEnv` refers to.",
    /// A container crashes repeatedly.
    ContainerCrashing => "The message has the last lines of its log. For more, see `kubectl logs --previous`.",
    /// No Kubernetes node has room for a pod.
    Unschedulable => "Add Kubernetes nodes or lower `spec.pod.resources`. Check `nodeSelector`, `tolerations` and `affinity`.",
    /// The namespace's ResourceQuota is exhausted.
    QuotaExceeded => "Raise the ResourceQuota, or lower `spec.replicas` or `spec.pod.resources`.",
    /// The API server rejects the pods.
    PodsRefused => "See the API server's message: a LimitRange, Pod Security or an admission policy rejects them.",
    /// The API server rejected an object that the operator applied.
    ApplyFailed => "See the API server's message. The operator retries.",
    /// Redis is reachable and ready.
    RedisAnswers => "",
    /// The chat has no Redis; its data is in the memory of one pod.
    Embedded => "",
    /// Redis is starting.
    RedisStarting => "",
    /// Redis can't be reached.
    RedisUnreachable => "Check `spec.redis.external.endpoints`, and NetworkPolicies and firewalls between the nodes and Redis.",
    /// Redis rejects the user name or password.
    RedisAuthenticationFailed => "Correct the Secret in `spec.redis.external.credentialsSecretRef`, or the user in Redis.",
    /// The TLS handshake with Redis fails: the nodes do not trust Redis' certificate, or Redis does not trust theirs.
    RedisTlsFailed => "Check the CA and the client certificate in `spec.redis.external.tls`. Redis' certificate must contain the endpoint's name.",
    /// The Redis user lacks permissions.
    RedisRightsMissing => "Grant the commands and keys that the message names. See docs/redis.md for the ACL rules.",
    /// Redis evicts messages when its memory is full.
    RedisEvicts => "Set `maxmemory-policy noeviction` in Redis.",
    /// Redis answers and refuses: it is a replica, its memory or its disk is full, it loads, runs a script, or its Cluster is down.
    RedisRefuses => "The message says why. See the runbook ChatBrokerDown.",
    /// Redis is not configured for `spec.delivery.durability`.
    RedisNotDurable => "Set the Redis options that the message names, or choose another `spec.delivery.durability`.",
    /// The StorageClass does not exist, so Redis has no volume.
    StorageClassNotFound => "Create the StorageClass, or recreate the ChatCluster with another one.",
    /// The Service is ready.
    ServiceReady => "",
    /// An ingress controller serves the Ingress.
    IngressReady => "",
    /// No ingress controller has admitted the Ingress yet.
    IngressPending => "Check that an ingress controller serves `spec.exposure.ingress.className`.",
    /// The LoadBalancer Service has no address yet.
    LoadBalancerPending => "Check that the cluster supports Services of type LoadBalancer.",
    /// The spec and what it refers to are valid.
    Valid => "",
    /// A field has a value that the schema accepts but the operator can't use.
    InvalidValue => "Correct the field that the message names.",
    /// A Secret that the spec refers to does not exist.
    SecretNotFound => "Create the Secret in the ChatCluster's namespace.",
    /// A Secret lacks a key that the spec refers to, or its value is empty.
    SecretKeyNotFound => "Add the key, or refer to another one.",
    /// `spec.pod.extraEnv` contains a variable that the operator sets.
    ReservedVariable => "Remove the variable and use the field of the spec.",
    /// An object with a name that the operator needs belongs to another owner.
    NameConflict => "Delete that object, or create the ChatCluster under another name.",
    /// `spec.autoscaling` is not set.
    NotAutoscaled => "",
    /// The desired number of nodes is within its limits.
    WithinLimits => "",
    /// The load asks for more nodes than `spec.autoscaling.maxReplicas`.
    AtMaxReplicas => "Raise `spec.autoscaling.maxReplicas`, or let a node carry more: `targetConnectionsPerPod`, `spec.pod.resources`.",
    /// The load asks for fewer nodes than `spec.autoscaling.minReplicas`.
    AtMinReplicas => "",
    /// A ready node does not report its number of sockets. The operator does not scale down until it does.
    MetricsMissing => "See `kubectl describe pod` and `kubectl logs`. Check that no NetworkPolicy blocks the operator from port 9090 of the pods.",
    /// Fewer nodes are enough, but not yet for `spec.autoscaling.scaleDown.stabilizationSeconds`.
    Stabilizing => "",
    /// Fewer nodes are enough. The operator scales down when the rollout is complete.
    RolloutInProgress => "",
    /// No node was removed with clients left.
    DrainsComplete => "",
    /// A node still had clients at its drain deadline and is removed. Its clients reconnect and miss nothing.
    DrainTimedOut => "If it had too many clients, raise `spec.drain.timeoutSeconds` or `spec.drain.connectionsPerSecond`. Otherwise see the pod's log.",
    /// The objects for Prometheus and Grafana are applied.
    MonitorsApplied => "",
    /// The Prometheus Operator's CRDs are not installed, or only some of them.
    PrometheusOperatorMissing => "None if you do not use it. Otherwise install it; the operator creates the objects within minutes.",
    /// `spec.monitoring` disables all objects.
    MonitoringDisabled => "",
    /// Reconciliation is active.
    NotPaused => "",
    /// Reconciliation is paused until `spec.paused` is false.
    Paused => "",
    /// Not known yet.
    Unknown => "",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
