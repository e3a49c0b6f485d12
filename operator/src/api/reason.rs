//! Why a condition is as it is: one closed list for conditions, Events, logs and metrics.

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident => $remedy:literal,)+) => {
        /// A reason, in the words of [`Reason::as_str`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word, as it stands in conditions, Events, logs and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),+),)+ }
            }

            /// What to do about it; empty where nothing is to be done.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

reasons! {
    /// Nothing is wrong.
    AsExpected => "",
    /// At least one node takes clients.
    NodesReady => "",
    /// No node takes clients.
    NoNodeReady => "See Degraded and RedisReady, then the pods: `kubectl describe pods`, `kubectl logs`.",
    /// It was asked for no node at all.
    ScaledToZero => "Set spec.replicas.",
    /// Pods are being replaced, added or removed.
    RollingOut => "",
    /// All pods are as asked for.
    RolloutComplete => "",
    /// A rollout made no progress for ten minutes. The old pods go on.
    RolloutStalled => "See Degraded; mend it or put the spec back.",
    /// Some of the nodes that were asked for are not ready.
    NodesMissing => "If it lasts: `kubectl describe pods`.",
    /// The image of a pod can't be had.
    ImagePullFailed => "Check spec.image (or spec.redis.managed.image) and its pullSecrets.",
    /// A container can't be made of its configuration.
    ContainerConfigError => "The message says what is missing: a Secret, a ConfigMap or a key in it that spec.pod.extraEnv names.",
    /// A container ends again and again.
    ContainerCrashing => "The message has its last words; more by `kubectl logs --previous`.",
    /// No machine has room for a pod.
    Unschedulable => "Add machines, or lower spec.pod.resources; check nodeSelector, tolerations and affinity.",
    /// The namespace's quota allows no further pod.
    QuotaExceeded => "Raise the ResourceQuota, or lower spec.replicas or spec.pod.resources.",
    /// The cluster refuses the pods.
    PodsRefused => "The message has the cluster's own words: a LimitRange, pod security or an admission policy.",
    /// The API server refused something that the operator wrote.
    ApplyFailed => "The message has the API server's own words; it is tried again by itself.",
    /// Redis answers.
    RedisAnswers => "",
    /// There is no Redis: the chat is in its pod's memory.
    Embedded => "",
    /// Redis is not up yet.
    RedisStarting => "",
    /// Redis can't be reached.
    RedisUnreachable => "Check spec.redis.external.endpoints, and what lies between: a NetworkPolicy, a firewall.",
    /// Redis refuses the user or the password.
    RedisAuthenticationFailed => "Mend the Secret that spec.redis.external.credentialsSecretRef names, or the user in Redis.",
    /// TLS to Redis fails: its certificate is not trusted, or it does not take that of the nodes.
    RedisTlsFailed => "Check spec.redis.external.tls: the CA, the client certificate; and that the certificate of Redis has the name of the endpoint.",
    /// The user of Redis may not do all that the nodes need.
    RedisRightsMissing => "Give the user what the message names; docs/redis.md has the rules.",
    /// Redis throws messages away when it is full.
    RedisEvicts => "Set maxmemory-policy noeviction in Redis.",
    /// Redis can't keep messages as spec.delivery.durability asks for.
    RedisNotDurable => "Set in Redis what the message names, or ask for another spec.delivery.durability.",
    /// There is no such StorageClass, so Redis has no volume.
    StorageClassNotFound => "Make the StorageClass; or make the ChatCluster anew with another one.",
    /// The Service is there.
    ServiceReady => "",
    /// An ingress controller serves the Ingress.
    IngressReady => "",
    /// No ingress controller has taken the Ingress yet.
    IngressPending => "Check that a controller serves spec.exposure.ingress.className.",
    /// A Service of the type LoadBalancer has no address yet.
    LoadBalancerPending => "Check that something in this cluster serves Services of the type LoadBalancer.",
    /// What was asked for can be built.
    Valid => "",
    /// A value in the spec is one that the schema lets through and that can't be carried out.
    InvalidValue => "The message names the field.",
    /// A Secret that the spec names is missing.
    SecretNotFound => "Make it, in the ChatCluster's namespace.",
    /// A Secret has no such key, or nothing in it.
    SecretKeyNotFound => "Add the key, or name another in the spec.",
    /// spec.pod.extraEnv has a variable that the operator sets itself.
    ReservedVariable => "Use the field of the spec instead.",
    /// Something of a name that the operator needs is there and belongs to somebody else.
    NameConflict => "Remove it, or make a ChatCluster of another name.",
    /// There is no spec.autoscaling: spec.replicas alone says how many nodes there are.
    NotAutoscaled => "",
    /// As many nodes as are asked for.
    WithinLimits => "",
    /// More nodes are asked for than spec.autoscaling.maxReplicas.
    AtMaxReplicas => "Raise spec.autoscaling.maxReplicas, or let a node bear more: targetConnectionsPerPod, spec.pod.resources.",
    /// Fewer nodes are asked for than spec.autoscaling.minReplicas.
    AtMinReplicas => "",
    /// A node does not say how many sockets it has: none is taken away until it does.
    MetricsMissing => "See the pod: `kubectl describe pod`, `kubectl logs`; and whether a NetworkPolicy keeps the operator from port 9090 of the pods.",
    /// Fewer nodes would do, but not yet for spec.autoscaling.scaleDown.stabilizationSeconds.
    Stabilizing => "",
    /// Fewer nodes would do; none is taken away before all pods are as asked for.
    RolloutInProgress => "",
    /// Every node that went had handed its clients over.
    DrainsComplete => "",
    /// A node had not handed over all its clients at its time-out, and goes without. Each of them comes back by itself and misses nothing.
    DrainTimedOut => "Raise spec.drain.timeoutSeconds or spec.drain.connectionsPerSecond if it had too many; else see the pod's log.",
    /// What Prometheus and Grafana need is there.
    MonitorsApplied => "",
    /// The definitions of the Prometheus Operator are not installed, or not all.
    PrometheusOperatorMissing => "Nothing, if you don't use it. Else install it; its objects follow with the next change, or within minutes.",
    /// Nothing of it is asked for.
    MonitoringDisabled => "",
    /// Changes are carried out.
    NotPaused => "",
    /// Nothing is changed until spec.paused is false.
    Paused => "",
    /// Not known yet.
    Unknown => "",
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
