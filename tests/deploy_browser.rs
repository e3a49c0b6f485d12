//! The whole in a browser: Chromium, and a chat as people find it.

use std::path::Path;
use std::time::Duration;

use crate::harness::browser::play;
use crate::harness::deployment::{Deployment, NODES};
use crate::harness::{Bus, Plan, run, run_within};

/// Images may have to be built first, on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1_800);

/// A page of this origin may connect, though nginx does not serve it.
const ALLOWED: &str = "http://allowed.example:8080";

/// What the script shows is in `browser/chat.mjs`. `start` is told the origin, and answers nothing where it can't start.
pub(crate) async fn chat_through_nginx(start: impl AsyncFnOnce(&str) -> Option<Deployment>) {
    let Some(mut deployment) = start(ALLOWED).await else { return };
    let url = deployment.url();
    play("chat.mjs", &[&url, ALLOWED], async |what, which| match what {
        "kill" => deployment.kill(which),
        "scale" => deployment.scale(which.parse().expect("a number")).await,
        _ => panic!("@{what} {which}?"),
    })
    .await;
    deployment.stop();
}

/// What the page needs for it: that it makes before it breaks, and that the node says when.
pub(crate) async fn restart_nodes_in_turn(start: impl AsyncFnOnce(&str) -> Option<Deployment>) {
    let Some(mut deployment) = start(ALLOWED).await else { return };
    let url = deployment.url();
    play("rolling.mjs", &[&url, &NODES.to_string()], async |what, which| match what {
        "restart" => deployment.restart(which).await,
        _ => panic!("@{what} {which}?"),
    })
    .await;
    deployment.stop();
}

#[test]
fn people_in_browsers_chat_through_nginx_on_several_nodes() {
    run_within(PATIENCE, chat_through_nginx(async |origin| Some(Deployment::processes(origin).await)));
}

#[test]
fn people_in_browsers_do_not_notice_a_rolling_restart() {
    run_within(PATIENCE, restart_nodes_in_turn(async |origin| Some(Deployment::processes(origin).await)));
}

/// With `UPDATE=1` it replaces the one in `docs/images`.
#[test]
fn the_screenshot_of_the_readme_can_be_taken() {
    run(async {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let folder = tempfile::TempDir::new().expect("a folder for the screenshot");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images/chat.png");
        let file = if std::env::var_os("UPDATE").is_some() { page } else { folder.path().join("chat.png") };
        let arguments = [&*cluster.node(0).url(), file.to_str().expect("UTF-8")];
        play("screenshot.mjs", &arguments, async |what, _| panic!("@{what}?")).await;
        let bytes = std::fs::metadata(&file).expect("the screenshot").len();
        assert!((20_000..300_000).contains(&bytes), "{bytes} bytes");
    });
}

/// The views are in `browser/axe.mjs`.
#[test]
fn no_view_of_the_page_breaks_a_rule_of_accessibility() {
    run(async {
        let mut cluster = Plan::on(Bus::Embedded).start().await;
        let url = cluster.node(0).url();
        play("axe.mjs", &[&url], async |what, which| match (what, which) {
            ("kill", "node-0") => cluster.node_mut(0).kill(),
            _ => panic!("@{what} {which}?"),
        })
        .await;
    });
}
