//! What a cluster needs beside Kubernetes itself, in one process: names, volumes, network policies.
//!
//! Each agent looks at objects that a watch keeps in memory, and acts whenever one of them changes: it compares what
//! should be with what is, so it does not matter which changes it has seen, nor how often it starts.

mod dns;
mod policy;
mod volumes;
mod watched;

use std::path::PathBuf;

use crate::error::Result;
use crate::kubeconfig;

pub(crate) use volumes::{PROVISIONER, STORAGE_CLASS};

/// What the agents are told.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The cluster's folder.
    #[arg(long)]
    cluster: PathBuf,
    /// Who they are.
    #[arg(long)]
    kubeconfig: PathBuf,
}

/// Runs all agents until one fails, which none does by itself.
///
/// # Errors
/// When the kubeconfig or the DNS port cannot be used.
pub async fn run(args: &Args) -> Result<()> {
    let client = kubeconfig::client(&args.kubeconfig).await?;
    tokio::try_join!(
        dns::run(client.clone()),
        volumes::run(client.clone(), &args.cluster),
        policy::run(client),
    )?;
    Ok(())
}
