//! Reads the configuration and runs a node.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use chat_server::node::config::{Cli, Command, Config};
use chat_server::node::server;
use chat_server::observability::logs;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

/// Connections that may wait to be taken in. With the 128 of the standard library, most of those who
/// come at once, after another node's death say, try again a second later; the kernel has a limit of
/// its own, mostly 4096.
const BACKLOG: u32 = 4096;

fn main() -> ExitCode {
    let cli = Cli::read();
    let done = match cli.command {
        Some(Command::Healthcheck) => healthcheck(cli.config.admin_listen),
        None => serve(cli.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    config.check().map_err(anyhow::Error::msg)?;
    logs::init(config.telemetry.log_format);
    let listener = bind(config.listen, "--listen")?;
    let admin = bind(config.admin_listen, "--admin-listen")?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    };
    Ok(server::run(config, listener, admin, shutdown).await?)
}

fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("can't listen on {address}; choose another with {flag}"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The image has no shell and no curl, so the binary asks itself.
fn healthcheck(admin: SocketAddr) -> anyhow::Result<()> {
    let host = if admin.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { admin.ip() };
    let timeout = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(host, admin.port()), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    if answer.split(' ').nth(1) != Some("200") {
        bail!("not ready: {}", answer.lines().last().unwrap_or_default());
    }
    Ok(())
}
