//! As whom a container runs.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::image::Image;

/// User, groups and what is taken from them.
#[derive(Clone)]
pub(super) struct Security {
    pub(super) user: u32,
    pub(super) group: u32,
    groups: Vec<u32>,
    capabilities: bool,
    no_new_privileges: bool,
    pub(super) read_only_root: bool,
}

/// The group that a Pod's volumes belong to.
pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    id(pod.spec.as_ref()?.security_context.as_ref()?.fs_group)
}

fn id(id: Option<i64>) -> Option<u32> {
    id.and_then(|id| u32::try_from(id).ok())
}

impl Security {
    /// What the Pod and the container say; or why the container must not be started.
    pub(super) fn of(pod: &Pod, container: &Container, image: &Image) -> Result<Self, String> {
        let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
        let own = container.security_context.clone().unwrap_or_default();
        let user = id(own.run_as_user.or(of_pod.run_as_user)).unwrap_or(image.user);
        let chosen = own.run_as_user.or(of_pod.run_as_user).is_some();
        let group = id(own.run_as_group.or(of_pod.run_as_group)).unwrap_or(if chosen { 0 } else { image.group });
        if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) && user == 0 {
            let meta = &pod.metadata;
            return Err(format!(
                "container has runAsNonRoot and image will run as root (pod: \"{}_{}({})\", container: {})",
                meta.name.as_deref().unwrap_or_default(),
                meta.namespace.as_deref().unwrap_or_default(),
                meta.uid.as_deref().unwrap_or_default(),
                container.name
            ));
        }
        let mut groups: Vec<u32> =
            of_pod.supplemental_groups.iter().flatten().filter_map(|&group| id(Some(group))).collect();
        groups.extend(id(of_pod.fs_group));
        let drops_all = own.capabilities.as_ref().and_then(|capabilities| capabilities.drop.as_ref());
        let drops_all = drops_all.is_some_and(|dropped| dropped.iter().any(|name| name == "ALL"));
        Ok(Self {
            user,
            group,
            groups,
            capabilities: user == 0 && !drops_all,
            no_new_privileges: own.allow_privilege_escalation == Some(false),
            read_only_root: own.read_only_root_filesystem == Some(true),
        })
    }

    /// The arguments of `setpriv`.
    pub(super) fn setpriv(&self) -> Vec<String> {
        let mut args = vec![format!("--reuid={}", self.user), format!("--regid={}", self.group)];
        if self.groups.is_empty() {
            args.push("--clear-groups".to_owned());
        } else {
            let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
            args.push(format!("--groups={}", groups.join(",")));
        }
        args.push("--inh-caps=-all".to_owned());
        // What a container runtime leaves to root.
        let left = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service";
        args.push(format!("--bounding-set={}", if self.capabilities { left } else { "-all" }));
        if self.no_new_privileges {
            args.push("--no-new-privs".to_owned());
        }
        args
    }
}
