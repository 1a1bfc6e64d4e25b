//! Which cluster a command talks to.
//!
//! What the user asks for comes first: `--address`; `--data` and `--name`, a dev cluster; `--cluster`, `--namespace`,
//! `--context` and `--kubeconfig`, one in Kubernetes. Nobody may ask for two of them. Otherwise `kubectl greenroom` takes
//! Kubernetes, and `greenroom` the dev cluster that runs here, or Kubernetes if none runs and there is a kubeconfig.

mod dev;

pub(crate) use dev::{DATA_DIR, DevTarget, DevTargetArgs, Search, cluster_dirs};

use std::fmt;
use std::io::IsTerminal;

use greenroom_client::Client;
use tonic::transport::{Channel, Endpoint};

use crate::called_as::CalledAs;
use crate::cluster::connect;
use crate::failure::{Failure, OrFail, Result};
use crate::kubernetes::{self, KubernetesArgs, KubernetesCluster};
use crate::output;

/// Chooses a cluster.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    pub(crate) dev: DevTargetArgs,
    #[command(flatten)]
    pub(crate) kubernetes: KubernetesArgs,
    /// The node to talk to instead of a cluster: its gateway for `call`, its admin address for everything else
    #[arg(long, value_name = "HOST:PORT", help_heading = "Target", conflicts_with_all = ["DevTargetArgs", "KubernetesArgs"])]
    address: Option<String>,
}

/// Where the cluster is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this address, one node.
    Address(String),
    /// On this machine.
    Dev,
    /// In Kubernetes.
    Kubernetes,
    /// On this machine, and in Kubernetes if nothing runs here and there is a kubeconfig.
    DevOrKubernetes,
}

/// A cluster that a command talks to.
pub(crate) enum Target {
    /// One that `greenroom dev` runs on this machine.
    Dev(DevTarget),
    /// One node, at an address that the user gave.
    Address(String),
    /// One in Kubernetes.
    Kubernetes(Box<KubernetesCluster>),
}

/// A node that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminAddress {
    /// What to call it when it does not answer.
    pub(crate) name: String,
    /// Where its admin service is.
    pub(crate) at: At,
}

/// Where an admin service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// At an address.
    Address(String),
    /// In the pod with the node's name. A pod that is made again is another one.
    Pod {
        /// The pod's uid.
        uid: String,
    },
}

/// The nodes of a target at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// Those that can be asked.
    pub(crate) there: Vec<AdminAddress>,
    /// The names of those that should be there and are not.
    pub(crate) absent: Vec<String>,
}

impl Target {
    /// A client that calls actors. It does no I/O yet.
    pub(crate) fn client(&self) -> Result<Client> {
        let gateways = match self {
            Self::Kubernetes(cluster) => return Ok(cluster.client()),
            Self::Address(address) => vec![address.clone()],
            Self::Dev(DevTarget { endpoints, .. }) => {
                self.some_node(endpoints.nodes.is_empty())?;
                endpoints.nodes.iter().map(|node| node.gateway.clone()).collect()
            }
        };
        Client::connect(gateways).or_fail("cannot use the gateway's address")
    }

    /// Waits until it is known that no call can ever arrive; for most targets that is for ever.
    pub(crate) async fn hopeless(&self) -> Failure {
        match self {
            Self::Kubernetes(cluster) => cluster.hopeless().await,
            Self::Address(_) | Self::Dev(_) => std::future::pending().await,
        }
    }

    /// The nodes as they are now.
    pub(crate) async fn nodes(&self) -> Result<Nodes> {
        match self {
            Self::Kubernetes(cluster) => cluster.nodes().await,
            Self::Address(address) => {
                let name = format!("the node at {address}");
                Ok(Nodes {
                    there: vec![AdminAddress { name, at: At::Address(uri(address)) }],
                    absent: Vec::new(),
                })
            }
            Self::Dev(DevTarget { endpoints, .. }) => {
                self.some_node(endpoints.nodes.is_empty())?;
                let there = endpoints
                    .nodes
                    .iter()
                    .map(|node| AdminAddress { name: node.name.clone(), at: At::Address(uri(&node.admin)) });
                let absent =
                    endpoints.node_names().filter(|name| endpoints.nodes.iter().all(|n| n.name != *name));
                Ok(Nodes { there: there.collect(), absent: absent.collect() })
            }
        }
    }

    /// The same target as it is now: the nodes of a dev cluster change their addresses.
    pub(crate) fn refresh(&mut self) -> Result {
        let Self::Dev(cluster) = self else { return Ok(()) };
        if let Some(endpoints) = cluster.reread()? {
            cluster.endpoints = endpoints;
        }
        Ok(())
    }

    /// Connects to a node's admin service.
    pub(crate) async fn connect(&self, node: &AdminAddress) -> Result<Channel, String> {
        match (self, &node.at) {
            (Self::Kubernetes(cluster), At::Pod { .. }) => cluster.connect(&node.name).await,
            (_, At::Address(address)) => {
                let endpoint = Endpoint::from_shared(address.clone())
                    .map_err(|_| format!("{address:?} is no HOST:PORT"))?;
                connect(endpoint).await
            }
            (_, At::Pod { .. }) => unreachable!("only Kubernetes has pods"),
        }
    }

