//! The program `greenroom-placement-api`.

use anyhow::Context;
use clap::Parser;
use greenroom_placement_api::args::{Args, LogFormat};
use greenroom_placement_api::server;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log)
        .with_context(|| format!("--log {:?} is no filter; use for example info", args.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    let config =
        Config::infer().await.context("there is no Kubernetes here; run it in a pod, or set KUBECONFIG")?;
    let client = Client::try_from(config).context("the client for the API server cannot be made")?;
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    server::run(args, client, stop).await
}
