//! The real kubectl.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::super::setup;

/// What it said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// What it printed; it must have succeeded.
    pub(crate) fn expect_ok(self) -> String {
        assert_eq!(self.code, 0, "it failed:\n{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it complained of; it must have failed.
    pub(crate) fn expect_refusal(self) -> String {
        assert_ne!(self.code, 0, "it succeeded:\n{}", self.stdout);
        self.stderr
    }
}

/// kubectl with a kubeconfig.
pub(crate) struct Kubectl {
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    pub(super) fn new(kubeconfig: &Path, folder: &Path) -> Self {
        // Where it caches what the API server knows.
        Self { kubeconfig: kubeconfig.to_owned(), home: folder.join("home") }
    }

    /// Runs it.
    pub(crate) async fn run(&self, args: &[&str]) -> Answer {
        self.input(args, "").await
    }

    /// Runs it, with a text at its standard input.
    pub(crate) async fn input(&self, args: &[&str], text: &str) -> Answer {
        let mut child = Command::new(setup::go_tool("kubectl"))
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program `kubectl`");
        let mut stdin = child.stdin.take().expect("its input");
        // It may not want to hear it all.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("what kubectl says");
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