    fn some_node(&self, none: bool) -> Result {
        if none {
            return Err(Failure::new(format!("{self} has no running node"))
                .hint("it may still be starting: look at the terminal of `greenroom dev`, then try again")
                .hint("a stopped node is started with `greenroom dev start NODE`"));
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dev(DevTarget { endpoints, dir }) => {
                write!(f, "dev cluster {} in {}", endpoints.cluster, dir.display())
            }
            Self::Address(address) => write!(f, "the node at {address}, and no other"),
            Self::Kubernetes(cluster) => cluster.fmt(f),
        }
    }
}

impl TargetArgs {
    /// The cluster that the arguments choose; tells the user which one that is.
    pub(crate) async fn choose(&self) -> Result<Target> {
        let target = match self.place()? {
            Place::Address(address) => Target::Address(address),
            Place::Dev => return self.dev.choose().map(Target::Dev),
            Place::Kubernetes => Target::Kubernetes(Box::new(self.kubernetes.find().await?)),
            Place::DevOrKubernetes => match self.dev.search()? {
                Search::Found(cluster) => Target::Dev(cluster),
                Search::Nothing(_) if kubernetes::has_kubeconfig() => {
                    Target::Kubernetes(Box::new(self.kubernetes.find().await?))
                }
                Search::Nothing(failure) => {
                    return Err(failure.hint("for a cluster in Kubernetes: --kubeconfig FILE"));
                }
            },
        };
        announce(&target);
        Ok(target)
    }

    /// Where the arguments say that the cluster is.
    pub(crate) fn place(&self) -> Result<Place> {
        self.place_for(CalledAs::now(), dev::is_in_environment())
    }

    fn place_for(&self, called_as: CalledAs, dev_in_environment: bool) -> Result<Place> {
        if let Some(address) = &self.address {
            return Ok(Place::Address(address.clone()));
        }
        Ok(match called_as {
            _ if self.dev.is_given() && self.kubernetes.is_given() => {
                return Err(Failure::new("this asks for a dev cluster and for one in Kubernetes").hint(
                    "leave out --data and --name, or --cluster, --namespace, --context and --kubeconfig",
                ));
            }
            _ if self.dev.is_given() => Place::Dev,
            _ if self.kubernetes.is_given() => Place::Kubernetes,
            CalledAs::KubectlPlugin | CalledAs::KubectlCompletion => Place::Kubernetes,
            CalledAs::Greenroom if dev_in_environment => Place::Dev,
            CalledAs::Greenroom => Place::DevOrKubernetes,
        })
    }
}

fn announce(target: &Target) {
    if std::io::stderr().is_terminal() {
        output::remark(format_args!("target: {target}"));
    }
}

/// The address as tonic wants it.
fn uri(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::dev::endpoints::tests::demo;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        target: TargetArgs,
    }

    fn args(line: &str) -> Result<TargetArgs, String> {
        let line = ["greenroom"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(line).map(|line| line.target).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_user_asks_for_comes_before_the_name_of_the_program() {
        use CalledAs::{Greenroom, KubectlPlugin};
        for (line, called_as, in_environment, place) in [
            ("", Greenroom, false, Place::DevOrKubernetes),
            ("", Greenroom, true, Place::Dev),
            ("", KubectlPlugin, true, Place::Kubernetes),
            ("--data x", KubectlPlugin, false, Place::Dev),
            ("--name demo", Greenroom, false, Place::Dev),
            ("-n games", Greenroom, true, Place::Kubernetes),
            ("-c demo", Greenroom, false, Place::Kubernetes),
            ("--context kind", Greenroom, false, Place::Kubernetes),
            ("--kubeconfig f", Greenroom, false, Place::Kubernetes),
            ("--address a:1", KubectlPlugin, true, Place::Address("a:1".into())),
        ] {
            assert_eq!(args(line).unwrap().place_for(called_as, in_environment), Ok(place), "{line:?}");
        }
    }

    #[test]
    fn two_targets_at_once_are_refused() {
        for line in ["--data x --address a:1", "--name demo --address a:1", "-c demo --address a:1"] {
            let error = args(line).unwrap_err();
            assert!(error.contains("cannot be used with"), "{line}: {error}");
        }
        let both = args("--name demo -n games").unwrap().place_for(CalledAs::Greenroom, false).unwrap_err();
        assert!(both.to_string().contains("a dev cluster and for one in Kubernetes"), "{both}");
    }

    #[tokio::test]
    async fn nodes_that_should_be_there_and_are_not_are_absent() {
        let target = Target::Dev(DevTarget { endpoints: demo(1), dir: "x".into() });
        let nodes = target.nodes().await.unwrap();
        assert_eq!(nodes.absent, ["demo-1"]);
        assert_eq!(nodes.there[1].at, At::Address("http://127.0.0.1:4202".into()));
    }
}
