//! The mesh: one long-lived gRPC stream per pair of nodes, over which both call each other.
//!
//! A link is dialled when it is first needed and kept. Whoever dialled, calls and answers of both sides share it, in
//! frames of as many envelopes as were waiting.
//!
//! - `link` is the protocol of an open link and `hello` that of its beginning, both without I/O;
//! - `handle` is what callers hold of a link, `driver` reads and writes it, `dial` opens one, `server` accepts one, `guest` watches the mesh port;
//! - `links` decides which link to a node is used, `convert` stands between the wire and core.
//!
//! **A call fails in one of two ways**: it surely never left, or nobody knows. The router may send the first again at
//! once; the second only with the same call id.

mod config;
pub mod convert;
mod dial;
mod driver;
mod error;
mod guest;
mod handle;
pub mod hello;
mod link;
mod links;
mod server;
mod stats;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use greenroom_core::{CallError, Payload};
use greenroom_proto::v1;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Streaming;

pub use config::{MeshConfig, MeshLimits, MeshTls, NodeIdentity};
pub use error::{DialError, HelloError, Violation};
pub use stats::{MeshCounts, MeshStats};

use self::driver::Outbound;
use self::handle::{Link, Outcome};
use self::link::NotTaken;
use crate::network::{MeshHandler, MeshReply, MeshRequest, Network, NetworkError, PeerAddress};

/// This node's end of the mesh. Dropping it closes all links at once; [`shutdown`](Self::shutdown) parts in peace.
pub struct Mesh {
    shared: Arc<Shared>,
}

/// What the tasks of a mesh share.
struct Shared {
    config: MeshConfig,
    handler: Arc<dyn MeshHandler>,
    stats: Arc<MeshStats>,
    links: links::Links,
    dials: dial::Dials,
    leaving: AtomicBool,
    /// Ends everything.
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl Mesh {
    /// A mesh without links. `handler` answers the calls of other nodes.
    pub fn new(mut config: MeshConfig, handler: Arc<dyn MeshHandler>) -> Arc<Self> {
        config.limits = config.limits.consistent();
        let shared = Shared {
            config,
            handler,
            stats: Arc::default(),
            links: links::Links::default(),
            dials: dial::Dials::default(),
            leaving: AtomicBool::new(false),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Serves the mesh port until the mesh is shut down or dropped: with the transport's limits, and with an eye on
    /// connections that never say hello.
    pub fn serve(
        &self,
        listener: TcpListener,
    ) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send + use<> {
        server::serve(self.shared.clone(), listener)
    }

    /// The counters.
    pub fn stats(&self) -> &MeshStats {
        &self.shared.stats
    }

    /// Leaves the mesh without failing a call: takes no new request or link, lets everything in flight be answered,
    /// and closes. Dropping the future leaves the mesh half shut down; drop the mesh then.
    pub async fn shutdown(&self) {
        self.shared.leaving.store(true, Ordering::Release);
        self.shared.links.retire_all();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.closed.cancel();
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::Release);
        self.shared.closed.cancel();
    }
}

impl Network for Mesh {
    fn request(
        &self,
        to: &PeerAddress,
        request: MeshRequest,
    ) -> BoxFuture<'static, Result<MeshReply, NetworkError>> {
        let (shared, to) = (self.shared.clone(), to.clone());
        Box::pin(async move { shared.request(&to, &request).await })
    }

    fn tell(&self, to: &PeerAddress, request: MeshRequest) -> BoxFuture<'static, Result<(), NetworkError>> {
        let (shared, to) = (self.shared.clone(), to.clone());
        Box::pin(async move { shared.tell(&to, &request).await })
    }
}

/// How many links may be retired under one request. More would mean that two nodes retire each other's for ever.
const ATTEMPTS: usize = 4;

impl Shared {
    async fn request(
        self: &Arc<Self>,
        to: &PeerAddress,
        request: &MeshRequest,
    ) -> Result<MeshReply, NetworkError> {
        for _ in 0..ATTEMPTS {
            if self.is_leaving() {
                return Err(NetworkError::NotSent("this node is leaving the mesh".to_owned()));
            }
            let link = dial::link_to(self, to).await?;
            return match link.ask(request).await {
                Outcome::Retired => continue,
                Outcome::Answer(response) => Ok(driver::read_answer(&request.call, response)),
                Outcome::Unsent(why) => Err(NetworkError::NotSent(why)),
                Outcome::Lost(why) => Err(NetworkError::Lost(why)),
                Outcome::Overloaded => Ok(MeshReply::Reply(Err(self.overloaded(to)))),
                Outcome::TooLarge(bytes) => {
                    Err(NetworkError::TooLarge { bytes, limit: self.config.limits.max_message_bytes })
                }
            };
        }
        Err(NetworkError::NotSent(format!("{to} closed {ATTEMPTS} links before the request was taken")))
    }

    async fn tell(self: &Arc<Self>, to: &PeerAddress, request: &MeshRequest) -> Result<(), NetworkError> {
        for _ in 0..ATTEMPTS {
            if self.is_leaving() {
                return Err(NetworkError::NotSent("this node is leaving the mesh".to_owned()));
            }
            let link = dial::link_to(self, to).await?;
            return match link.tell(request) {
                Ok(()) => Ok(()),
                Err(NotTaken::Retired) => continue,
                Err(NotTaken::Overloaded) => {
                    Err(NetworkError::NotSent(self.overloaded::<Payload>(to).to_string()))
                }
                Err(NotTaken::TooLarge { bytes }) => {
                    Err(NetworkError::TooLarge { bytes, limit: self.config.limits.max_message_bytes })
                }
            };
        }
        Err(NetworkError::NotSent(format!("{to} closed {ATTEMPTS} links before the message was taken")))
    }

    fn overloaded<E>(&self, to: &PeerAddress) -> CallError<E> {
        CallError::Overloaded(format!(
            "too many calls to {to} are in flight or wait to be sent: call again later"
        ))
    }

    /// Opens a link that both sides have said hello on.
    fn open(
        self: &Arc<Self>,
        link: Arc<Link>,
        inbound: Streaming<v1::Frame>,
        outbound: Outbound,
    ) -> Result<(), HelloError> {
        if self.links.add(&link, self.config.limits.handshake_timeout)? {
            self.stats.reconnects.increment();
        }
        if self.is_leaving() {
            // It may have come between the leaving and the retiring of all links.
            link.retire();
        }
        driver::start(self, link, inbound, outbound);
        Ok(())
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.config.env.spawn(Box::pin(self.tasks.track_future(task)));
    }
}
