//! The form of a stored state: MessagePack and, if the type has a version, that version in front.
//!
//! The byte in front begins no MessagePack, so states of types without a version are read as what they are: version 0. A
//! state is never written by being read: the stored form changes with the actor's next commit.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes};
use serde::de::DeserializeOwned;

use crate::actor::Actor;
use crate::codec::{self, read_stored};
use crate::error::Result as AppResult;
use crate::identity::ActorId;

/// What MessagePack promises never to use.
const VERSIONED: u8 = 0xc1;

/// Appends the form of a state. An error if it could not be read again.
pub(crate) fn encode<A: Actor>(state: &A, into: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    if A::VERSION > 0 {
        into.put_u8(VERSIONED);
        into.put_u32(A::VERSION);
    }
    let begin = into.len();
    rmp_serde::encode::write_named(into, state)?;
    codec::check_written(&into[begin..])
}

/// Reads what [`encode`] of this very program wrote.
pub(crate) fn decode<A: Actor>(form: &[u8]) -> Result<A, rmp_serde::decode::Error> {
    read_stored(split(form).1)
}

/// Reads a stored state of this or an earlier version, and the form to go back to if a turn fails.
pub(crate) fn load<A: Actor>(actor: &ActorId, stored: Bytes) -> Result<(A, Bytes), String> {
    let (version, body) = split(&stored);
    match version.cmp(&A::VERSION) {
        Ordering::Equal => {
            let state = read_stored(body).map_err(|error| unreadable(actor, &error))?;
            Ok((state, stored))
        }
        Ordering::Less => {
            let old = OldState(stored.slice_ref(body));
            let state = A::migrate_state(version, old).map_err(|error| {
                let known = A::VERSION;
                format!(
                    "the stored state of {actor} cannot be migrated from version {version} to {known}: {error}; \
                     correct `migrate`, the state is as it was"
                )
            })?;
            with_form(actor, state)
        }
        Ordering::Greater => Err(format!(
            "the stored state of {actor} has version {version} and this program knows {}; start the newer program, \
             the state is as it was",
            A::VERSION
        )),
    }
}

/// A new actor's state and its form.
pub(crate) fn new<A: Actor>(actor: &ActorId) -> Result<(A, Bytes), String> {
    with_form(actor, A::default())
}

fn with_form<A: Actor>(actor: &ActorId, state: A) -> Result<(A, Bytes), String> {
    let mut form = Vec::new();
    encode(&state, &mut form).map_err(|error| unreadable(actor, &error))?;
    Ok((state, form.into()))
}

fn split(form: &[u8]) -> (u32, &[u8]) {
    let versioned = form.split_first().filter(|(first, _)| **first == VERSIONED);
    let parts = versioned.and_then(|(_, rest)| rest.split_first_chunk());
    parts.map_or((0, form), |(version, body)| (u32::from_be_bytes(*version), body))
}

fn unreadable(actor: &ActorId, error: &dyn std::error::Error) -> String {
    format!("the stored state of {actor} does not fit its type: {error}; give new fields #[serde(default)]")
}

/// A stored state of an earlier version of its type, as `migrate` gets it.
#[derive(Debug, Clone)]
pub struct OldState(Bytes);

impl OldState {
    /// Reads it as a struct with the fields of that version. Fields that the struct does not have are passed over. A `Map`
    /// or `List` read here may be moved into the new state and keeps its items.
    pub fn decode<T: DeserializeOwned>(&self) -> AppResult<T> {
        Ok(read_stored(&self.0)?)
    }

    /// Reads it as it is, without a type.
    pub fn value(&self) -> AppResult<serde_json::Value> {
        self.decode()
    }
}
