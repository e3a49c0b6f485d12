//! The two ports of a node: clients connect to the public one, operators ask the admin one.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::config::Config;
use super::files;
use crate::transport::http::admin_token::AdminToken;
use crate::transport::http::forwarded::Proxies;
use crate::transport::http::serve::{Port, whole_body};
use crate::transport::http::{analytics, api, base_path, gate, health, hosts, web};
use crate::transport::socketio::connection::listener::Connections;
use crate::transport::socketio::handshake_check;
use crate::transport::socketio::polling::{self, Polling};
use crate::transport::socketio::upgrade::{self, SocketService};
use crate::transport::socketio::{Context, PING_INTERVAL, PING_TIMEOUT};

/// Connections of the public port that are no client's: pages that are loaded.
const PAGE_CONNECTIONS: usize = 1_000;
/// The most connections of the admin port.
const ADMIN_CONNECTIONS: usize = 32;
/// Bytes of a request's body on the admin port.
const ADMIN_BODY: usize = 64 * 1024;

/// Both ports, while they are served.
pub(super) struct Listeners {
    tasks: [JoinHandle<()>; 2],
    stop: watch::Sender<bool>,
}

impl Listeners {
    /// Serves both ports.
    pub(super) fn serve(
        config: Config,
        context: &Context,
        service: SocketService,
        public: TcpListener,
        admin: TcpListener,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let serve = |listener, limit, routes| {
            let connections = Connections::new(listener, PING_INTERVAL + PING_TIMEOUT);
            tokio::spawn(Port::new(limit, context.metrics.clone()).serve(connections, routes, stopped.clone()))
        };
        let limit = public_connections(config.max_connections, files::client_connections());
        tracing::debug!(connections = limit, "the public port takes");
        let public = serve(public, limit, public_routes(&config, context, service));
        let admin = serve(admin, ADMIN_CONNECTIONS, admin_routes(config, context));
        Self { tasks: [public, admin], stop }
    }

    /// Closes both ports, and what holds them open.
    pub(super) fn close(self) {
        self.stop.send_replace(true);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The most connections of the public port: two for each client that polls, some for the page, and as files allow.
fn public_connections(max_clients: usize, files: Option<usize>) -> usize {
    let wanted =
        if max_clients == 0 { usize::MAX } else { max_clients.saturating_mul(2).saturating_add(PAGE_CONNECTIONS) };
    wanted.min(files.unwrap_or(usize::MAX))
}

fn public_routes(config: &Config, context: &Context, service: SocketService) -> Router {
    let proxies = Proxies::new(config.trusted_proxies.clone());
    let origins = Arc::new(gate::Origins::new(config.allowed_origins.clone(), proxies.clone()));
    let gate = gate::Gate {
        lifecycle: context.lifecycle.clone(),
        health: context.stores.health.clone(),
        metrics: context.metrics.clone(),
        origins: origins.clone(),
        proxies,
        strangers: context.strangers.clone(),
        clients: context.clients.clone(),
        max_connections: config.max_connections,
    };
    let sockets = ServiceBuilder::new()
        .layer(gate::cors(origins.clone()))
        .layer(from_fn(handshake_check::answer_errors))
        .layer(from_fn_with_state(gate, gate::guard))
        .layer(from_fn_with_state(Polling::new(context.outboxes.clone()), polling::serve_polling))
        .layer(from_fn_with_state(service.clone(), upgrade::take_over));
    let routes = Router::new()
        .route_service("/socket.io/", service)
        .layer(sockets)
        .fallback_service(
            Router::new()
                .fallback(web::public_page)
                .layer(map_response(web::secured))
                .layer(from_fn_with_state(origins, gate::strict_transport))
                .layer(CompressionLayer::new()),
        )
        .layer(from_fn_with_state(context.limits.max_payload, whole_body))
        .layer(from_fn_with_state(Arc::new(hosts::Hosts::new(&config.allowed_hosts, config.listen)), hosts::check))
        .layer(CatchPanicLayer::new())
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().remove(header::SERVER);
            response
        }));
    if config.base_path.is_root() {
        return routes;
    }
    let below = ServiceBuilder::new().layer(from_fn_with_state(config.base_path.clone(), base_path::take_off));
    Router::new().fallback_service(below.service(routes))
}

fn admin_routes(config: Config, context: &Context) -> Router {
    let advice = config.advice();
    let token = AdminToken::of(config.admin_token_file);
    let (health, reserve) = (context.stores.health.clone(), context.reserve.clone());
    health::router(context.lifecycle.clone(), health, reserve, context.metrics.clone(), advice)
        .merge(api::router(context.lifecycle.clone(), token.clone()))
        .merge(analytics::router(context.analytics.clone(), token))
        .layer(from_fn_with_state(ADMIN_BODY, whole_body))
}
