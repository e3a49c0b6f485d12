//! A real Prometheus, of Debian's package, that reads what a test starts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tempfile::TempDir;

use super::{ports, until};

/// The labels of an alert, and of what is read.
pub(crate) type Labels = BTreeMap<String, String>;

/// One that reads every second; killed when dropped.
pub(crate) struct Prometheus {
    at: String,
    child: Child,
    folder: TempDir,
    targets: Vec<serde_json::Value>,
}

/// An alert that is about to fire, or does.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    pub(crate) state: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    result: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

impl Prometheus {
    /// Starts it with these rules, and nothing to read yet.
    pub(crate) async fn start(rules: &[PathBuf]) -> Self {
        let folder = TempDir::with_prefix("chatcluster-prometheus-").expect("a folder");
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "test",
                "file_sd_configs": [{"files": [folder.path().join("targets.json")], "refresh_interval": "1s"}],
            }],
        });
        // JSON is YAML, too.
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).expect("a configuration");
        let listen = ports::free();
        let log = File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={listen}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program `prometheus`, which `make setup` installs");
        let this = Self { at: format!("http://{listen}"), child, folder, targets: Vec::new() };
        until("Prometheus is ready", || async {
            let answer = reqwest::get(format!("{}/-/ready", this.at)).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        this
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.at
    }

    /// Reads this address as well, and puts these labels on what it finds.
    pub(crate) fn read(&mut self, address: &str, labels: &[(&str, &str)]) {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.targets.push(json!({"targets": [address], "labels": labels}));
        let (new, file) = (self.folder.path().join("targets.new"), self.folder.path().join("targets.json"));
        fs::write(&new, json!(self.targets).to_string()).expect("the targets");
        // At once: it may be looked at at any time.
        fs::rename(new, file).expect("the targets");
    }

    /// How many series an expression gives now.
    ///
    /// # Errors
    /// Prometheus' words.
    pub(crate) async fn ask(&self, expression: &str) -> Result<usize, String> {
        self.get::<Found>("query", &[("query", expression)]).await.map(|found| found.result.len())
    }

    /// The alerts that are about to fire, or do.
    pub(crate) async fn alerts(&self) -> Vec<Alert> {
        self.get::<Alerts>("alerts", &[]).await.expect("alerts").alerts
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, what: &str, form: &[(&str, &str)]) -> Result<T, String> {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.at)).expect("a URL");
        url.query_pairs_mut().extend_pairs(form);
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let answer: Answer<T> = answer.json().await.map_err(|error| error.to_string())?;
        answer.data.ok_or_else(|| answer.error.unwrap_or_default())
    }

    /// What it logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // One that ended by itself is what the log tells of.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- prometheus ---\n{}", self.log());
        }
    }
}

/// The metrics that an expression selects, each as it is selected.
pub(crate) fn selectors(expression: &str) -> Vec<String> {
    const METRICS: [&str; 3] = ["chat_", "process_", "namespace_chatcluster"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(is_name) {
        let length = rest[at..].find(|c| !is_name(c)).unwrap_or(rest.len() - at);
        let (name, after) = rest[at..].split_at(length);
        let braces = if after.starts_with('{') { after.find('}').map_or(0, |end| end + 1) } else { 0 };
        if METRICS.iter().any(|start| name.starts_with(start)) || name == "up" {
            found.push(format!("{name}{}", &after[..braces]));
        }
        rest = &after[braces..];
    }
    found
}

/// The file of a dashboard.
pub(crate) fn dashboards() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chat-operator/monitoring/dashboards");
    let files = fs::read_dir(folder).expect("the dashboards");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}
