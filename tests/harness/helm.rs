//! The real helm, and the operator's chart.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::control_plane::{Answer, Cluster};
use super::setup;

/// The folder of the operator's chart.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chat-operator")
}

/// helm, with all rights in a cluster or with none to talk to.
pub(crate) struct Helm {
    kubeconfig: PathBuf,
    home: TempDir,
}

impl Helm {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self { kubeconfig: cluster.kubeconfig(), ..Self::alone() }
    }

    /// For what needs no cluster.
    pub(crate) fn alone() -> Self {
        Self { kubeconfig: PathBuf::from("/nowhere"), home: tempfile::tempdir().expect("a folder") }
    }

    /// Runs it.
    pub(crate) async fn run(&self, args: &[&str]) -> Answer {
        let output = Command::new(setup::go_tool("helm"))
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", self.home.path())
            .env("HELM_CONFIG_HOME", self.home.path())
            .env("HELM_DATA_HOME", self.home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("the program `helm`");
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
