//! The whole in a browser, in the containers of `docker-compose.yml`.

use crate::deploy_browser::{PATIENCE, chat_through_nginx, restart_nodes_in_turn};
use crate::harness::deployment::{Compose, Deployment};
use crate::harness::run_within;

/// The containers, or nothing where there is no engine: `make setup-all` starts one where it can.
fn containers(origin: &str) -> Option<Deployment> {
    if let Some(reason) = Compose::missing() {
        println!("not run: {reason}");
        return None;
    }
    Some(Deployment::compose(origin))
}

#[test]
fn people_in_browsers_chat_through_nginx_on_several_containers() {
    run_within(PATIENCE, chat_through_nginx(async |origin| containers(origin)));
}

#[test]
fn people_in_browsers_do_not_notice_a_rolling_restart_of_containers() {
    run_within(PATIENCE, restart_nodes_in_turn(async |origin| containers(origin)));
}
