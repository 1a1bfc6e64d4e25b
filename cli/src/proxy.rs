//! `greenroom proxy`: the gateway of a cluster in Kubernetes, on a port of this machine.
//!
//! Every connection goes to a pod that is ready when it is made. When a pod goes, its connections break, and whoever
//! connects again meets another pod: clients of Greenroom do so by themselves, and repeat what was not answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use crate::failure::{Failure, OrFail, Result};
use crate::kubernetes::{GatewayPods, KubernetesArgs};
use crate::output;
use crate::signals::Quit;

/// Forward a port of this machine to the gateway of a cluster in Kubernetes
///
/// Prints the address and runs until Ctrl-C. Any client can use the address: for example `Client::connect([ADDRESS])` in
/// Rust, or `greenroom-wordcount --gateway ADDRESS`. Whoever connects again after a pod has gone meets another pod.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = greenroom_crds::names::GATEWAY_PORT.1)]
    port: u16,
    #[command(flatten)]
    target: KubernetesArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    let cluster = args.target.find().await?;
    let mut quit = Quit::listen()?;
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(wanted).await.map_err(|error| {
        Failure::new(format!("cannot listen on {wanted}: {error}"))
            .hint("choose another port with --port, or let the system choose with --port 0")
    })?;
    let address = listener.local_addr().or_fail("cannot tell the port")?;
    output::print(&address.to_string())?;
    output::remark(format_args!("connections go to {cluster}; Ctrl-C ends"));
    tokio::select! {
        () = quit.asked() => Ok(()),
        failure = cluster.hopeless() => Err(failure),
        never = accept(&listener, cluster.gateways()) => match never {},
    }
}

async fn accept(listener: &TcpListener, pods: &Arc<GatewayPods>) -> std::convert::Infallible {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let pods = pods.clone();
                tokio::spawn(async move { serve(client, &pods).await });
            }
            // It went again before it was taken, or there are too many at the moment: the next one may do better.
            Err(error) => output::warn(format_args!("cannot take a connection: {error}")),
        }
    }
}

/// Copies both ways until one side ends.
async fn serve(mut client: TcpStream, pods: &GatewayPods) {
    let (pod, mut forward) = match pods.connect().await {
        Ok(connected) => connected,
        Err(error) => return output::warn(format_args!("a connection was turned away: {error}")),
    };
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut forward).await {
        output::remark(format_args!("a connection to {pod} broke: {error}"));
    }
}
