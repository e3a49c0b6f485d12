//! What `make test-all` adds to `make test`: scenarios that need Kubernetes, Traefik, helm, containers or another Redis
//! than the machine's own. `make setup-all` builds or installs those; nothing of `make test` needs them.
//!
//! The name of this module is the mechanism: `make test` skips every test of the workspace whose path contains
//! `platform::`, `make test-platform` runs only those. `tidy` refuses a scenario elsewhere that names what only
//! `make setup-all` gives.

mod compose;
mod monitoring_live;
mod operator_admission;
mod operator_chart;
mod operator_control_plane;
mod operator_crashes;
mod operator_drain;
mod operator_herd;
mod operator_idle;
mod operator_ingress;
mod operator_install;
mod operator_kubelet;
mod operator_metrics;
mod operator_repair;
mod operator_scale;
mod operator_trouble;
mod redis_8;
