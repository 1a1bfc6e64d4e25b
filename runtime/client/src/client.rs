//! The client: a [`Transport`] over the gateways.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use greenroom_core::actor::Actor;
use greenroom_core::call::{Call, CallContext, CallResult, Chain, DEFAULT_DEADLINE};
use greenroom_core::codec::{ContentType, Payload};
use greenroom_core::engine::Engine;
use greenroom_core::env::SharedEnv;
use greenroom_core::error::CallError;
use greenroom_core::filter::{Filter, Filters, Way};
use greenroom_core::identity::{ActorId, CallId};
use greenroom_core::lanes::Lanes;
use greenroom_core::reference::{ActorRef, Origin};
use greenroom_core::request::RequestContext;
use greenroom_core::retry::Backoff;
use greenroom_core::topics::Topic;
use greenroom_core::transport::Transport;
use greenroom_core::workflow::{Workflow, WorkflowRef};
use thiserror::Error;
use tonic::transport::Channel;

use crate::attempt::{Attempt, Gateways, OverGrpc};
use crate::dev;
use crate::endpoints::Endpoints;

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No address was given.
    #[error("no gateway address was given; give at least one HOST:PORT")]
    NoAddress,
    /// An address is not valid.
    #[error("{address:?} is no address of a gateway: {source}; write HOST:PORT or http://HOST:PORT")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// No dev cluster runs here.
    #[error("no dev cluster runs in {} or above; start one with `greenroom dev CLUSTER.yaml`, or name a gateway", start.display())]
    NoDevCluster {
        /// Where the search began.
        start: PathBuf,
    },
    /// It is not clear which dev cluster is meant.
    #[error("several dev clusters run here ({} and {}); name a gateway of one", files[0].display(), files[1].display())]
    SeveralDevClusters {
        /// Two of them.
        files: [PathBuf; 2],
    },
    /// A dev cluster runs here, and none of its nodes has registered.
    #[error("no node of the dev cluster in {} has registered yet; wait until `greenroom dev` says that it is ready", file.display())]
    NoDevNode {
        /// The file that will name them.
        file: PathBuf,
    },
    /// The file of a dev cluster cannot be read.
    #[error("cannot read {}: {message}; start `greenroom dev` again", file.display())]
    DevEndpoints {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
}

/// What a call by name may say besides its target.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// How long to wait; the default is 10 s.
    pub deadline: Option<Duration>,
    /// The call's id; the default is a new random one. Calling again with the same id repeats the call safely.
    pub call_id: Option<CallId>,
    /// The request context; the default is an empty one.
    pub request: RequestContext,
}

/// A client of a cluster. Cheap to clone; it must be made inside a tokio runtime.
#[derive(Clone)]
pub struct Client {
    gateways: Arc<dyn Gateways>,
    /// The messages that wait for their turn to leave.
    lanes: Arc<Lanes>,
    outgoing: Filters,
}

impl Client {
    /// A client of these gateways, `HOST:PORT` each. Does no I/O yet: an address where nobody answers shows when calls
    /// are made.
    pub fn connect<S: Into<String>>(addresses: impl IntoIterator<Item = S>) -> Result<Self, ConnectError> {
        Ok(Self::over(OverGrpc::to(Endpoints::new(addresses)?)))
    }

    /// A client of the cluster that `greenroom dev` runs in `directory` or the nearest parent directory that has one. It
    /// follows nodes that are started again to their new addresses.
    pub fn dev(directory: impl AsRef<Path>) -> Result<Self, ConnectError> {
        Ok(Self::over(OverGrpc::to(Endpoints::dev(dev::find(directory.as_ref())?)?)))
    }

    /// A client whose calls all go through this channel, for gateways that no address leads to: behind a tunnel, or
    /// balanced by the channel itself. `name` is what to call them when they do not answer. A channel that makes a new
    /// connection when one breaks (as tonic's do) serves as long as somebody answers at its other end.
    pub fn through(name: &str, channel: Channel) -> Self {
        Self::over(OverGrpc::to(Endpoints::through(name, channel)))
    }

