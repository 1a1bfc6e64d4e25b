//! The dialled side: the mesh port, its gRPC service, and the check of whoever comes.

use std::future::Future;
use std::sync::Arc;

use greenroom_proto::v1;
use greenroom_proto::v1::mesh_server::MeshServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use super::config::{FRAMES_IN_TRANSPORT, WINDOW_BYTES};
use super::convert;
use super::error::HelloError;
use super::guest::{Guests, Visit};
use super::handle::Link;
use super::hello;

/// The gRPC service of a mesh.
struct MeshService(pub(super) Arc<Shared>);

/// Serves the mesh on `listener` until the mesh is shut down or dropped.
pub(super) fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + Send {
    let limits = shared.config.limits;
    let acceptor = shared.config.tls.as_ref().map(|tls| tls.acceptor.clone());
    let guests = Guests::new(listener, acceptor, shared.stats.clone(), limits.handshake_timeout);
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keepalive_interval(Some(limits.keep_alive))
        .http2_keepalive_timeout(Some(limits.keep_alive))
        .add_service(service(shared.clone()));
    let stopped = shared.closed.clone();
    // Only the token goes along: a server must not keep the mesh alive that ends it.
    async move { server.serve_with_incoming_shutdown(guests, stopped.cancelled_owned()).await }
}

fn service(shared: Arc<Shared>) -> MeshServer<MeshService> {
    let limit = shared.config.limits.max_frame_bytes;
    MeshServer::new(MeshService(shared)).max_decoding_message_size(limit)
}

#[tonic::async_trait]
impl v1::mesh_server::Mesh for MeshService {
    type LinkStream = ReceiverStream<Result<v1::Frame, Status>>;

    async fn link(
        &self,
        request: Request<Streaming<v1::Frame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let shared = &self.0;
        let visit = request.extensions().get::<Arc<Visit>>().cloned();
        let mut inbound = request.into_inner();
        let refuse = |claimed: &str, error| refuse(shared, visit.as_deref(), claimed, &error);
        let first = first_frame(shared, &mut inbound).await.map_err(|error| refuse("", error))?;
        if let Some(visit) = &visit {
            visit.said_hello();
        }
        if shared.is_leaving() {
            return Err(Status::unavailable("this node is leaving the mesh"));
        }
        let claimed = first.hello.as_ref().and_then(|hello| hello.from.as_ref());
        let claimed = claimed.map(|from| convert::quoted(&from.name)).unwrap_or_default();
        accept(shared, first, inbound).map(Response::new).map_err(|error| refuse(&claimed, error))
    }
}

async fn first_frame(shared: &Shared, inbound: &mut Streaming<v1::Frame>) -> Result<v1::Frame, HelloError> {
    let patience = shared.config.limits.handshake_timeout;
    match tokio::time::timeout(patience, inbound.message()).await {
        Ok(Ok(frame)) => frame.ok_or(HelloError::Missing),
        Ok(Err(status)) => Err(HelloError::Unreadable(status.message().to_owned())),
        Err(_) => Err(HelloError::Late(patience)),
    }
}

/// Checks the hello and opens the link; the answer to the hello is its first frame.
fn accept(
    shared: &Arc<Shared>,
    first: v1::Frame,
    inbound: Streaming<v1::Frame>,
) -> Result<ReceiverStream<Result<v1::Frame, Status>>, HelloError> {
    let (cluster, me) = (&shared.config.cluster, &shared.config.me);
    let peer = hello::check(cluster, me, first)?;
    let (outbound, frames) = mpsc::channel(FRAMES_IN_TRANSPORT);
    let answer = v1::Frame { hello: Some(hello::answer(cluster, me, &peer)), envelopes: Vec::new() };
    outbound.try_send(Ok(answer)).expect("a new channel has room");
    let dialler = peer.run.store;
    shared.open(Link::new(shared, peer, dialler), inbound, outbound)?;
    Ok(ReceiverStream::new(frames))
}

fn refuse(shared: &Shared, visit: Option<&Visit>, claimed: &str, error: &HelloError) -> Status {
    shared.stats.refused_hellos.increment();
    let address = visit.map(|visit| visit.address.to_string()).unwrap_or_default();
    tracing::warn!(peer = claimed, address, %error, "hello refused");
    Status::failed_precondition(error.to_string())
}
