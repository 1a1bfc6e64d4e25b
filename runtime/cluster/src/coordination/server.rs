//! Serves a register to other processes over gRPC; `greenroom dev` does so for its nodes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt};
use greenroom_proto::v1;
use greenroom_proto::v1::coordination_server::CoordinationServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::wire::{content_from_wire, page_number, page_to_wire};
use super::{Coordination, Peer, ReadError, Version, WriteError};

/// How often a silent connection is asked for a sign of life, and how long it may take: a node that was stopped or
/// whose host is gone is shown as absent after their sum.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Serves the register on this listener until `stop` completes, and then ends all connections.
pub async fn serve(
    register: Arc<dyn Coordination>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let (serving, stopped) = watch::channel(());
    let stop = async move {
        stop.await;
        // Ends the streams, which would otherwise keep their connections and this server alive.
        drop(serving);
    };
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(CoordinationServer::new(Service { register, stopped }))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
        .await
}

/// The gRPC face of a register.
struct Service {
    register: Arc<dyn Coordination>,
    /// Its sender is dropped when the server stops.
    stopped: watch::Receiver<()>,
}

impl Service {
    /// The stream, ending when the server stops.
    fn while_serving<T: Send + 'static>(
        &self,
        stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Response<BoxStream<'static, Result<T, Status>>> {
        let mut stopped = self.stopped.clone();
        Response::new(stream.take_until(async move { stopped.changed().await }.boxed()).boxed())
    }
}

#[tonic::async_trait]
impl v1::coordination_server::Coordination for Service {
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
        Ok(self.while_serving(versions.map(|page| page_to_wire(&page).map_err(Status::internal))))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<Self::JoinStream>, Status> {
        let peer = request.into_inner().peer.filter(|peer| !peer.name.is_empty());
        let peer =
            peer.ok_or_else(|| Status::invalid_argument("a node joins with its name: `peer.name` is empty"))?;
        let present = self.register.join(Peer::from(peer));
        let to_wire = |peers: Vec<Peer>| v1::Presence { peers: peers.into_iter().map(Into::into).collect() };
        Ok(self.while_serving(present.map(move |peers| Ok(to_wire(peers)))))
    }
}

fn read_status(error: ReadError) -> Status {
    match error {
        ReadError::NoSuchPage { .. } => Status::not_found(error.to_string()),
        ReadError::Unavailable(_) => Status::unavailable(error.to_string()),
    }
}
