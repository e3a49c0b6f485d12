//! Condition Monitored.

use super::observed::{Finding, Observed};
use crate::api::prometheus::InstalledKinds;
use crate::api::reason::Reason;
use crate::api::spec::monitoring::Installed;

pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let spec = &observed.cluster.spec.monitoring;
    let InstalledKinds { pod_monitor, prometheus_rule } = observed.installed;
    let requested = [
        (spec.pod_monitor, pod_monitor, "PodMonitor"),
        (spec.prometheus_rule, prometheus_rule, "PrometheusRule"),
        // Dashboards need the data of the PodMonitor.
        (spec.dashboards, pod_monitor, "PodMonitor"),
    ];
    let requested: Vec<_> = requested.into_iter().filter(|(spec, ..)| *spec == Installed::Auto).collect();
    if requested.is_empty() {
        return Finding::no(Reason::MonitoringDisabled, "spec.monitoring disables all objects");
    }
    match requested.iter().find(|(_, installed, _)| !installed) {
        Some((.., kind)) => Finding::no(
            Reason::PrometheusOperatorMissing,
            format!("the CRD of {kind} is not installed; the operator checks again every minute"),
        ),
        None => Finding::yes(Reason::MonitorsApplied, ""),
    }
}
