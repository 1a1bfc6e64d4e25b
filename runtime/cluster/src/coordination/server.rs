//! Serves a register to other processes over gRPC; `greenroom dev` does so for its nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use greenroom_proto::v1;
use greenroom_proto::v1::coordination_server::CoordinationServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::wire::{content_from_wire, page_number, page_to_wire};
use super::{Coordination, Peer, ReadError, Version, WriteError};

/// How often a silent connection is asked for a sign of life, and how long it may take: a node that was stopped or
/// whose host is gone is shown as absent after their sum.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// The gRPC face of a register.
pub struct CoordinationService {
    register: Arc<dyn Coordination>,
}

impl CoordinationService {
    /// Serves this register.
    pub fn new(register: Arc<dyn Coordination>) -> Self {
        Self { register }
    }
}

/// Serves the register on this listener until `stop` completes.
pub async fn serve(
    register: Arc<dyn Coordination>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    // Watches never end by themselves, so a graceful shutdown would wait for every client: stopping drops them.
    let serving = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(CoordinationServer::new(CoordinationService::new(register)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::select! {
        biased;
        () = stop => Ok(()),
        served = serving => served,
    }
}

#[tonic::async_trait]
impl v1::coordination_server::Coordination for CoordinationService {
    type WatchPageStream = BoxStream<'static, Result<v1::PageVersion, Status>>;
    type JoinStream = BoxStream<'static, Result<v1::Presence, Status>>;

    async fn read_page(
        &self,
        request: Request<v1::ReadPageRequest>,
    ) -> Result<Response<v1::PageVersion>, Status> {
        let page = page_number(request.get_ref().page).map_err(Status::invalid_argument)?;
        let page = self.register.read(page).await.map_err(read_status)?;
        page_to_wire(&page).map(Response::new).map_err(Status::internal)
    }

    async fn write_page(
        &self,
        request: Request<v1::WritePageRequest>,
    ) -> Result<Response<v1::WritePageReply>, Status> {
        let v1::WritePageRequest { page, base, content } = request.into_inner();
        let content = content_from_wire(page, &content).map_err(Status::invalid_argument)?;
        let (written, current) = match self.register.write(content.page, Version(base), content).await {
            Ok(current) => (true, current),
            Err(WriteError::Conflict(current)) => (false, *current),
            Err(WriteError::Unknown(reason)) => return Err(Status::unavailable(reason)),
        };
        let current = Some(page_to_wire(&current).map_err(Status::internal)?);
        Ok(Response::new(v1::WritePageReply { written, current }))
    }

    async fn watch_page(
        &self,
        request: Request<v1::WatchPageRequest>,
    ) -> Result<Response<Self::WatchPageStream>, Status> {
        let page = page_number(request.get_ref().page).map_err(Status::invalid_argument)?;
        // A watch of a page that is not there would wait for ever.
        self.register.read(page).await.map_err(read_status)?;
        let versions = self.register.watch(page);
        Ok(Response::new(versions.map(|page| page_to_wire(&page).map_err(Status::internal)).boxed()))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<Self::JoinStream>, Status> {
        let peer = request.into_inner().peer.filter(|peer| !peer.name.is_empty());
        let peer =
            peer.ok_or_else(|| Status::invalid_argument("a node joins with its name: `peer.name` is empty"))?;
        let present = self.register.join(Peer::from(peer));
        let to_wire = |peers: Vec<Peer>| v1::Presence { peers: peers.into_iter().map(Into::into).collect() };
        Ok(Response::new(present.map(move |peers| Ok(to_wire(peers))).boxed()))
    }
}

fn read_status(error: ReadError) -> Status {
    match error {
        ReadError::NoSuchPage { .. } => Status::not_found(error.to_string()),
        ReadError::Unavailable(_) => Status::unavailable(error.to_string()),
    }
}
