//! One run of a node, from its start to its end: as a process of its own, or, for tests, inside this process.

use std::path::PathBuf;

use greenroom::config::NodeArgs;
use greenroom::node::{Node, Types};
use greenroom::{Counter, KeyValue};
use tokio::sync::watch;

use super::child::{Child, RunningChild};

/// How a node is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The node's name.
    pub(crate) node: String,
    /// Where its log is.
    pub(crate) log: PathBuf,
    /// What is started.
    pub(crate) what: What,
}

/// What is started for a node.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A process.
    Child(Child),
    /// The stock node, in this process.
    InProcess(Box<NodeArgs>),
}

/// A node that runs.
pub(crate) enum Run {
    /// As a process.
    Child(RunningChild),
    /// In this process.
    InProcess(Node),
}

/// How a node ended that was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// By itself.
    Cleanly,
    /// It had to be killed.
    Killed,
}

impl Launch {
    /// Starts the node. The error says why that cannot be.
    pub(crate) async fn start(&self) -> Result<Run, String> {
        match &self.what {
            What::Child(child) => child.spawn().map(Run::Child).map_err(|error| error.to_string()),
            What::InProcess(args) => {
                let config = args.as_ref().clone().resolve().map_err(|error| error.to_string())?;
                let types: Types = Box::new(|engine| engine.register::<Counter>().register::<KeyValue>());
                let node = Node::start(config, types).await.map_err(|error| error.to_string())?;
                Ok(Run::InProcess(node))
            }
        }
    }
}

impl Run {
    /// The process that the node runs in.
    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Child(child) => child.pid(),
            Self::InProcess(_) => std::process::id(),
        }
    }

    /// Waits until the node ends without being asked to, and says how. Dropping the future changes nothing.
    pub(crate) async fn ended(&mut self) -> String {
        match self {
            Self::Child(child) => child.ended().await,
            Self::InProcess(node) => node.failed().await.to_string(),
        }
    }

    /// Asks the node to stop and waits until it has. `hurry` becomes true when it is to be killed.
    pub(crate) async fn stop(self, hurry: &mut watch::Receiver<bool>) -> Stopped {
        match self {
            Self::Child(child) => child.stop(hurry).await,
            Self::InProcess(node) => {
                node.shutdown().await;
                Stopped::Cleanly
            }
        }
    }
}
