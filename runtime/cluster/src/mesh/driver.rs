//! Drives the protocol of one link: a reader task and a writer task.
//!
//! The reader gives every incoming call to the handler and polls it once in place: an idle actor answers at once, and
//! the answers to one frame leave in one frame. A call that does not finish at once goes on in a task of its own, so a
//! long turn never keeps the reader from the next envelope.
//!
//! The writer takes whatever waits as one frame and has no timer: with an empty queue a lone call leaves immediately,
//! and while the transport is busy the next batch grows.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use greenroom_core::CallError;
use greenroom_core::call::Call;
use greenroom_proto::v1;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};

use super::Shared;
use super::convert;
use super::error::{Violation, chain};
use super::handle::{End, Link, Outcome};
use super::link::{Batch, Received};
use crate::network::{MeshReply, MeshRequest};

/// Frames on their way out. An error ends the stream and tells a dialler why; a dialled node cannot be told.
pub(super) type Outbound = mpsc::Sender<Result<v1::Frame, Status>>;

/// Starts the tasks of a link; they end with it.
pub(super) fn start<S>(shared: &Arc<Shared>, link: Arc<Link>, inbound: S, outbound: Outbound)
where
    S: Stream<Item = Result<v1::Frame, Status>> + Send + Unpin + 'static,
{
    shared.stats.links.increment();
    tracing::info!(peer = %link.peer.name, store = %link.peer.run.store, incarnation = %link.peer.run.incarnation, "linked");
    shared.spawn(write(shared.clone(), link.clone(), outbound));
    let shared_by_reader = shared.clone();
    shared.spawn(async move {
        let end = read(&shared_by_reader, &link, inbound).await;
        link.close(end);
        shared_by_reader.links.remove(&link);
        shared_by_reader.stats.links.decrement();
        report(&shared_by_reader, &link);
    });
}

fn report(shared: &Shared, link: &Link) {
    let peer = &link.peer.name;
    match link.end.get() {
        Some(End::Violated(violation)) => {
            shared.stats.protocol_errors.increment();
            tracing::error!(%peer, %violation, "link closed: the other node broke the mesh protocol");
        }
        Some(End::Lost(why)) => tracing::warn!(%peer, %why, "link lost"),
        Some(End::Parted) | None => tracing::debug!(%peer, "link parted"),
    }
}

/// Sends what waits until the link ends.
async fn write(shared: Arc<Shared>, link: Arc<Link>, outbound: Outbound) {
    loop {
        let permit = match outbound.try_reserve() {
            Ok(permit) => permit,
            Err(_) => tokio::select! {
                biased;
                () = link.closed.cancelled() => break,
                permit = outbound.reserve() => match permit {
                    Ok(permit) => permit,
                    Err(_) => return link.close(End::Lost("the connection is gone".to_owned())),
                },
            },
        };
        let batch = link.state.lock().batch(shared.config.env.now());
        match batch {
            Batch::Frame(frame, bytes) => {
                shared.stats.frames_out.increment();
                shared.stats.envelopes_out.add(frame.envelopes.len());
                shared.stats.bytes_out.add(bytes);
                permit.send(Ok(frame));
            }
            Batch::Farewell => {
                permit.send(Ok(v1::Frame::default()));
                let patience = shared.config.limits.handshake_timeout;
                if tokio::time::timeout(patience, link.closed.cancelled()).await.is_err() {
                    link.close(End::Lost("the other node did not close it after the farewell".to_owned()));
                }
            }
            Batch::Empty => {
                drop(permit);
                link.work.notified().await;
            }
            Batch::Closed => break,
        }
    }
    if let Some(End::Violated(violation)) = link.end.get() {
        // If the transport is full or gone, the other node learns it from the end of the stream.
        let _ = outbound.try_send(Err(Status::failed_precondition(violation.to_string())));
    }
}

