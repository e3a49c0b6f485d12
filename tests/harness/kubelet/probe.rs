//! The probes of a running container.

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;
use tokio::time::{Instant, sleep, timeout};

use super::handler::Target;

/// How soon a probe is tried again that has not succeeded yet. Failures count once a period only, as they should; but a
/// success need not wait for the next period, and neither a test.
const EAGER: Duration = Duration::from_millis(200);

/// What the probes find out.
pub(super) enum Finding {
    Started,
    Ready(bool),
}

/// Probes a container until it has to be killed, and says why; as long as all is well, it doesn't end.
pub(super) async fn watch(target: &Target, mut tell: impl FnMut(Finding)) -> String {
    let container = &target.container;
    if let Some(startup) = &container.startup_probe
        && let Err(problem) = first_success(target, startup).await
    {
        return format!("Container {} failed startup probe: {problem}", container.name);
    }
    tell(Finding::Started);
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => keep_ready(target, probe, |ready| tell(Finding::Ready(ready))).await,
            None => {
                tell(Finding::Ready(true));
                std::future::pending().await
            }
        }
    };
    let liveness = async {
        match &container.liveness_probe {
            Some(probe) => first_failure(target, probe).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        never = readiness => never,
        problem = liveness => format!("Container {} failed liveness probe: {problem}", container.name),
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default))
}

fn delay(probe: &Probe) -> Duration {
    Duration::from_secs(probe.initial_delay_seconds.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
}

fn threshold(value: Option<i32>, default: i32) -> i32 {
    value.unwrap_or(default).max(1)
}

async fn once(target: &Target, probe: &Probe) -> Result<(), String> {
    let asked = async {
        if let Some(get) = &probe.http_get {
            target.http(get).await
        } else if let Some(socket) = &probe.tcp_socket {
            target.tcp(&socket.port).await
        } else if let Some(exec) = &probe.exec {
            target.exec(exec.command.as_deref().unwrap_or_default()).await
        } else {
            Err("a probe of a kind that is not known here".to_owned())
        }
    };
    let limit = seconds(probe.timeout_seconds, 1);
    timeout(limit, asked).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// Ends at the first success, or with the failure that was one too many.
async fn first_success(target: &Target, probe: &Probe) -> Result<(), String> {
    let period = seconds(probe.period_seconds, 10);
    sleep(delay(probe)).await;
    let (mut failures, mut next) = (0, Instant::now());
    loop {
        match once(target, probe).await {
            Ok(()) => return Ok(()),
            Err(problem) if Instant::now() >= next => {
                failures += 1;
                next += period;
                if failures >= threshold(probe.failure_threshold, 3) {
                    return Err(problem);
                }
            }
            Err(_) => {}
        }
        sleep(EAGER.min(period)).await;
    }
}

async fn keep_ready(target: &Target, probe: &Probe, mut tell: impl FnMut(bool)) -> String {
    let period = seconds(probe.period_seconds, 10);
    sleep(delay(probe)).await;
    let (mut ready, mut in_a_row) = (false, 0);
    loop {
        if once(target, probe).await.is_ok() == ready {
            in_a_row = 0;
        } else {
            in_a_row += 1;
        }
        let enough = if ready { (probe.failure_threshold, 3) } else { (probe.success_threshold, 1) };
        if in_a_row >= threshold(enough.0, enough.1) {
            (ready, in_a_row) = (!ready, 0);
            tell(ready);
        }
        sleep(if ready || in_a_row > 0 { period } else { EAGER.min(period) }).await;
    }
}

/// Ends with the failure that was one too many.
async fn first_failure(target: &Target, probe: &Probe) -> String {
    let mut failures = 0;
    sleep(delay(probe)).await;
    loop {
        match once(target, probe).await {
            Ok(()) => failures = 0,
            Err(problem) => {
                failures += 1;
                if failures >= threshold(probe.failure_threshold, 3) {
                    return problem;
                }
            }
        }
        sleep(seconds(probe.period_seconds, 10)).await;
    }
}
