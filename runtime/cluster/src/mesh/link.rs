//! The protocol of an open link, without I/O: what came in and what is asked go in, what is to be done comes out.
//!
//! Both sides ask and answer over the same link, so each holds two sets: `asked`, its own requests without an answer,
//! and `serving`, the other's requests that are being worked on. Envelopes wait in one queue, which the writer takes in
//! batches; they are numbered when they are taken, so the number is the place on the wire.
//!
//! **A request fails as unsent or as lost**: what was never handed to the writer has surely not happened, all else may
//! have.
//!
//! **Farewell.** A link that is not needed any more is retired: it takes no new request, and once both sets are empty
//! and the queue is written, an empty frame says farewell. Its meaning: "I have answered every request that I took, and
//! take no more." So requests that crossed it have surely not happened and may be asked again elsewhere, and a link
//! can be given up under load without a failed call. The other side closes when it reads the farewell.
//!
//! `W` waits for an answer; `T` is a task that works on one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use greenroom_proto::v1::{self, envelope::Body};
use prost::Message;
use tokio::time::Instant;

use super::config::{BATCH_BYTES, BATCH_ENVELOPES, MeshLimits};
use super::convert;
use super::error::Violation;

/// The state of one side of a link.
#[derive(Debug)]
pub(super) struct LinkState<W, T> {
    limits: MeshLimits,
    phase: Phase,
    next_request: u64,
    asked: HashMap<u64, Asked<W>>,
    serving: HashMap<u64, Option<T>>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    sent: u64,
    received: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes no new request.
    Retiring,
    /// The farewell is written.
    Parted,
    Closed,
}

#[derive(Debug)]
struct Asked<W> {
    waiter: W,
    /// Handed to the writer: from now on the other side may have it.
    written: bool,
}

#[derive(Debug)]
struct Queued {
    envelope: v1::Envelope,
    bytes: usize,
    /// Of a call: until when its caller waits.
    deadline: Option<Instant>,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The link is being retired or is closed: ask on another one.
    Retired,
    /// Too many requests are in flight, or too many bytes wait.
    Overloaded,
    /// The request is larger than a message may be.
    TooLarge { bytes: usize },
}

/// What a received envelope asks for.
#[derive(Debug)]
pub(super) enum Received<W, T> {
    /// Work on this request, then [`reply`](LinkState::reply).
    Serve { id: u64, shard: u32, epoch: u64, request: v1::Request },
    /// Take this request: nobody waits for an answer.
    Take { shard: u32, epoch: u64, request: v1::Request },
    /// Give this answer to who waits for it.
    Answer { waiter: W, response: v1::Response },
    /// The caller has given up: stop this task.
    Stop(T),
    /// The request was refused; the refusal is queued.
    Overloaded,
    /// Nothing.
    Nothing,
}

/// What the writer is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Batch {
    /// Send this frame, which has about so many bytes.
    Frame(v1::Frame, usize),
    /// Send an empty frame, the last.
    Farewell,
    /// Wait until [`has_work`](LinkState::has_work).
    Empty,
    /// Stop.
    Closed,
}

/// What is left when a link ends.
#[derive(Debug)]
pub(super) struct Remains<W, T> {
    /// Waiters whose requests surely never left.
    pub(super) unsent: Vec<W>,
    /// Waiters whose requests may have been worked on.
    pub(super) lost: Vec<W>,
    /// Tasks that work for the other side.
    pub(super) tasks: Vec<T>,
    /// How many requests that nobody waits for never left.
    pub(super) untold: usize,
}

impl<W, T> LinkState<W, T> {
    pub(super) fn new(limits: MeshLimits) -> Self {
        Self {
            limits,
            phase: Phase::Open,
            next_request: 1,
            asked: HashMap::new(),
            serving: HashMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            sent: 0,
            received: 0,
        }
    }

    /// Takes a request of this node and returns its number.
    pub(super) fn request(
        &mut self,
        (shard, epoch): (u32, u64),
        request: v1::Request,
        deadline: Instant,
        waiter: W,
    ) -> Result<u64, NotTaken> {
        if self.phase != Phase::Open {
            return Err(NotTaken::Retired);
        }
        let id = self.next_request;
        let envelope =
            v1::Envelope { sequence: 0, request: id, shard, epoch, body: Some(Body::Call(request)) };
        let bytes = self.room_for(&envelope)?;
        if self.asked.len() >= self.limits.max_in_flight_per_link {
            return Err(NotTaken::Overloaded);
        }
        self.next_request += 1;
        self.asked.insert(id, Asked { waiter, written: false });
        self.push(Queued { envelope, bytes, deadline: Some(deadline) });
        Ok(id)
    }

