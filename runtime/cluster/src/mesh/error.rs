//! What can go wrong on a link, by name: refused hellos, broken protocol, failed dials.

use std::time::Duration;

use greenroom_core::map::NodeRun;
use thiserror::Error;

/// Why a hello is refused. The text goes to the other node and into both logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HelloError {
    /// The first frame carries no hello.
    #[error("the first frame carries no hello: only nodes of a Greenroom cluster may talk to this port")]
    Missing,
    /// The first frame cannot be read.
    #[error("the first frame cannot be read: {0}")]
    Unreadable(String),
    /// No frame came.
    #[error("no hello came within {} ms", .0.as_millis())]
    Late(Duration),
    /// The hello leaves out something.
    #[error("the hello has no valid {0}: it does not come from a Greenroom node")]
    Incomplete(&'static str),
    /// The other node speaks another version of the mesh protocol.
    #[error("wrong protocol: {theirs} is offered, {ours} is spoken here; run the same version on all nodes")]
    Protocol {
        /// The version spoken here.
        ours: u32,
        /// The version of the other node.
        theirs: u32,
    },
    /// The other node belongs to another cluster.
    #[error("wrong cluster: {theirs:?} calls, this node belongs to {ours:?}; check the peer's address")]
    Cluster {
        /// The cluster of this node.
        ours: String,
        /// The cluster of the other node.
        theirs: String,
    },
    /// The hello is meant for a node of another name.
    #[error("wrong node: {meant:?} is meant, {here:?} is here; check the peer's address")]
    Node {
        /// The name of the node that is here.
        here: String,
        /// The name that was meant.
        meant: String,
    },
    /// The hello is meant for another store: its volume was replaced, or the address has a new user.
    #[error("wrong store: {} is meant, {} runs here; read the shard map again", meant.store, here.store)]
    Store {
        /// The run that is here.
        here: NodeRun,
        /// The run that was meant.
        meant: NodeRun,
    },
    /// The hello is meant for another run on the same store.
    #[error("wrong incarnation: {} is meant, {} runs here; read the shard map again", meant.incarnation, here.incarnation)]
    Incarnation {
        /// The run that is here.
        here: NodeRun,
        /// The run that was meant.
        meant: NodeRun,
    },
    /// The other end is this node, or a copy of its volume.
    #[error(
        "both ends have the same store: a node has dialled itself, or runs on a copy of another node's volume"
    )]
    Myself,
    /// A later run of the same store is linked already.
    #[error("outdated run: {} calls, but {} of the same store is linked already", theirs.incarnation, linked.incarnation)]
    Outdated {
        /// The run that says hello.
        theirs: NodeRun,
        /// The run that is linked.
        linked: NodeRun,
    },
}

/// The other node broke the protocol of an open link. The link is closed: what came through it cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    /// An envelope is missing, doubled or out of order: transport damage.
    #[error("envelope {got} came where {expected} was due: the transport lost or doubled something")]
    Sequence {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// An open link says hello again.
    #[error("a second hello on an open link")]
    SecondHello,
    /// The envelope has no body that this protocol version knows.
    #[error("envelope {sequence} carries {what}, which this protocol version does not send")]
    Body {
        /// The envelope's number.
        sequence: u64,
        /// What it carries.
        what: &'static str,
    },
    /// A request has the number of another one that is still being served.
    #[error("request {0} came again while it was being served")]
    Repeated(u64),
    /// A response to something that was never asked.
    #[error("a response to request {0}, which was never made")]
    Unasked(u64),
    /// Requests far above the in-flight limit keep coming while their refusals cannot be written.
    #[error("{0} envelopes wait to be written: the node keeps asking and does not read its answers")]
    Flood(usize),
    /// The bytes of a frame cannot be read as a frame, or are too many.
    #[error("unreadable frame: {0}")]
    Frame(String),
}

/// Why there is no link to a node. Written behind the node's name and address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DialError {
    /// The address is no `host:port`.
    #[error("has no valid address ({0}): use host:port")]
    Address(String),
    /// Nobody listens, or the network does not deliver.
    #[error("does not answer: {0}")]
    Connect(String),
    /// It took too long.
    #[error("does not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The other node refused the link; its words.
    #[error("refused the link: {0}")]
    Refused(String),
    /// This node refused what the other said of itself.
    #[error("is not the node that was meant: {0}")]
    Hello(#[from] HelloError),
}

/// The whole chain of an error in one line: transport errors hide what happened in their sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes: Vec<_> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
