//! What is said of a Pod: kept as its parts change, and written to the API server when it differs.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::watch;

use super::{Host, node};

/// Now, in whole seconds as Kubernetes writes times.
pub(super) fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).expect("a time of this age"))
}

/// Which container of a Pod.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Init(usize),
    Main(usize),
}

/// What is known of a Pod while it lives here.
pub(super) struct State {
    pub(super) address: Option<Ipv4Addr>,
    pub(super) initialized: bool,
    /// Nothing of it runs any more, nor will.
    pub(super) ended: bool,
    init: Vec<ContainerStatus>,
    main: Vec<ContainerStatus>,
    conditions: Vec<PodCondition>,
    start_time: Time,
}

/// The state, and a bell.
pub(super) struct Record {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Record {
    pub(super) fn new(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default();
        let reason = if init.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let fresh = |container: &k8s_openapi::api::core::v1::Container| ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            started: Some(false),
            state: Some(waiting(reason, None)),
            ..ContainerStatus::default()
        };
        let state = State {
            address: None,
            initialized: init.is_empty(),
            ended: false,
            init: init.iter().map(fresh).collect(),
            main: spec.containers.iter().map(fresh).collect(),
            conditions: Vec::new(),
            start_time: now(),
        };
        Self { state: Mutex::new(state), changed: watch::channel(()).0 }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
    }

    pub(super) fn change_container(&self, place: Place, change: impl FnOnce(&mut ContainerStatus)) {
        self.change(|state| match place {
            Place::Init(number) => change(&mut state.init[number]),
            Place::Main(number) => change(&mut state.main[number]),
        });
    }
}

/// A container that waits, and for what.
pub(super) fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

/// Writes the status whenever it differs from what was written, until the Pod has ended here.
pub(super) async fn write(host: Arc<Host>, record: Arc<Record>, mut pod: watch::Receiver<Option<Arc<Pod>>>) {
    let Some(first) = pod.borrow().clone() else { return };
    let who = format!("{}/{}", first.namespace().unwrap_or_default(), first.name_any());
    let pods: Api<Pod> = Api::namespaced(host.client.clone(), &first.namespace().unwrap_or_default());
    let mut changed = record.changed.subscribe();
    let (mut latest, mut written) = (first, None);
    loop {
        changed.mark_unchanged();
        if let Some(pod) = pod.borrow_and_update().clone() {
            latest = pod;
        }
        let (status, ended) = {
            let mut state = record.state.lock().unwrap();
            (state.status(&latest), state.ended)
        };
        if written.as_ref() != Some(&status) {
            // Conditions of others, such as the scheduler's, stay: lists with keys are merged.
            let patch = Patch::Strategic(json!({"metadata": {"uid": latest.uid()}, "status": status}));
            let params = PatchParams::default();
            let name = latest.name_any();
            host.persist(&who, "status", || pods.patch_status(&name, &params, &patch)).await;
            written = Some(status);
        }
        if ended {
            return;
        }
        tokio::select! {
            _ = changed.changed() => {}
            // Others' conditions may count, for readiness gates.
            Ok(()) = pod.changed() => {}
        }
    }
}

impl State {
    fn status(&mut self, pod: &Pod) -> PodStatus {
        let spec = pod.spec.clone().unwrap_or_default();
        let phase = self.phase(spec.restart_policy.as_deref().unwrap_or("Always"));
        self.conditions = self.conditions(pod, phase);
        let node = spec.node_name.as_deref().and_then(node::number).map(node::address);
        let address = self.address.map(|address| address.to_string());
        PodStatus {
            phase: Some(phase.to_owned()),
            conditions: Some(self.conditions.clone()),
            host_ip: node.clone(),
            host_ips: node.map(|ip| vec![HostIP { ip }]),
            pod_ip: address.clone(),
            pod_ips: address.map(|ip| vec![PodIP { ip }]),
            start_time: Some(self.start_time.clone()),
            init_container_statuses: (!self.init.is_empty()).then(|| self.init.clone()),
            container_statuses: Some(self.main.clone()),
            ..PodStatus::default()
        }
    }

    fn phase(&self, restart_policy: &str) -> &'static str {
        let state = |container: &ContainerStatus| container.state.clone().unwrap_or_default();
        let last_code = |container: &ContainerStatus| {
            let terminated =
                state(container).terminated.or(container.last_state.clone().unwrap_or_default().terminated);
            terminated.map(|terminated| terminated.exit_code)
        };
        let running = self.main.iter().filter(|container| state(container).running.is_some()).count();
        let never_started =
            self.main.iter().filter(|container| state(container).running.is_none() && last_code(container).is_none());
        let never_started = never_started.count();
        let all_succeeded = self.main.iter().all(|container| last_code(container) == Some(0));
        let some_stopped = running + never_started < self.main.len();
        if self.ended {
            return if all_succeeded { "Succeeded" } else { "Failed" };
        }
        let init_failed = self
            .init
            .iter()
            .any(|container| state(container).terminated.is_some_and(|terminated| terminated.exit_code != 0));
        if restart_policy == "Never" && init_failed {
            return "Failed";
        }
        if !self.initialized || never_started > 0 {
            return "Pending";
        }
        match restart_policy {
            _ if running > 0 => "Running",
            "Always" => "Running",
            _ if some_stopped && all_succeeded => "Succeeded",
            "Never" => "Failed",
            _ => "Running",
        }
    }

    fn conditions(&self, pod: &Pod, phase: &str) -> Vec<PodCondition> {
        let unready: Vec<&str> =
            self.main.iter().filter(|container| !container.ready).map(|container| container.name.as_str()).collect();
        let (reason, message) = match phase {
            "Succeeded" => (Some("PodCompleted"), None),
            "Failed" => (Some("PodFailed"), None),
            _ if unready.is_empty() => (None, None),
            _ => (Some("ContainersNotReady"), Some(format!("containers with unready status: [{}]", unready.join(" ")))),
        };
        let all_ready = reason.is_none();
        let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
        let present = pod.status.clone().unwrap_or_default().conditions.unwrap_or_default();
        let is_true =
            |kind: &str| present.iter().any(|condition| condition.type_ == kind && condition.status == "True");
        let closed: Vec<&str> = gates.map(|gate| gate.condition_type.as_str()).filter(|kind| !is_true(kind)).collect();
        let (gate_reason, gate_message) = if all_ready && !closed.is_empty() {
            (Some("ReadinessGatesNotReady"), Some(format!("the status of pod readiness gates is not True: {closed:?}")))
        } else {
            (reason, message.clone())
        };
        let uninitialized: Vec<&str> =
            self.init.iter().filter(|container| !container.ready).map(|container| container.name.as_str()).collect();
        let init_reason = (!self.initialized).then_some("ContainersNotInitialized");
        let init_message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
        vec![
            self.condition("PodReadyToStartContainers", self.address.is_some() && !self.ended, None, None),
            self.condition("Initialized", self.initialized, init_reason, init_reason.map(|_| init_message)),
            self.condition("ContainersReady", all_ready, reason, message),
            self.condition("Ready", gate_reason.is_none(), gate_reason, gate_message),
        ]
    }

    fn condition(&self, kind: &str, is: bool, reason: Option<&str>, message: Option<String>) -> PodCondition {
        let status = if is { "True" } else { "False" };
        let before = self.conditions.iter().find(|condition| condition.type_ == kind && condition.status == status);
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: before.map_or_else(|| Some(now()), |before| before.last_transition_time.clone()),
            ..PodCondition::default()
        }
    }
}
