//! One container: prepared, started, watched, ended, and started again.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated, Pod,
};
use kube::ResourceExt;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::environment::Environment;
use super::handler::Target;
use super::image::{self, Missing};
use super::probe::{self, Finding};
use super::process::Process;
use super::sandbox::{Mount, Sandbox, make_places};
use super::security::Security;
use super::status::{Place, Record, now, waiting};
use super::{Host, Known, PATIENCE};

/// How long to wait before a container is started again, at first and at most. The first time it is not waited for.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How long it has to run to be forgiven.
const FORGIVEN: Duration = Duration::from_secs(60);
/// When to look again for what a container needs.
const RETRY: Duration = Duration::from_millis(500);
/// How much of a log becomes a message.
const LAST_WORDS: (usize, usize) = (80, 2048);

/// The Pod has to end, by then.
#[derive(Clone, Copy)]
pub(super) struct Stop(pub(super) Instant);

/// A container of a Pod.
pub(super) struct Container {
    pub(super) host: Arc<Host>,
    pub(super) pod: Arc<Pod>,
    pub(super) known: Arc<Known>,
    pub(super) spec: Spec,
    pub(super) place: Place,
    pub(super) record: Arc<Record>,
    pub(super) entry: [String; 2],
    pub(super) address: Ipv4Addr,
    pub(super) volumes: Arc<BTreeMap<String, PathBuf>>,
    pub(super) stop: watch::Receiver<Option<Stop>>,
}