/// Takes what comes until the link ends, and says why it ended.
async fn read<S>(shared: &Arc<Shared>, link: &Arc<Link>, mut inbound: S) -> End
where
    S: Stream<Item = Result<v1::Frame, Status>> + Unpin,
{
    loop {
        let next = tokio::select! {
            biased;
            () = link.closed.cancelled() => return End::Lost("this node is stopping".to_owned()),
            next = inbound.next() => next,
        };
        let frame = match next {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => return stream_error(&status),
            None if link.state.lock().has_parted() => return End::Parted,
            None => return End::Lost("the other node closed it".to_owned()),
        };
        shared.stats.frames_in.increment();
        shared.stats.envelopes_in.add(frame.envelopes.len());
        shared.stats.bytes_in.add(frame.encoded_len());
        if frame.hello.is_some() {
            return End::Violated(Violation::SecondHello);
        }
        if frame.envelopes.is_empty() {
            for waiter in link.state.lock().farewell() {
                let _ = waiter.send(Outcome::Retired);
            }
            return End::Parted;
        }
        for envelope in frame.envelopes {
            if let Err(violation) = take(shared, link, envelope).await {
                return End::Violated(violation);
            }
        }
        link.wake_writer();
    }
}

/// A status without a cause comes from reading the bytes of a frame, or from the other node itself.
fn stream_error(status: &Status) -> End {
    use std::error::Error;
    match (status.code(), status.source()) {
        (Code::Internal | Code::OutOfRange, None) => {
            End::Violated(Violation::Frame(status.message().to_owned()))
        }
        (_, None) => End::Lost(status.message().to_owned()),
        (_, Some(cause)) => End::Lost(chain(cause)),
    }
}

async fn take(shared: &Arc<Shared>, link: &Arc<Link>, envelope: v1::Envelope) -> Result<(), Violation> {
    let received = link.state.lock().receive(envelope)?;
    match received {
        Received::Serve { id, shard, epoch, request } => {
            match convert::request_from_wire(shard, epoch, request, shared.config.env.now()) {
                Ok(request) => serve(shared, link, id, request).await,
                Err(error) => link.reply(id, MeshReply::Reply(Err(CallError::Invalid(error.to_string())))),
            }
        }
        Received::Take { shard, epoch, request } => {
            match convert::request_from_wire(shard, epoch, request, shared.config.env.now()) {
                Ok(request) => take_one_way(shared, link, request),
                Err(error) => tracing::warn!(peer = %link.peer.name, %error, "a message that cannot be read"),
            }
        }
        // The caller may have given up at this very moment.
        Received::Answer { waiter, response } => drop(waiter.send(Outcome::Answer(response))),
        Received::Stop(task) => task.abort(),
        Received::Overloaded => shared.stats.overloaded.increment(),
        Received::Nothing => {}
    }
    Ok(())
}

/// Lets the handler answer: in place if it can at once, else in a task.
async fn serve(shared: &Arc<Shared>, link: &Arc<Link>, id: u64, request: MeshRequest) {
    let (handler, run) = (shared.handler.clone(), link.peer.run);
    let answer = async move { handler.handle(&run, request).await };
    // A bug in the handler must cost one call, not the link with everybody's calls.
    let mut answer =
        Box::pin(AssertUnwindSafe(answer).catch_unwind().map(|answer| answer.unwrap_or_else(panicked)));
    if let Some(reply) = answer.as_mut().now_or_never() {
        return link.reply(id, reply);
    }
    let link_of_task = link.clone();
    let task = shared.config.env.spawn(Box::pin(async move {
        let reply = answer.await;
        link_of_task.reply(id, reply);
        link_of_task.wake_writer();
    }));
    // Nothing comes back: the reader is here, so no cancel can have come in between.
    link.state.lock().working(id, task);
}

/// Lets the handler take a message, before the next envelope is read.
fn take_one_way(shared: &Arc<Shared>, link: &Link, request: MeshRequest) {
    shared.stats.one_way_in.increment();
    let (handler, run) = (shared.handler.clone(), link.peer.run);
    let mut taken =
        Box::pin(AssertUnwindSafe(async move { handler.handle(&run, request).await }).catch_unwind());
    if taken.as_mut().now_or_never().is_none() {
        shared.config.env.spawn(Box::pin(async move { drop(taken.await) }));
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> MeshReply {
    let message = "the node's own call handler panicked; see its log".to_owned();
    MeshReply::Reply(Err(CallError::Panicked(message)))
}

/// The answer in core's words.
pub(super) fn read_answer(call: &Call, response: v1::Response) -> MeshReply {
    convert::reply_from_wire(response).unwrap_or_else(|error| {
        let message = format!("the answer to {} of {} cannot be read: {error}", call.method, call.target);
        MeshReply::Reply(Err(CallError::Invalid(message)))
    })
}
