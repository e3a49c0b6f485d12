//! How a container is laid out: its root, its mounts, its user.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::image::Image;
use super::security::Security;

/// Something of this machine at a path in a container.
pub(super) struct Mount {
    pub(super) from: PathBuf,
    pub(super) to: String,
    pub(super) read_only: bool,
}

/// All that is needed to start a container.
pub(super) struct Sandbox {
    /// The arguments of `nsenter` that lead into the Pod.
    pub(super) entry: [String; 2],
    pub(super) hostname: String,
    pub(super) etc: PathBuf,
    pub(super) termination_log: (PathBuf, String),
    pub(super) mounts: Vec<Mount>,
    pub(super) image: Image,
    pub(super) security: Security,
    pub(super) workdir: String,
    pub(super) environment: Vec<(String, String)>,
    pub(super) command: Vec<String>,
}

impl Sandbox {
    /// The command that starts it.
    pub(super) fn command(&self, log: &Path) -> Command {
        let log = File::options().create(true).append(true).open(log).expect("the log of a container");
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .args(&self.entry)
            .args(["/usr/bin/bwrap", "--die-with-parent", "--unshare-pid", "--as-pid-1", "--unshare-ipc"])
            .args(["--unshare-uts", "--hostname", &self.hostname]);
        self.root(&mut command);
        command.args(["--chdir", &self.workdir, "--"]);
        command.arg(if self.image.distroless { "/.setpriv" } else { "/usr/bin/setpriv" });
        command.args(self.security.setpriv()).arg("--").args(&self.command);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .kill_on_drop(true);
        command
    }

    fn root(&self, command: &mut Command) {
        command.args(["--tmpfs", "/"]);
        // A debug build reads the page from where it was built.
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/dist").replace("tests/dist", "chat-server/web/dist");
        // Bubblewrap would make what leads to a mount for root alone.
        let mounted = self.mounts.iter().map(|mount| mount.to.as_str());
        for place in
            mounted.chain(["/usr/lib", "/usr/local/bin/program", &page]).filter(|place| !place.starts_with("/etc/"))
        {
            for (at, _) in place.match_indices('/').skip(1) {
                command.args(["--perms", "0755", "--dir", &place[..at]]);
            }
        }
        let system: &[&str] = if self.image.distroless { &["/usr/lib", "/usr/lib64"] } else { &["/usr"] };
        for folder in system {
            command.args(["--ro-bind-try", folder, folder]);
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            command.args(["--symlink", &format!("usr/{link}"), &format!("/{link}")]);
        }
        if self.image.distroless {
            command.args(["--ro-bind", "/usr/bin/setpriv", "/.setpriv"]);
        }
        if let Some((here, there)) = &self.image.program {
            command.arg("--ro-bind").arg(here).arg(there);
            command.args(["--ro-bind-try", &page, &page]);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--dir", "/tmp"]);
        if self.image.workdir != "/" {
            command.args(["--perms", "0777", "--dir", self.image.workdir]);
        }
        command.arg("--ro-bind").arg(&self.etc).arg("/etc");
        for shared in ["/etc/ssl", "/etc/alternatives"] {
            command.args(["--ro-bind-try", shared, shared]);
        }
        for mount in &self.mounts {
            command.arg(if mount.read_only { "--ro-bind" } else { "--bind" }).arg(&mount.from).arg(&mount.to);
        }
        command.arg("--bind").arg(&self.termination_log.0).arg(&self.termination_log.1);
        if self.security.read_only_root {
            command.args(["--remount-ro", "/"]);
        }
    }

    /// A command in the container whose main process this is, as its user.
    pub(super) fn exec(&self, pid: u32, argv: &[String]) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command.args(["--target", &pid.to_string(), "--mount", "--net", "--uts", "--ipc", "--pid"]);
        command.arg(format!("--wdns={}", self.workdir));
        command.arg(if self.image.distroless { "/.setpriv" } else { "/usr/bin/setpriv" });
        // Who takes too long ends with nsenter, which is ended then.
        command.args(self.security.setpriv()).args(["--pdeathsig", "KILL", "--"]).args(argv);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Makes the places in a Pod's `/etc` at which something is mounted, for it can't be written to later.
pub(super) fn make_places(etc: &Path, mounts: &[Mount]) {
    for mount in mounts {
        let Some(below) = mount.to.strip_prefix("/etc/") else { continue };
        let place = etc.join(below);
        if mount.from.is_dir() {
            std::fs::create_dir_all(&place).expect("a place for a mount");
        } else {
            std::fs::create_dir_all(place.parent().expect("a folder")).expect("a place for a mount");
            std::fs::write(&place, "").expect("a place for a mount");
        }
    }
}
