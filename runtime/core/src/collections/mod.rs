//! Large state: [`Map`] and [`List`] are fields of an actor's struct whose items are rows of the store.
//!
//! The field itself is a small handle (a number and a length), so encoding the state stays cheap however many items
//! there are; a turn commits the items that it changed, and reads those that it asks for.
//!
//! - `key`: keys as bytes whose order is the order of the keys.
//! - `items`: what a map and a list have in common. Where an item is found is its rule.
//! - `overlay`: rows that are committed and not durable yet, which the journal does not show.
//! - `recent`: what a handle remembers: the changes of the running turn, and items that were read.
//! - `merge`: a page out of changes and stored rows.
//!
//! A handle gets its number when it is first written, from the id of the call that does it: unique in its actor, the
//! same again if the turn is repeated, and stored in the handle, so that renaming a field changes nothing.

mod cursor;
mod items;
mod key;
mod list;
mod map;
mod merge;
pub(crate) mod overlay;
mod recent;

use thiserror::Error;

pub use cursor::Cursor;
pub use key::{KeyEncode, MapKey};
pub use list::List;
pub use map::Map;

use crate::journal::JournalError;

/// The longest key of an item, encoded.
pub const MAX_ITEM_KEY_BYTES: usize = 1024;
/// The largest item, encoded.
pub const MAX_ITEM_BYTES: usize = 1 << 20;
/// How much one turn may change in one collection: keys and values together.
pub const MAX_TURN_ITEM_BYTES: usize = 16 << 20;
/// How much a collection remembers of the items that it has read lately.
pub const READ_CACHE_BYTES: usize = 64 << 10;

/// Why a collection cannot do it. The turn decides what becomes of it: with `?` it fails and is rolled back.
#[derive(Debug, Clone, Error)]
pub enum CollectionError {
    /// The item's own `Serialize` failed, there is a collection in it, or it nests too deep.
    #[error("the item cannot be encoded: {0}")]
    Encode(String),
    /// A stored item is of another type.
    #[error("a stored item does not fit its type: {0}; give new fields #[serde(default)]")]
    Decode(String),
    /// The key is too long.
    #[error("the item's key takes {0} bytes, at most {MAX_ITEM_KEY_BYTES} are allowed; use a shorter key")]
    LongKey(usize),
    /// The item is too large.
    #[error("the item takes {0} bytes, at most {MAX_ITEM_BYTES} are allowed; split it over several items")]
    LargeItem(usize),
    /// The turn has changed too much.
    #[error(
        "a turn may change {MAX_TURN_ITEM_BYTES} bytes of one collection; do the rest in further turns of the actor"
    )]
    LargeTurn,
    /// The place is behind the end of the list.
    #[error("there is no item {index}: the list has {len}; `push` appends one")]
    NoSuchItem {
        /// The place that was asked for.
        index: u64,
        /// How many items there are.
        len: u64,
    },
    /// The context is of a turn that commits nothing.
    #[error(
        "this turn cannot change collections; do it in a `&mut self` method, with the context of its own turn"
    )]
    ReadOnly,
    /// The store cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
