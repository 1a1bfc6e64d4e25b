//! The runtime: a node inside your program, and typed references to actors wherever they are.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use greenroom_core::actor::{Actor, ActorMethods, Method};
use greenroom_core::engine::deactivate_anywhere;
use greenroom_core::filter::Filter;
use greenroom_core::index::Query;
use greenroom_core::reference::{ActorRef, Call};
use greenroom_core::workflow::{Workflow, WorkflowRef};
use greenroom_core::{ActorId, CallError, Topic, broadcast};
use greenroom_proto::v1;
use thiserror::Error;

use crate::config::{ConfigError, NodeArgs, NodeConfig, StorageEngine};
use crate::node::{Node, NodeError, Types};
use crate::shutdown;
use crate::telemetry::{self, TelemetryError};

/// Why a runtime cannot start or go on.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logs or traces cannot start.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The node cannot start or go on.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The signals of the process cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(std::io::Error),
}

/// A node inside your program. Cheap to clone; the node runs until [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Runtime(Arc<Node>);

impl Runtime {
    /// A cluster of one node in this process, its state in memory unless [`data_dir`](RuntimeBuilder::data_dir) is
    /// set.
    pub fn local() -> RuntimeBuilder {
        Self::with_config(NodeConfig::local())
    }

    /// A node of the cluster that the environment names: what a pod, and `greenroom dev`, sets.
    pub fn from_env() -> RuntimeBuilder {
        let config = NodeArgs::from_env().and_then(NodeArgs::resolve);
        RuntimeBuilder { config, types: Box::new(|engine| engine) }
    }

    /// A node with this configuration.
    pub fn with_config(config: NodeConfig) -> RuntimeBuilder {
        RuntimeBuilder { config: Ok(config), types: Box::new(|engine| engine) }
    }

    /// A typed reference to an actor, wherever it is. Its calls are repeated, with the same call id, while nobody can
    /// serve them, until their deadline.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        ActorRef::new(self.0.origin(), key.as_ref()).into()
    }

    /// A reference to a workflow, wherever it runs: to start it, to tell it something, to ask for its result.
    pub fn workflow<W: Workflow>(&self, key: impl AsRef<str>) -> WorkflowRef<W> {
        WorkflowRef::new(self.0.origin(), key.as_ref())
    }

    /// Takes an actor out of memory when the turns that run or wait now are done, wherever it is. Returns false if it was
    /// in memory nowhere. The next call activates it again; a parked actor takes calls again.
    ///
    /// A turn must not wait for this about its own actor: it would wait for itself. It says `cx.deactivate()`.
    ///
    /// # Errors
    /// As of a call: if the owner does not answer in time.
    pub async fn deactivate(&self, actor: &ActorId) -> Result<bool, CallError> {
        deactivate_anywhere(&self.0.transport(), actor).await
    }

    /// Asks for actors by the value of a field that is an `#[index]`, over all shards of the cluster.
    pub fn query<A: Actor>(&self) -> Query<A> {
        Query::new(self.0.origin())
    }

    /// A topic of messages of type `T`, or a pattern of topics to subscribe actors to.
    pub fn topic<T>(&self, name: impl AsRef<str>) -> Topic<T> {
        Topic::new(self.0.origin(), name.as_ref())
    }

    /// Calls a method of every actor of a type that is in memory, on all nodes, and waits for none of them:
    /// `runtime.broadcast(|zone: ZoneRef| zone.close_soon(5))`. Each gets the call at most once. Who is in memory is seen when
    /// the message comes to its node.
    ///
    /// # Errors
    /// `Invalid` if the arguments cannot be encoded.
    pub fn broadcast<M: Method>(
        &self,
        call: impl FnOnce(<M::Actor as Actor>::Ref) -> Call<M>,
    ) -> Result<(), CallError> {
        broadcast(&self.0.origin(), call)
    }

    /// The node's addresses and counts, as the admin service tells them.
    pub fn status(&self) -> v1::NodeStatus {
        self.0.status()
    }

    /// Takes no new calls, finishes the running turns, flushes the store and stops.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

/// Says what a runtime serves, then starts it.
pub struct RuntimeBuilder {
    config: Result<NodeConfig, ConfigError>,
    types: Types,
}

impl RuntimeBuilder {
    /// Serves this actor type.
    pub fn actor<A: ActorMethods>(self) -> Self {
        let types: Types = Box::new(|engine| (self.types)(engine).register::<A>());
        Self { types, ..self }
    }

    /// Serves this workflow.
    pub fn workflow<W: Workflow>(self) -> Self {
        let types: Types = Box::new(|engine| (self.types)(engine).workflow::<W>());
        Self { types, ..self }
    }

    /// Runs this filter around every turn of this node's actors, however it is asked for.
    pub fn incoming(self, filter: impl Filter) -> Self {
        let types: Types = Box::new(|engine| (self.types)(engine).incoming(filter));
        Self { types, ..self }
    }

    /// Runs this filter around every call and every message that actors of this node and this program send.
    pub fn outgoing(self, filter: impl Filter) -> Self {
        let types: Types = Box::new(|engine| (self.types)(engine).outgoing(filter));
        Self { types, ..self }
    }

    /// Keeps the state in this directory.
    pub fn data_dir(mut self, directory: impl AsRef<Path>) -> Self {
        if let Ok(config) = &mut self.config {
            config.data_dir = directory.as_ref().to_owned();
            config.storage_engine = StorageEngine::Sqlite;
        }
        self
    }

    /// Starts the node and waits until it serves its shards.
    pub async fn start(self) -> Result<Runtime, RuntimeError> {
        let node = Node::start(self.config?, self.types).await?;
        if let Err(error) = node.when_active().await {
            node.shutdown().await;
            return Err(error.into());
        }
        Ok(Runtime(Arc::new(node)))
    }

    /// The main function of a node program: starts logs, traces and the node, and runs until SIGTERM, SIGINT or the
    /// end of the parent; then finishes the running turns and stops. A second signal is not waited for: the process is
    /// then ended from outside, which loses nothing that was acknowledged.
    pub async fn run(self) -> Result<(), RuntimeError> {
        let config = self.config?;
        let _telemetry = telemetry::init(&config)?;
        // Watched from before the start, which may wait: the first process of a container ignores a signal that it
        // does not watch for.
        let mut stop = pin!(shutdown::requested(config.exit_with_parent));
        let node = tokio::select! {
            biased;
            reason = &mut stop => {
                let reason = reason.map_err(RuntimeError::Signals)?;
                tracing::info!(reason, "stopping before the node has started");
                return Ok(());
            }
            node = Node::start(config, self.types) => node?,
        };
        let active = async {
            node.when_active().await?;
            std::future::pending::<Result<(), NodeError>>().await
        };
        let outcome = tokio::select! {
            biased;
            reason = &mut stop => reason.map_err(RuntimeError::Signals),
            error = node.failed() => Err(error.into()),
            Err(error) = active => Err(error.into()),
        };
        if let Ok(reason) = &outcome {
            tracing::info!(reason, "stopping");
        }
        node.shutdown().await;
        outcome.map(|_| ())
    }
}
