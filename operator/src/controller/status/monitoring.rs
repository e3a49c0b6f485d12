//! Condition Monitored.

use super::observed::{Finding, Observed};
use crate::api::prometheus::InstalledKinds;
use crate::api::reason::Reason;
use crate::api::spec::monitoring::Installed;

pub(super) fn assess(observed: &Observed<'_>) -> Finding {
    let asked = &observed.cluster.spec.monitoring;
    let InstalledKinds { pod_monitor, prometheus_rule } = observed.installed;
    let wanted = [
        (asked.pod_monitor, pod_monitor, "PodMonitor"),
        (asked.prometheus_rule, prometheus_rule, "PrometheusRule"),
        // Dashboards need the data of the PodMonitor.
        (asked.dashboards, pod_monitor, "PodMonitor"),
    ];
    let wanted: Vec<_> = wanted.into_iter().filter(|(asked, ..)| *asked == Installed::Auto).collect();
    if wanted.is_empty() {
        return Finding::no(Reason::MonitoringDisabled, "spec.monitoring disables all objects");
    }
    match wanted.iter().find(|(_, installed, _)| !installed) {
        Some((.., kind)) => Finding::no(
            Reason::PrometheusOperatorMissing,
            format!("the CRD of {kind} is not installed; the operator checks again every minute"),
        ),
        None => Finding::yes(Reason::MonitorsApplied, ""),
    }
}
