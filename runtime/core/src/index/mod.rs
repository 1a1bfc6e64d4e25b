//! Finding actors by the value of a field: `#[index]` on the field, `runtime.query::<Player>().eq("guild", "red")`.
//!
//! **The rows**: for each indexed field one row `(type, field, value, key of the actor) → nothing`, in the actor's shard and
//! in the same commit as the state. So of each shard the index is what is committed, never more and never less.
//!
//! **Which rows a commit changes**: the first commit of an activation writes the rows of the new state whole and removes
//! those of the stored one; later commits change what differs. So an index that is new to a type fills as its actors commit.
//!
//! - `value`: what can be looked for.
//! - `librarian`: an actor per shard of an internal type, which reads the shard's rows; so a question goes to the owners of
//!   the shards in the way of every call.
//! - `query`: asks the librarians of all shards.

mod librarian;
mod query;
mod value;

use std::collections::BTreeSet;

use bytes::Bytes;

pub use query::{Found, FoundAfter, FoundPage, Query};
pub use value::IndexValue;

pub(crate) use librarian::Librarian;

use crate::actor::Actor;
use crate::collections::KeyEncode;
use crate::error::CallError;
use crate::identity::ActorId;
use crate::rows::{RowChange, Space};

/// The longest value of an indexed field, encoded.
pub const MAX_INDEXED_BYTES: usize = 512;

/// The values of an actor's indexed fields; made by the code of `#[derive(Actor)]`.
#[derive(Debug, Default)]
pub struct IndexedFields(Vec<(&'static str, Vec<u8>)>);

impl IndexedFields {
    /// Adds a field.
    pub fn add(&mut self, field: &'static str, value: &impl IndexValue) {
        self.0.extend(value.form().map(|form| (field, form)));
    }
}

/// The keys of an actor's rows, as its last commit has left them.
pub(crate) type IndexRows = Box<BTreeSet<Bytes>>;

/// Adds to a commit the rows that the index needs, and returns all that the actor then has; `None` for types without
/// indexes. `before` is what it had, if an earlier commit of this activation has said so.
pub(crate) fn update<A: Actor, E>(
    actor: &ActorId,
    state: &A,
    before: Option<&IndexRows>,
    stored: impl FnOnce() -> Option<A>,
    rows: &mut Vec<RowChange>,
) -> Result<Option<IndexRows>, CallError<E>> {
    if A::INDEXES.is_empty() {
        return Ok(None);
    }
    let after = rows_of(actor, state)?;
    let removed_from = match before {
        Some(before) => before.clone(),
        None => stored().and_then(|stored| rows_of::<A, E>(actor, &stored).ok()).unwrap_or_default(),
    };
    let gone = removed_from.difference(&after);
    rows.extend(gone.map(|key| RowChange::remove(Space::INDEX, key.clone())));
    let new = after.iter().filter(|key| before.is_none_or(|before| !before.contains(*key)));
    rows.extend(new.map(|key| RowChange::put(Space::INDEX, key.clone(), Bytes::new())));
    Ok(Some(after))
}

fn rows_of<A: Actor, E>(actor: &ActorId, state: &A) -> Result<IndexRows, CallError<E>> {
    let mut fields = IndexedFields::default();
    state.indexed(&mut fields);
    let row = |(field, form): (&'static str, Vec<u8>)| match form.len() {
        0..=MAX_INDEXED_BYTES => {
            let mut key = prefix(A::TYPE, field, &form);
            key.extend_from_slice(actor.key.as_bytes());
            Ok(Bytes::from(key))
        }
        bytes => Err(CallError::Invalid(format!(
            "the indexed field {field} of {actor} takes {bytes} bytes, at most {MAX_INDEXED_BYTES} are allowed; index a shorter one"
        ))),
    };
    fields.0.into_iter().map(row).collect::<Result<_, _>>().map(Box::new)
}

/// The beginning of the keys of all rows with this value. No value's form is the beginning of another's.
fn prefix(actor_type: &str, field: &str, form: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(actor_type.len() + field.len() + form.len() + 32);
    actor_type.encode(&mut key);
    field.encode(&mut key);
    key.extend_from_slice(form);
    key
}
