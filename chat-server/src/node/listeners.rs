//! The two ports of a node: clients connect to the public one, operators ask the admin one.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::config::Config;
use crate::transport::http::admin_token::AdminToken;
use crate::transport::http::{analytics, api, gate, health, web};
use crate::transport::socketio::connection::Connection;
use crate::transport::socketio::connection::listener::Connections;
use crate::transport::socketio::polling::{self, Polling};
use crate::transport::socketio::upgrade::{self, SocketService};
use crate::transport::socketio::{Context, PING_INTERVAL, PING_TIMEOUT};

/// Both ports, while they are served.
pub(super) struct Listeners {
    tasks: [JoinHandle<std::io::Result<()>>; 2],
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
        let public = Connections::new(public, PING_INTERVAL + PING_TIMEOUT);
        let routes = public_routes(&config, context, service).into_make_service_with_connect_info::<Connection>();
        let public = axum::serve(public, routes).with_graceful_shutdown(wait_for(stopped.clone()));
        let admin = axum::serve(admin, admin_routes(config, context)).with_graceful_shutdown(wait_for(stopped));
        Self { tasks: [tokio::spawn(public.into_future()), tokio::spawn(admin.into_future())], stop }
    }

    /// Closes both ports, and what holds them open.
    pub(super) fn close(self) {
        self.stop.send_replace(true);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone: stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn public_routes(config: &Config, context: &Context, service: SocketService) -> Router {
    let origins = Arc::new(gate::Origins::new(config.allowed_origins.clone(), config.trusted_proxies.clone()));
    let gate = gate::Gate {
        lifecycle: context.lifecycle.clone(),
        health: context.stores.health.clone(),
        metrics: context.metrics.clone(),
        origins: origins.clone(),
        sockets: Arc::new({
            let clients = context.clients.clone();
            move || clients.count()
        }),
        max_connections: config.max_connections,
    };
    let sockets = ServiceBuilder::new()
        .layer(gate::cors(origins))
        .layer(from_fn_with_state(gate, gate::guard))
        .layer(from_fn_with_state(Polling::new(context.outboxes.clone()), polling::split_long_responses))
        .layer(from_fn_with_state(service.clone(), upgrade::take_over));
    Router::new()
        .route_service("/socket.io/", service)
        .layer(sockets)
        .fallback_service(Router::new().fallback(web::public_page).layer(CompressionLayer::new()))
        .layer(CatchPanicLayer::new())
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().remove(header::SERVER);
            response
        }))
}

fn admin_routes(config: Config, context: &Context) -> Router {
    let token = AdminToken::of(config.admin_token_file);
    health::router(context.lifecycle.clone(), context.stores.health.clone(), context.metrics.clone())
        .merge(api::router(context.lifecycle.clone(), token.clone()))
        .merge(analytics::router(context.analytics.clone(), token))
}
