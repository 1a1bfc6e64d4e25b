//! The register of another process, over gRPC: what the nodes of `greenroom dev` use.
//!
//! The two streams reconnect by themselves with back-off. A watch yields only what is newer than all it has yielded,
//! whatever an answer after a reconnection says.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use greenroom_core::env::SharedEnv;
use greenroom_core::map::Page;
use greenroom_core::retry::Backoff;
use greenroom_proto::v1;
use greenroom_proto::v1::coordination_client::CoordinationClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::wire::{content_to_wire, page_from_wire};
use super::{Coordination, Peer, ReadError, Version, Versioned, WriteError};
use crate::ClusterError;

/// How long one read or write may take. A write that takes longer has an unknown outcome.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// A silent connection is asked for a sign of life this often, and given up after as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// The register of another process. A cheap clone of one connection.
#[derive(Clone)]
pub struct Remote {
    env: SharedEnv,
    client: CoordinationClient<Channel>,
}

impl Remote {
    /// The register served at `address`, `host:port` or `http://host:port`; connects when it is first used. Needs a
    /// tokio runtime.
    pub fn new(env: SharedEnv, address: &str) -> Result<Self, ClusterError> {
        let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|e| ClusterError::CoordinationAddress {
                address: address.into(),
                message: e.to_string(),
            })?
            .connect_timeout(ANSWER_WITHIN)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Ok(Self { env, client: CoordinationClient::new(endpoint.connect_lazy()) })
    }
}

impl Coordination for Remote {
    fn read(&self, page: u16) -> BoxFuture<'static, Result<Versioned<Page>, ReadError>> {
        let mut client = self.client.clone();
        async move {
            let answer = in_time(client.read_page(v1::ReadPageRequest { page: page.into() })).await;
            let answer = answer.map_err(|status| match status.code() {
                Code::NotFound => ReadError::NoSuchPage { page },
                _ => ReadError::Unavailable(status.message().into()),
            })?;
            page_from_wire(answer.get_ref()).map_err(ReadError::Unavailable)
        }
        .boxed()
    }

    fn write(
        &self,
        page: u16,
        base: Version,
        content: Page,
    ) -> BoxFuture<'static, Result<Versioned<Page>, WriteError>> {
        let mut client = self.client.clone();
        async move {
            let content = content_to_wire(&content).map_err(WriteError::Unknown)?;
            let request = v1::WritePageRequest { page: page.into(), base: base.0, content };
            let answer = in_time(client.write_page(request)).await;
            let reply = answer.map_err(|status| WriteError::Unknown(status.message().into()))?.into_inner();
            let current =
                reply.current.ok_or_else(|| WriteError::Unknown("the answer has no page".into()))?;
            let current = page_from_wire(&current).map_err(WriteError::Unknown)?;
            if reply.written { Ok(current) } else { Err(WriteError::Conflict(Box::new(current))) }
        }
        .boxed()
    }

    fn watch(&self, page: u16) -> BoxStream<'static, Versioned<Page>> {
        let client = self.client.clone();
        let connect = move || {
            let mut client = client.clone();
            async move { client.watch_page(v1::WatchPageRequest { page: page.into() }).await }.boxed()
        };
        let mut newest = None;
        reconnecting(self.env.clone(), format!("watch of page {page}"), connect)
            .filter_map(move |answer| {
                let page = page_from_wire(&answer)
                    .inspect_err(|message| tracing::error!(%message, "unreadable page"))
                    .ok()
                    .filter(|page| newest.is_none_or(|newest| page.version > newest));
                newest = page.as_ref().map(|page| page.version).or(newest);
                futures_util::future::ready(page)
            })
            .boxed()
    }

    fn join(&self, me: Peer) -> BoxStream<'static, Vec<Peer>> {
        let client = self.client.clone();
        let connect = move || {
            let (mut client, me) = (client.clone(), me.clone());
            async move { client.join(v1::JoinRequest { peer: Some(me.into()) }).await }.boxed()
        };
        reconnecting(self.env.clone(), "presence".into(), connect)
            .map(|presence| presence.peers.into_iter().map(Peer::from).collect())
            .boxed()
    }
}

/// An answer, or a status when there is none in time.
async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Err(Status::deadline_exceeded(format!("no answer within {ANSWER_WITHIN:?}")));
    tokio::time::timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(late)
}

type Connected<T> = BoxFuture<'static, Result<tonic::Response<Streaming<T>>, Status>>;

/// The messages of one stream after another: when one ends or cannot be opened, the next is tried after a pause.
fn reconnecting<T: Send + 'static>(
    env: SharedEnv,
    what: String,
    connect: impl Fn() -> Connected<T> + Send + Sync + 'static,
) -> BoxStream<'static, T> {
    let start = (None::<Streaming<T>>, Backoff::default());
    let connect = std::sync::Arc::new(connect);
    futures_util::stream::unfold(start, move |(mut open, mut backoff)| {
        let (env, what, connect) = (env.clone(), what.clone(), connect.clone());
        async move {
            loop {
                let failed = match &mut open {
                    Some(stream) => match stream.message().await {
                        Ok(Some(message)) => return Some((message, (open, Backoff::default()))),
                        Ok(None) => Status::unavailable("the stream ended"),
                        Err(status) => status,
                    },
                    None => match connect().await {
                        Ok(stream) => {
                            open = Some(stream.into_inner());
                            continue;
                        }
                        Err(status) => status,
                    },
                };
                open = None;
                complain(&what, &failed, backoff.attempts());
                tokio::time::sleep(backoff.next(env.random() as u64)).await;
            }
        }
    })
    .boxed()
}

/// Says once per outage that the register is away, and at once and loudly what waiting will not heal.
fn complain(what: &str, status: &Status, attempts: u32) {
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::Unimplemented => {
            tracing::error!(what, message = status.message(), "the coordination service refuses");
        }
        _ if attempts == 1 => {
            tracing::warn!(
                what,
                message = status.message(),
                "the coordination service is away, trying again"
            );
        }
        _ => {}
    }
}