/// Why it can't be started yet: a reason and a message.
struct NotYet(&'static str, String);

impl Container {
    /// Runs it, again and again as its Pod says, until it is not to be started again; whether it succeeded.
    pub(super) async fn run(mut self) -> bool {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.clone()).unwrap_or_default();
        let (mut restarts, mut pause) = (0, Duration::ZERO);
        loop {
            let Some(sandbox) = self.prepared().await else { return false };
            self.host.say(&self.who(), &format!("{} is being started", self.spec.name));
            let began = Instant::now();
            let terminated = self.once(Arc::new(sandbox), restarts).await;
            let code = terminated.exit_code;
            self.host.say(&self.who(), &format!("{} ended with {code}", self.spec.name));
            self.record.change_container(self.place, |status| {
                // A finished init container counts as ready, as long as the Pod lives.
                status.ready = matches!(self.place, Place::Init(_)) && code == 0;
                status.started = Some(false);
                status.state =
                    Some(ContainerState { terminated: Some(terminated.clone()), ..ContainerState::default() });
            });
            let again = match (policy.as_str(), self.place) {
                ("Never", _) => false,
                ("OnFailure", _) | (_, Place::Init(_)) => code != 0,
                _ => true,
            };
            if !again || self.stop.borrow().is_some() {
                return code == 0;
            }
            if began.elapsed() > FORGIVEN {
                pause = Duration::ZERO;
            }
            let last = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
            if !pause.is_zero() {
                let message = format!(
                    "back-off {pause:?} restarting failed container={} pod={}_{}({})",
                    self.spec.name,
                    self.pod.name_any(),
                    self.pod.namespace().unwrap_or_default(),
                    self.pod.uid().unwrap_or_default()
                );
                self.record.change_container(self.place, |status| {
                    status.state = Some(waiting("CrashLoopBackOff", Some(message)));
                    status.last_state = Some(last.clone());
                });
                if self.stopped_within(pause).await {
                    return false;
                }
            }
            pause = (pause * 2).clamp(BACK_OFF.0, BACK_OFF.1);
            restarts += 1;
            self.record.change_container(self.place, |status| {
                status.last_state = Some(last);
                status.restart_count = restarts;
            });
        }
    }

    fn who(&self) -> String {
        format!("{}/{}", self.pod.namespace().unwrap_or_default(), self.pod.name_any())
    }

    async fn stopped_within(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = sleep(time) => false,
            _ = self.stop.wait_for(Option::is_some) => true,
        }
    }

    /// Waits until there is all that it needs; nothing if the Pod has to end before.
    async fn prepared(&mut self) -> Option<Sandbox> {
        let mut pulled = false;
        loop {
            if self.stop.borrow().is_some() {
                return None;
            }
            let NotYet(mut reason, mut message) = match timeout(PATIENCE, self.prepare()).await {
                Ok(Ok(sandbox)) => return Some(sandbox),
                Ok(Err(not_yet)) => not_yet,
                Err(_) => NotYet("CreateContainerConfigError", format!("not within {PATIENCE:?}")),
            };
            if reason == "ErrImagePull" && std::mem::replace(&mut pulled, true) {
                reason = "ImagePullBackOff";
                let image = self.spec.image.as_deref().unwrap_or_default();
                message = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
            }
            self.host.say(&self.who(), &format!("{}: {reason}: {message}", self.spec.name));
            self.record.change_container(self.place, |status| status.state = Some(waiting(reason, Some(message))));
            if self.stopped_within(RETRY).await {
                return None;
            }
        }
    }

    async fn prepare(&self) -> Result<Sandbox, NotYet> {
        let image = image::find(self.spec.image.as_deref().unwrap_or_default()).map_err(|missing| match missing {
            Missing::Invalid(message) => NotYet("InvalidImageName", message),
            Missing::Unknown(message) => NotYet("ErrImagePull", message),
        })?;
        let config = |message| NotYet("CreateContainerConfigError", message);
        let security = Security::of(&self.pod, &self.spec, &image).map_err(config)?;
        let environment = Environment::of(&self.host, &self.pod, &self.spec).await.map_err(config)?;
        let mounts = self.mounts(&environment).map_err(config)?;
        let etc = self.known.folder.join("etc");
        make_places(&etc, &mounts);
        let expand = |words: &Option<Vec<String>>| -> Vec<String> {
            words.iter().flatten().map(|word| environment.expand(word)).collect()
        };
        // A command takes the place of the entrypoint, and with it of the image's own arguments.
        let mut command = expand(&self.spec.command);
        if command.is_empty() {
            command = image.entrypoint.iter().map(|&word| word.to_owned()).collect();
        }
        command.extend(expand(&self.spec.args));
        let folder = self.known.folder.join("termination");
        std::fs::create_dir_all(&folder).expect("a folder for messages");
        let message = folder.join(&self.spec.name);
        std::fs::write(&message, "").expect("a file for a message");
        std::fs::set_permissions(&message, PermissionsExt::from_mode(0o666)).expect("its mode");
        let path = self.spec.termination_message_path.as_deref().filter(|path| !path.is_empty());
        Ok(Sandbox {
            entry: self.entry.clone(),
            hostname: self
                .pod
                .spec
                .as_ref()
                .and_then(|spec| spec.hostname.clone())
                .unwrap_or_else(|| self.pod.name_any()),
            etc,
            termination_log: (message, path.unwrap_or("/dev/termination-log").to_owned()),
            mounts,
            workdir: self.spec.working_dir.clone().unwrap_or_else(|| image.workdir.to_owned()),
            image,
            security,
            environment: environment.into_pairs(),
            command,
        })
    }

    fn mounts(&self, environment: &Environment) -> Result<Vec<Mount>, String> {
        let volumes = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let written: Vec<&str> = volumes
            .filter(|volume| {
                volume.empty_dir.is_some() || volume.persistent_volume_claim.is_some() || volume.host_path.is_some()
            })
            .map(|volume| volume.name.as_str())
            .collect();
        let mut mounts = Vec::new();
        for mount in self.spec.volume_mounts.iter().flatten() {
            let volume = self.volumes.get(&mount.name).ok_or_else(|| format!("no volume {}", mount.name))?;
            let below = mount.sub_path.clone().or(mount.sub_path_expr.as_ref().map(|path| environment.expand(path)));
            let from = below.map_or_else(|| volume.clone(), |below| volume.join(below));
            if !from.exists() {
                std::fs::create_dir_all(&from).map_err(|error| error.to_string())?;
            }
            let read_only = mount.read_only == Some(true) || !written.contains(&mount.name.as_str());
            let to = mount.mount_path.trim_end_matches('/').to_owned();
            mounts.push(Mount { from: from.canonicalize().map_err(|error| error.to_string())?, to, read_only });
        }
        // What is mounted inside of another mount comes after it.
        mounts.sort_by_key(|mount| mount.to.matches('/').count());
        Ok(mounts)
    }

    /// Starts it once, and tells how it ended.
    async fn once(&mut self, sandbox: Arc<Sandbox>, restarts: i32) -> ContainerStateTerminated {
        let logs = self.known.folder.join("logs");
        std::fs::create_dir_all(&logs).expect("a folder for logs");
        let log = logs.join(format!("{}.log", self.spec.name));
        let printed = std::fs::metadata(&log).map_or(0, |data| data.len());
        let started_at = now();
        let id = format!("bubblewrap://{}-{}-{restarts}", self.pod.uid().unwrap_or_default(), self.spec.name);
        let ended = |code: i32, reason: &str, message: Option<String>| ContainerStateTerminated {
            exit_code: code,
            reason: Some(reason.to_owned()),
            message,
            container_id: Some(id.clone()),
            started_at: Some(started_at.clone()),
            finished_at: Some(now()),
            signal: None,
        };
        let mut process = match Process::start(&mut sandbox.command(&log)).await {
            Ok(process) => process,
            Err(error) => return ended(128, "StartError", Some(error.to_string())),
        };
        let pid = process.pid;
        self.known.pids.set(&self.spec.name, pid);
        self.host.say(&self.who(), &format!("{} started as {pid:?}", self.spec.name));
        self.record.change_container(self.place, |status| {
            let running = ContainerStateRunning { started_at: Some(started_at.clone()) };
            status.state = Some(ContainerState { running: Some(running), ..ContainerState::default() });
            status.container_id = Some(id.clone());
            status.image_id = format!("tests/{}", status.image);
            status.started = Some(self.spec.startup_probe.is_none());
        });
        let code = match pid {
            Some(pid) => self.watch(&mut process, Arc::clone(&sandbox), pid).await,
            None => process.ended().await,
        };
        self.known.pids.set(&self.spec.name, None);
        let text = std::fs::read(&log).unwrap_or_default();
        let text =
            String::from_utf8_lossy(&text[usize::try_from(printed).expect("a length").min(text.len())..]).into_owned();
        let last_words = last_words(&text);
        if pid.is_none()
            && code != 0
            && (last_words.contains("setpriv: failed to execute") || last_words.starts_with("bwrap: "))
        {
            let message = format!("failed to create containerd task: failed to create shim task: {last_words}");
            return ended(128, "StartError", Some(message));
        }
        let mut message = std::fs::read_to_string(&sandbox.termination_log.0).unwrap_or_default();
        let from_log = self.spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        if message.is_empty() && code != 0 && from_log {
            message = last_words;
        }
        ended(code, if code == 0 { "Completed" } else { "Error" }, Some(message).filter(|text| !text.is_empty()))
    }

    /// Waits for its end, or brings it about when its probes or its Pod say so.
    async fn watch(&mut self, process: &mut Process, sandbox: Arc<Sandbox>, pid: u32) -> i32 {
        let target = Target { address: self.address, container: self.spec.clone(), sandbox, pid };
        let lifecycle = self.spec.lifecycle.clone().unwrap_or_default();
        if let Some(hook) = &lifecycle.post_start
            && let Err(problem) = target.hook(hook).await
        {
            self.host.say(&self.who(), &format!("{}: FailedPostStartHook: {problem}", self.spec.name));
            return self.terminate(process, &target, self.grace()).await;
        }
        let (record, place) = (Arc::clone(&self.record), self.place);
        let probing = probe::watch(&target, |finding| {
            record.change_container(place, |status| match finding {
                Finding::Started => status.started = Some(true),
                Finding::Ready(ready) => status.ready = ready && matches!(place, Place::Main(_)),
            });
        });
        let mut stop = self.stop.clone();
        let deadline = tokio::select! {
            code = process.ended() => return code,
            problem = probing => {
                self.host.say(&self.who(), &problem);
                self.grace()
            }
            stop = stop.wait_for(Option::is_some) => match stop.ok().and_then(|stop| *stop) {
                Some(Stop(deadline)) => deadline,
                None => Instant::now(),
            },
        };
        self.terminate(process, &target, deadline).await
    }

    fn grace(&self) -> Instant {
        let seconds = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// `preStop`, SIGTERM, and SIGKILL when the time is over.
    async fn terminate(&mut self, process: &mut Process, target: &Target, mut deadline: Instant) -> i32 {
        if let Some(hook) = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) {
            tokio::select! {
                code = process.ended() => return code,
                done = timeout_at(deadline, target.hook(hook)) => match done {
                    Ok(Ok(())) => {}
                    Ok(Err(problem)) => self.host.say(&self.who(), &format!("FailedPreStopHook: {problem}")),
                    // A hook that took all the time leaves a little for the program.
                    Err(_) => deadline = Instant::now() + Duration::from_secs(2),
                },
                // Shortened: no time for it.
                () = hurried(&mut self.stop, deadline) => {}
            }
        }
        process.signal(Signal::TERM);
        tokio::select! {
            code = process.ended() => return code,
            () = sleep_until(deadline) => {}
            () = hurried(&mut self.stop, deadline) => {}
        }
        process.signal(Signal::KILL);
        process.ended().await
    }
}

/// Waits until the Pod has to end earlier than then.
async fn hurried(stop: &mut watch::Receiver<Option<Stop>>, deadline: Instant) {
    let earlier = |stop: &Option<Stop>| stop.is_some_and(|Stop(new)| new + Duration::from_secs(1) < deadline);
    if stop.wait_for(earlier).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let text = lines[lines.len().saturating_sub(LAST_WORDS.0)..].join("\n");
    let mut from = text.len().saturating_sub(LAST_WORDS.1);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}