    /// Takes a request of this node that nobody waits for.
    pub(super) fn tell(
        &mut self,
        (shard, epoch): (u32, u64),
        request: v1::Request,
        deadline: Instant,
    ) -> Result<(), NotTaken> {
        if self.phase != Phase::Open {
            return Err(NotTaken::Retired);
        }
        let envelope = v1::Envelope {
            sequence: 0,
            request: self.next_request,
            shard,
            epoch,
            body: Some(Body::Call(request)),
        };
        let bytes = self.room_for(&envelope)?;
        self.next_request += 1;
        self.push(Queued { envelope, bytes, deadline: Some(deadline) });
        Ok(())
    }

    /// The size of a request, if it may be queued.
    fn room_for(&self, envelope: &v1::Envelope) -> Result<usize, NotTaken> {
        let bytes = size(envelope);
        if bytes > self.limits.max_message_bytes {
            return Err(NotTaken::TooLarge { bytes });
        }
        let full = self.queue.len() >= self.longest_queue()
            || (self.queued_bytes > 0 && self.queued_bytes + bytes > self.limits.max_waiting_bytes);
        if full { Err(NotTaken::Overloaded) } else { Ok(bytes) }
    }

    /// The caller of this request has given up. One that was not written is dropped by [`batch`](Self::batch).
    pub(super) fn cancel(&mut self, id: u64) {
        if self.asked.remove(&id).is_some_and(|asked| asked.written) && self.phase != Phase::Closed {
            self.push_body(id, Body::Cancel(v1::Cancel {}));
        }
    }

    /// Takes an envelope of the other side.
    pub(super) fn receive(&mut self, envelope: v1::Envelope) -> Result<Received<W, T>, Violation> {
        let v1::Envelope { sequence, request: id, shard, epoch, body } = envelope;
        let expected = self.received + 1;
        if sequence != expected {
            return Err(Violation::Sequence { expected, got: sequence });
        }
        self.received = sequence;
        match body {
            Some(Body::Call(request)) => self.receive_call(id, shard, epoch, request),
            Some(Body::Response(response)) => self.receive_response(id, response),
            Some(Body::Cancel(_)) => {
                Ok(self.serving.remove(&id).flatten().map_or(Received::Nothing, Received::Stop))
            }
            Some(Body::Chunk(_)) => Err(Violation::Body { sequence, what: "a chunk" }),
            Some(Body::Probe(_)) => Err(Violation::Body { sequence, what: "a probe" }),
            None => Err(Violation::Body { sequence, what: "nothing" }),
        }
    }

    fn receive_response(&mut self, id: u64, response: v1::Response) -> Result<Received<W, T>, Violation> {
        match self.asked.entry(id) {
            Entry::Occupied(asked) if asked.get().written => {
                Ok(Received::Answer { waiter: asked.remove().waiter, response })
            }
            // Cancelled: the answer crossed the cancel.
            Entry::Vacant(_) if (1..self.next_request).contains(&id) => Ok(Received::Nothing),
            _ => Err(Violation::Unasked(id)),
        }
    }

    fn receive_call(
        &mut self,
        id: u64,
        shard: u32,
        epoch: u64,
        request: v1::Request,
    ) -> Result<Received<W, T>, Violation> {
        // It was told before its sender knew that this side parts, and nobody would tell it again.
        if request.one_way && self.phase != Phase::Closed {
            return Ok(Received::Take { shard, epoch, request });
        }
        if matches!(self.phase, Phase::Parted | Phase::Closed) {
            return Ok(Received::Nothing);
        }
        if self.serving.contains_key(&id) {
            return Err(Violation::Repeated(id));
        }
        if self.serving.len() < self.limits.max_in_flight_per_link {
            self.serving.insert(id, None);
            return Ok(Received::Serve { id, shard, epoch, request });
        }
        if self.queue.len() >= self.longest_queue() {
            return Err(Violation::Flood(self.queue.len()));
        }
        let limit = self.limits.max_in_flight_per_link;
        let message =
            format!("{limit} requests of this node are in flight on the link already: call again later");
        self.push_response(id, convert::overloaded(message));
        Ok(Received::Overloaded)
    }

    /// A task works on this request; it is stopped when the caller gives up. Returns the task if that was before.
    pub(super) fn working(&mut self, id: u64, task: T) -> Option<T> {
        match self.serving.get_mut(&id) {
            Some(slot) => slot.replace(task),
            None => Some(task),
        }
    }

    /// The answer to a request of the other side. A reply that is too large becomes an error that says so; that of a
    /// call that was cancelled is dropped.
    pub(super) fn reply(&mut self, id: u64, response: v1::Response) {
        if self.serving.remove(&id).is_none() || self.phase == Phase::Closed {
            return;
        }
        let (bytes, limit) = (response.encoded_len() + ENVELOPE_BYTES, self.limits.max_message_bytes);
        if bytes > limit {
            let message =
                format!("its reply has {bytes} bytes, {limit} is the limit: ask for less at a time");
            self.push_response(id, convert::invalid(message));
        } else {
            self.push_response(id, response);
        }
    }

