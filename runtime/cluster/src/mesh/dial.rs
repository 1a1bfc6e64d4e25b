//! Dialling: one attempt at a time per peer, shared by all who need the link; a dead peer fails fast.
//!
//! The attempt is a task of its own, so a caller that gives up early does not cost the others their link. After a
//! failure the peer is left alone for a short, growing time, in which every request fails at once with the reason.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_core::retry::Backoff;
use greenroom_proto::v1;
use greenroom_proto::v1::mesh_client::MeshClient;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::Shared;
use super::config::{FRAMES_IN_TRANSPORT, WINDOW_BYTES};
use super::driver::Outbound;
use super::error::{DialError, chain};
use super::handle::Link;
use super::hello;
use crate::network::{NetworkError, PeerAddress};

/// The running and the failed attempts.
#[derive(Default)]
pub(super) struct Dials(Mutex<HashMap<PeerAddress, Dial>>);

enum Dial {
    Running(Waiting, Backoff),
    Failed { error: DialError, retry_at: Instant, backoff: Backoff },
}

/// What an attempt came to; `None` while it runs.
type Waiting = watch::Receiver<Option<Result<(), DialError>>>;

/// A failure is forgotten after this time, and with it how often it happened.
const MEMORY: Duration = Duration::from_secs(60);

/// The link to a peer; dials if there is none.
pub(super) async fn link_to(shared: &Arc<Shared>, to: &PeerAddress) -> Result<Arc<Link>, NetworkError> {
    loop {
        if let Some(link) = shared.links.find(to)? {
            return Ok(link);
        }
        let mut attempt = join(shared, to).map_err(|error| not_sent(to, &error))?;
        let outcome = attempt.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match outcome {
            Ok(Some(Err(error))) => return Err(not_sent(to, &error)),
            Ok(_) => {}
            Err(_) => return Err(NetworkError::NotSent("this node is stopping".to_owned())),
        }
    }
}

fn not_sent(to: &PeerAddress, error: &DialError) -> NetworkError {
    NetworkError::NotSent(format!("{to} {error}"))
}

/// Joins the running attempt, or starts one unless the last one failed just now.
fn join(shared: &Arc<Shared>, to: &PeerAddress) -> Result<Waiting, DialError> {
    let mut dials = shared.dials.0.lock();
    let backoff = match dials.get(to) {
        Some(Dial::Running(attempt, _)) => return Ok(attempt.clone()),
        Some(Dial::Failed { error, retry_at, .. }) if *retry_at > shared.config.env.now() => {
            return Err(error.clone());
        }
        Some(Dial::Failed { backoff, .. }) => backoff.clone(),
        None => Backoff::default(),
    };
    let (done, attempt) = watch::channel(None);
    dials.insert(to.clone(), Dial::Running(attempt.clone(), backoff));
    let (shared_by_task, to) = (shared.clone(), to.clone());
    shared.spawn(async move {
        let outcome = dial(&shared_by_task, &to).await;
        shared_by_task.dials.finish(&shared_by_task, to, outcome.as_ref().err());
        // All who waited may have given up.
        let _ = done.send(Some(outcome));
    });
    Ok(attempt)
}

impl Dials {
    fn finish(&self, shared: &Shared, to: PeerAddress, error: Option<&DialError>) {
        let now = shared.config.env.now();
        let mut dials = self.0.lock();
        let Some(Dial::Running(_, mut backoff)) = dials.remove(&to) else { return };
        let Some(error) = error else { return };
        shared.stats.failed_dials.increment();
        tracing::warn!(peer = %to.name, address = %to.address, %error, "no link");
        let retry_at = now + backoff.next(shared.config.env.random() as u64);
        dials.retain(|_, dial| match dial {
            Dial::Running(..) => true,
            Dial::Failed { retry_at, .. } => *retry_at + MEMORY > now,
        });
        dials.insert(to, Dial::Failed { error: error.clone(), retry_at, backoff });
    }
}

async fn dial(shared: &Arc<Shared>, to: &PeerAddress) -> Result<(), DialError> {
    let patience = shared.config.limits.handshake_timeout;
    let handshake = tokio::time::timeout(patience, handshake(shared, to));
    let (first, inbound, outbound) = handshake.await.map_err(|_| DialError::Timeout(patience))??;
    let opened = hello::check(&shared.config.cluster, &shared.config.me, first).and_then(|peer| {
        hello::check_dialled(to, &peer)?;
        let link = Link::new(shared, peer, shared.config.me.run.store);
        shared.open(link, inbound, outbound)
    });
    Ok(opened.inspect_err(|_| shared.stats.refused_hellos.increment())?)
}

async fn handshake(
    shared: &Shared,
    to: &PeerAddress,
) -> Result<(v1::Frame, Streaming<v1::Frame>, Outbound), DialError> {
    let endpoint = endpoint(shared, to)?;
    let channel = match &shared.config.tls {
        Some(tls) => endpoint.connect_with_connector(tls.connector.clone()).await,
        None => endpoint.connect().await,
    };
    let channel = channel.map_err(|error| DialError::Connect(chain(&error)))?;
    let mut client = MeshClient::new(channel).max_decoding_message_size(shared.config.limits.max_frame_bytes);
    let (outbound, frames) = mpsc::channel(FRAMES_IN_TRANSPORT);
    let hello = hello::to_peer(&shared.config.cluster, &shared.config.me, to);
    let first = v1::Frame { hello: Some(hello), envelopes: Vec::new() };
    outbound.try_send(Ok(first)).expect("a new channel has room");

    // This side has no way to end a stream with a status; it just ends.
    let frames = ReceiverStream::new(frames).map_while(Result::ok);
    let mut inbound = client.link(frames).await.map_err(|status| refusal(&status))?.into_inner();
    let first = inbound.message().await.map_err(|status| refusal(&status))?;
    let first = first.ok_or_else(|| DialError::Connect("it closed the link without a hello".to_owned()))?;
    Ok((first, inbound, outbound))
}

fn endpoint(shared: &Shared, to: &PeerAddress) -> Result<Endpoint, DialError> {
    let limits = &shared.config.limits;
    let endpoint = Endpoint::from_shared(format!("http://{}", to.address))
        .map_err(|error| DialError::Address(chain(&error)))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive)
        .keep_alive_while_idle(true);
    Ok(endpoint)
}

fn refusal(status: &Status) -> DialError {
    match status.code() {
        Code::FailedPrecondition | Code::Unavailable if !status.message().is_empty() => {
            DialError::Refused(status.message().to_owned())
        }
        _ => DialError::Connect(chain(status)),
    }
}
