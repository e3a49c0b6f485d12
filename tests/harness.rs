//! What the scenarios stand on: processes that are started and surely stopped, and clients that miss nothing.

pub(crate) mod api_proxy;
pub(crate) mod browser;
pub(crate) mod bus_proxy;
pub(crate) mod chat;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod connect;
pub(crate) mod control_plane;
pub(crate) mod deployment;
pub(crate) mod dialogue;
pub(crate) mod faulty_proxy;
pub(crate) mod front;
pub(crate) mod helm;
pub(crate) mod herd;
pub(crate) mod inbox;
pub(crate) mod kubelet;
pub(crate) mod lifted_limits;
pub(crate) mod operator;
pub(crate) mod people;
pub(crate) mod polling;
pub(crate) mod ports;
pub(crate) mod prometheus;
pub(crate) mod reader;
pub(crate) mod redis;
pub(crate) mod redis_set;
pub(crate) mod setup;
pub(crate) mod spread;
pub(crate) mod stock;
pub(crate) mod traefik;

use std::future::Future;
use std::time::Duration;

pub(crate) use bus_proxy::BusProxy;
pub(crate) use client::Client;
pub(crate) use cluster::{Bus, Cluster, Node, Plan};
pub(crate) use connect::{Connect, Refusal};
pub(crate) use redis::{Redis, RedisAt};
pub(crate) use spread::Spread;

/// How long a test waits for one thing that must happen. Generous: the machines are slow and shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);

/// How long one whole test may take before it counts as hung.
const WHOLE_TEST: Duration = Duration::from_secs(300);

/// How long to wait between two looks where there is no event to wait for.
pub(crate) const INTERVAL: Duration = Duration::from_millis(25);

/// Runs a scenario on a runtime of its own.
pub(crate) fn run(scenario: impl Future<Output = ()>) {
    run_within(WHOLE_TEST, scenario);
}

/// Runs a scenario that may take so long.
pub(crate) fn run_within(limit: Duration, scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test");
    runtime.block_on(async {
        tokio::time::timeout(limit, scenario)
            .await
            .unwrap_or_else(|_| panic!("the whole test took longer than {limit:?}"));
    });
}

/// Looks again and again until there is an answer. Only for what sends no event.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "waited {DEADLINE:?} in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether the full size of a scenario is asked for, by this variable: it takes minutes.
pub(crate) fn is_full(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Sends a signal to one process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    let status =
        std::process::Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("the program `kill`");
    assert!(status.success(), "could not send SIG{name} to {pid}");
}

/// Makes a test of an `async fn` without arguments.
macro_rules! scenario {
    ($(#[$doc:meta])* async fn $name:ident() $body:block) => {
        $(#[$doc])*
        #[test]
        fn $name() {
            $crate::harness::run(async $body);
        }
    };
}

/// Makes two tests of an `async fn` that takes the bus: one node with the embedded broker, and nodes over Redis.
macro_rules! on_both {
    ($(#[$doc:meta])* async fn $name:ident($bus:ident) $body:block) => {
        $(#[$doc])*
        async fn $name($bus: $crate::harness::Bus) $body

        mod $name {
            #[test]
            fn embedded() {
                $crate::harness::run(super::$name($crate::harness::Bus::Embedded));
            }

            #[test]
            fn redis() {
                $crate::harness::run(super::$name($crate::harness::Bus::Redis));
            }
        }
    };
}