    /// The next frame. `now` tells what is left of the callers' deadlines.
    pub(super) fn batch(&mut self, now: Instant) -> Batch {
        match self.phase {
            Phase::Closed => return Batch::Closed,
            Phase::Parted => return Batch::Empty,
            Phase::Open | Phase::Retiring => {}
        }
        let (envelopes, bytes) = self.take_envelopes(now);
        if !envelopes.is_empty() {
            return Batch::Frame(v1::Frame { hello: None, envelopes }, bytes);
        }
        if self.may_part() {
            self.phase = Phase::Parted;
            return Batch::Farewell;
        }
        Batch::Empty
    }

    fn take_envelopes(&mut self, now: Instant) -> (Vec<v1::Envelope>, usize) {
        let (mut envelopes, mut bytes) = (Vec::new(), 0);
        while envelopes.len() < BATCH_ENVELOPES {
            let fits = |next: &mut Queued| envelopes.is_empty() || bytes + next.bytes <= BATCH_BYTES;
            let Some(mut next) = self.queue.pop_front_if(fits) else { break };
            self.queued_bytes -= next.bytes;
            if let Some(Body::Call(request)) = &mut next.envelope.body {
                // The caller may have given up while its call waited here.
                match self.asked.get_mut(&next.envelope.request) {
                    Some(asked) => asked.written = true,
                    None if request.one_way => {}
                    None => continue,
                }
                request.deadline_ms =
                    next.deadline.map_or(0, |deadline| convert::remaining_ms(now, deadline));
            }
            self.sent += 1;
            next.envelope.sequence = self.sent;
            bytes += next.bytes;
            envelopes.push(next.envelope);
        }
        (envelopes, bytes)
    }

    /// True if [`batch`](Self::batch) would not be empty.
    pub(super) fn has_work(&self) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Parted => false,
            Phase::Open | Phase::Retiring => !self.queue.is_empty() || self.may_part(),
        }
    }

    /// True once the farewell is written.
    pub(super) fn has_parted(&self) -> bool {
        self.phase == Phase::Parted
    }

    fn may_part(&self) -> bool {
        let idle = self.asked.is_empty() && self.serving.is_empty() && self.queue.is_empty();
        self.phase == Phase::Retiring && idle
    }

    /// Takes no new request from now on, and says farewell when all is answered.
    pub(super) fn retire(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Retiring;
        }
    }

    /// The other side has said farewell: it never took the requests of these waiters.
    pub(super) fn farewell(&mut self) -> Vec<W> {
        self.retire();
        self.asked.drain().map(|(_, asked)| asked.waiter).collect()
    }

    /// The link is gone.
    pub(super) fn close(&mut self) -> Remains<W, T> {
        self.phase = Phase::Closed;
        let one_way = |next: &&Queued| matches!(&next.envelope.body, Some(Body::Call(call)) if call.one_way);
        let untold = self.queue.iter().filter(one_way).count();
        self.queue.clear();
        self.queued_bytes = 0;
        let (mut unsent, mut lost) = (Vec::new(), Vec::new());
        for (_, asked) in self.asked.drain() {
            if asked.written { lost.push(asked.waiter) } else { unsent.push(asked.waiter) }
        }
        let tasks = self.serving.drain().filter_map(|(_, task)| task).collect();
        Remains { unsent, lost, tasks, untold }
    }

    /// Calls, answers and cancels of honest nodes together stay below this.
    fn longest_queue(&self) -> usize {
        self.limits.max_in_flight_per_link.saturating_mul(4).max(4)
    }

    fn push_response(&mut self, id: u64, response: v1::Response) {
        self.push_body(id, Body::Response(response));
    }

    fn push_body(&mut self, request: u64, body: Body) {
        let envelope = v1::Envelope { request, body: Some(body), ..Default::default() };
        let bytes = size(&envelope);
        self.push(Queued { envelope, bytes, deadline: None });
    }

    fn push(&mut self, queued: Queued) {
        self.queued_bytes += queued.bytes;
        self.queue.push_back(queued);
    }
}

/// What the fields of an envelope other than its body take at most, with their tags and the frame's own.
const ENVELOPE_BYTES: usize = 64;

/// What an envelope takes in a frame, at most: its sequence and deadline are not filled in yet.
fn size(envelope: &v1::Envelope) -> usize {
    envelope.encoded_len() + ENVELOPE_BYTES
}

#[cfg(test)]
mod tests;