    /// A client that reaches its gateways in another way than gRPC: in a simulated cluster.
    pub fn over(gateways: impl Gateways) -> Self {
        let lanes = Lanes::new(gateways.env().clone());
        Self { gateways: Arc::new(gateways), lanes, outgoing: Filters::default() }
    }

    /// Runs this filter, behind those that there are, around every call and every message of the client that is returned
    /// and of its clones. It is asked once for a call, however often that is repeated.
    pub fn outgoing(mut self, filter: impl Filter) -> Self {
        self.outgoing.push(filter);
        self
    }

    /// A typed reference to an actor.
    pub fn actor<A: Actor>(&self, key: impl AsRef<str>) -> A::Ref {
        ActorRef::new(Origin::program(Arc::new(self.clone())), key.as_ref()).into()
    }

    /// A reference to a workflow.
    pub fn workflow<W: Workflow>(&self, key: impl AsRef<str>) -> WorkflowRef<W> {
        WorkflowRef::new(Origin::program(Arc::new(self.clone())), key.as_ref())
    }

    /// A topic of messages of type `T`, to publish to and to subscribe actors to.
    pub fn topic<T>(&self, name: impl AsRef<str>) -> Topic<T> {
        Topic::new(Origin::program(Arc::new(self.clone())), name.as_ref())
    }

    /// Calls a method by name, arguments and reply in JSON.
    pub async fn call_json(
        &self,
        target: &ActorId,
        method: &str,
        arguments: &str,
        options: CallOptions,
    ) -> Result<String, CallError<Payload>> {
        let mut context = CallContext {
            id: options.call_id.unwrap_or_else(|| CallId(self.env().random())),
            deadline: self.env().now() + options.deadline.unwrap_or(DEFAULT_DEADLINE),
            chain: Chain::default(),
            request: options.request,
        };
        let arguments = Payload { content_type: ContentType::Json, data: arguments.to_owned().into() };
        let method = method.into();
        let passed = self.outgoing.pass(target, &method, Way::Call, &mut context)?;
        let call = Call { target: target.clone(), method, arguments, context, delivery: None };
        let reply = self.call(call).await;
        if let Some(passed) = passed {
            passed.ended(&reply);
        }
        let reply = reply?;
        String::from_utf8(reply.data.into()).map_err(|_| CallError::Invalid("the reply is no UTF-8".into()))
    }

    /// Repeats the call until it is answered for good or its deadline has passed.
    async fn call_repeatedly(self, call: Call) -> CallResult {
        let mut backoff = Backoff::default();
        let mut last = None;
        loop {
            let tried = tokio::time::timeout_at(call.context.deadline, self.gateways.attempt(&call)).await;
            let failure = match tried {
                Err(_elapsed) => return Err(last.unwrap_or(CallError::Timeout { committed: None })),
                Ok(Attempt::Answered(Err(error))) if error.is_retryable() => error,
                Ok(Attempt::Answered(answer)) => return answer,
                Ok(Attempt::NoGateway(reason)) => CallError::Unavailable(reason),
            };
            tracing::debug!(target_actor = %call.target, attempt = backoff.attempts(), %failure, "repeating the call");
            let wait = backoff.next(self.gateways.env().random() as u64);
            if self.gateways.env().now() + wait >= call.context.deadline {
                return Err(failure);
            }
            last = Some(failure);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Transport for Client {
    fn call(&self, call: Call) -> BoxFuture<'static, CallResult> {
        self.clone().call_repeatedly(call).boxed()
    }

    /// The gateway answers every call; one message to an actor is sent when the one before has been answered.
    fn tell(&self, call: Call) {
        let client = self.clone();
        let bring = |call: Call| async move {
            let (target, method) = (call.target.clone(), call.method.clone());
            if let Err(error) = client.call_repeatedly(call).await {
                tracing::warn!(%target, %method, %error, "a message was told and nobody took it");
            }
        };
        if let Err(call) = self.lanes.send(call, bring) {
            tracing::warn!(target = %call.target, method = %call.method, "too many messages wait; one was dropped");
        }
    }

    fn engine(&self) -> Option<&Arc<Engine>> {
        None
    }

    fn outgoing(&self) -> Option<&Filters> {
        Some(&self.outgoing)
    }

    fn env(&self) -> &SharedEnv {
        self.gateways.env()
    }
}
