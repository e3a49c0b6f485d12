//! Leader election: the replica that holds the Lease is active.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use self::decision::{Decision, decide};
use crate::metrics::{LeaseAttempt, Metrics};

pub mod decision;

/// Duration of the Lease.
const DURATION: Duration = Duration::from_secs(15);
/// How often the leader renews the Lease, and the others check it.
const RENEWAL: Duration = Duration::from_secs(3);
/// How long the leader stays active without a renewal. Shorter than [`DURATION`], so that it stops
/// before another replica starts.
const DEADLINE: Duration = Duration::from_secs(10);

/// This replica's participation in the election.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The Lease as last observed, and since when it is unchanged.
    observed: Option<(LeaseSpec, Instant)>,
    /// When this replica requested its last successful renewal.
    renewed: Instant,
    metrics: Metrics,
}

impl Election {
    /// Participates in the election for a Lease.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, metrics: Metrics) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            observed: None,
            renewed: Instant::now(),
            metrics,
        }
    }

    /// Waits until this replica holds the Lease.
    pub async fn acquire(&mut self) {
        let mut logged = String::new();
        loop {
            let requested_at = Instant::now();
            match self.attempt().await {
                Ok(Attempt::Held) => {
                    self.renewed = requested_at;
                    return;
                }
                Ok(Attempt::Other(holder)) => {
                    if logged != holder {
                        tracing::info!(holder, "waiting: another replica is the leader");
                        logged = holder;
                    }
                }
                Err(error) => tracing::warn!(%error, "can't acquire the Lease; retrying"),
            }
            tokio::time::sleep(RENEWAL).await;
        }
    }

    /// Renews the Lease. Returns when renewals have failed for too long or another replica holds
    /// it. Safe to cancel and call again.
    pub async fn hold(&mut self) {
        loop {
            let left = DEADLINE.saturating_sub(self.renewed.elapsed());
            tokio::time::sleep(RENEWAL.min(left)).await;
            let left = DEADLINE.saturating_sub(self.renewed.elapsed());
            // The time of the request, not of the response: others count from when the Lease was
            // written.
            let requested_at = Instant::now();
            match tokio::time::timeout(left, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => self.renewed = requested_at,
                // A conflict with another write, such as an annotation.
                Ok(Ok(Attempt::Other(holder))) if holder.is_empty() => {}
                Ok(Ok(Attempt::Other(holder))) => {
                    tracing::error!(holder, "another replica holds the Lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, "can't renew the Lease; retrying"),
                Err(_) => {
                    tracing::error!("could not renew the Lease for {} seconds", DEADLINE.as_secs());
                    return;
                }
            }
        }
    }

    /// Releases the Lease, so that another replica does not wait for it to expire.
    pub async fn release(mut self) {
        let result = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                self.replace(&lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(RENEWAL, result).await {
            tracing::warn!(%error, "can't release the Lease; it expires by itself");
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, kube::Error> {
        let result = self.try_attempt().await;
        self.metrics.lease_attempt(match &result {
            Ok(Attempt::Held) => LeaseAttempt::Held,
            Ok(Attempt::Other(_)) => LeaseAttempt::Other,
            Err(_) => LeaseAttempt::Error,
        });
        result
    }

    async fn try_attempt(&mut self) -> Result<Attempt, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let Some(mut lease) = lease else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.claim(None)) };
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(Attempt::Held),
                Err(error) if is_conflict(&error) => Ok(Attempt::Other(String::new())),
                Err(error) => Err(error),
            };
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let unchanged = match &self.observed {
            Some((observed, since)) if *observed == spec => since.elapsed(),
            _ => {
                self.observed = Some((spec.clone(), Instant::now()));
                Duration::ZERO
            }
        };
        match decide(&spec, &self.identity, unchanged) {
            Decision::Wait => Ok(Attempt::Other(spec.holder_identity.unwrap_or_default())),
            Decision::Acquire | Decision::Renew => {
                lease.spec = Some(self.claim(Some(&spec)));
                match self.replace(&lease).await {
                    Ok(()) => Ok(Attempt::Held),
                    // Another replica was faster, so the resource version differs.
                    Err(error) if is_conflict(&error) => Ok(Attempt::Other(String::new())),
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn replace(&mut self, lease: &Lease) -> Result<(), kube::Error> {
        let lease = self.api.replace(&self.name, &PostParams::default(), lease).await?;
        self.observed = lease.spec.map(|spec| (spec, Instant::now()));
        Ok(())
    }

    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let same = before.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: same.and_then(|spec| spec.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if before.is_none() || same.is_some() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// Result of an attempt.
enum Attempt {
    /// This replica holds the Lease.
    Held,
    /// Another replica holds it; empty if unknown which.
    Other(String),
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
