//! Who is who: actors, shards, stores, calls, and the numbers that order them.
//!
//! These forms are stored and sent, so they cannot change any more without moving every actor to another shard. The
//! test vectors at the end pin them:
//! - shard = `xxh3_64(type ‖ 0 ‖ key) mod N`, counted from the first of the N shards of the type's home
//! - call id inside a turn = `xxh3_128(parent id ‖ ordinal as u64 big-endian)`, 16 bytes big-endian
//! - placement name = `<type in lower case>-<base32(xxh3_128(type ‖ 0 ‖ key))>`

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use thiserror::Error;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::actor::Actor;
use crate::layout::ShardRange;

/// The longest type name, in bytes.
pub const MAX_TYPE_BYTES: usize = 64;
/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 512;

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The type is not `[A-Za-z][A-Za-z0-9_.]{0,63}`.
    #[error("actor type {0:?} is not valid: use 1 to 64 of A-Z a-z 0-9 _ and '.', beginning with a letter")]
    Type(String),
    /// The key is empty.
    #[error("the key of an actor of type {0} is empty: use 1 to 512 bytes of UTF-8")]
    EmptyKey(String),
    /// The key is too long.
    #[error("the key of an actor of type {actor_type} has {bytes} bytes: use at most 512")]
    LongKey {
        /// The actor's type.
        actor_type: String,
        /// How long the key is.
        bytes: usize,
    },
    /// There is no `/` between type and key.
    #[error("{0:?} is no actor: write TYPE/KEY, for example Counter/page-1")]
    NoSlash(String),
    /// A call id has not 16 bytes.
    #[error("a call id has 16 bytes, this one has {0}")]
    CallId(usize),
}

/// The name of an actor type: `[A-Za-z][A-Za-z0-9_.]{0,63}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActorType(SmolStr);

impl ActorType {
    /// Checks and takes a type name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, IdentityError> {
        let name = name.as_ref();
        if is_type_name(name) { Ok(Self(name.into())) } else { Err(IdentityError::Type(shorten(name))) }
    }

    /// The name of a type that the program knows: checked when the program is compiled, and never allocated.
    pub fn of<A: Actor>() -> Self {
        const {
            assert!(
                is_type_name(A::TYPE),
                "the name of an actor type is not valid; see greenroom_core::identity"
            );
        }
        Self(SmolStr::new_static(A::TYPE))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_type_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (byte, first) = (bytes[at], at == 0);
        let allowed = byte.is_ascii_alphabetic() || !first && matches!(byte, b'0'..=b'9' | b'_' | b'.');
        if !allowed {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= MAX_TYPE_BYTES
}

impl TryFrom<String> for ActorType {
    type Error = IdentityError;
    fn try_from(name: String) -> Result<Self, IdentityError> {
        Self::new(name)
    }
}

impl From<ActorType> for String {
    fn from(ty: ActorType) -> Self {
        ty.0.into()
    }
}

impl fmt::Display for ActorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of an actor, written `Counter/page-1`. Cheap to clone: a short key stands in it, a long one is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Named")]
pub struct ActorId {
    /// The type.
    #[serde(rename = "type")]
    pub actor_type: ActorType,
    /// The key, 1 to 512 bytes.
    pub key: SmolStr,
}

/// An identity as it is read, before its key is checked.
#[derive(Deserialize)]
#[serde(rename = "ActorId")]
struct Named {
    #[serde(rename = "type")]
    actor_type: ActorType,
    key: SmolStr,
}

impl TryFrom<Named> for ActorId {
    type Error = IdentityError;
    fn try_from(Named { actor_type, key }: Named) -> Result<Self, IdentityError> {
        check_key(&key, actor_type.as_str())?;
        Ok(Self { actor_type, key })
    }
}

impl ActorId {
    /// Checks and takes a key.
    pub fn new(actor_type: ActorType, key: impl AsRef<str>) -> Result<Self, IdentityError> {
        let key = key.as_ref();
        check_key(key, actor_type.as_str())?;
        Ok(Self { actor_type, key: key.into() })
    }

    /// The actor with this key of a type that the program knows.
    pub(crate) fn of<A: Actor>(key: &SmolStr) -> Result<Self, IdentityError> {
        check_key(key, A::TYPE)?;
        Ok(Self { actor_type: ActorType::of::<A>(), key: key.clone() })
    }

    /// The shard that this actor belongs to, of those that its type is in.
    pub fn shard(&self, home: impl Into<ShardRange>) -> Shard {
        home.into().of_hash(self.hashed(xxh3_64))
    }

    /// The name of this actor's placement object: valid as a Kubernetes name, whatever the key is.
    pub fn placement_name(&self) -> String {
        let hash = self.placement_hash();
        let base32 = data_encoding::BASE32_NOPAD.encode(&hash.to_be_bytes()).to_ascii_lowercase();
        let prefix: String = self
            .actor_type
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        format!("{prefix}-{base32}")
    }

    /// The hash in the name of the placement object.
    pub(crate) fn placement_hash(&self) -> u128 {
        self.hashed(xxh3_128)
    }

    /// The hash in this name of a placement object; none if it is no such name.
    pub(crate) fn placement_hash_of(name: &str) -> Option<u128> {
        let (_, base32) = name.rsplit_once('-')?;
        let hash = data_encoding::BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).ok()?;
        hash.try_into().ok().map(u128::from_be_bytes)
    }

    /// Hashes `type ‖ 0 ‖ key` without allocating.
    fn hashed<T>(&self, hash: impl FnOnce(&[u8]) -> T) -> T {
        let (ty, key) = (self.actor_type.as_str().as_bytes(), self.key.as_bytes());
        let end = ty.len() + 1 + key.len();
        // Most identities are short, and clearing the large buffer would cost more than the hash.
        let (mut short, mut long);
        let buffer: &mut [u8] = if end <= 64 {
            short = [0u8; 64];
            &mut short
        } else {
            long = [0u8; MAX_TYPE_BYTES + 1 + MAX_KEY_BYTES];
            &mut long
        };
        buffer[..ty.len()].copy_from_slice(ty);
        buffer[ty.len() + 1..end].copy_from_slice(key);
        hash(&buffer[..end])
    }
}

fn check_key(key: &str, actor_type: &str) -> Result<(), IdentityError> {
    match key.len() {
        0 => Err(IdentityError::EmptyKey(actor_type.into())),
        1..=MAX_KEY_BYTES => Ok(()),
        bytes => Err(IdentityError::LongKey { actor_type: actor_type.into(), bytes }),
    }
}

impl FromStr for ActorId {
    type Err = IdentityError;
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (ty, key) = text.split_once('/').ok_or_else(|| IdentityError::NoSlash(shorten(text)))?;
        Self::new(ActorType::new(ty)?, key)
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.actor_type, self.key)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Error messages quote what was given, but not ten kilobytes of it.
fn shorten(text: &str) -> String {
    if text.len() <= 80 {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(80).collect::<String>())
    }
}

/// How many shards a cluster has; fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardCount(NonZeroU16);

impl ShardCount {
    /// The default of a new cluster.
    pub const DEFAULT: Self = Self(NonZeroU16::new(1024).expect("1024 is not zero"));

    /// `None` for zero.
    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// Every shard, in order.
    pub fn shards(self) -> impl Iterator<Item = Shard> + Clone {
        (0..self.get()).map(Shard)
    }
}

/// A fixed slice of the key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard's ownership number; it only grows. 0 comes before the first owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's place in its shard; the first record has 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a store, given when it is formatted; a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub uuid::Uuid);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a process on a store: a counter kept in the store, raised durably at each start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a call. Whoever repeats a call with the same id gets the stored reply.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u128);

impl CallId {
    /// The id of the `ordinal`-th call made inside the turn of this call: a turn that is repeated after a crash gives
    /// its calls the same ids, so their effects are not repeated.
    pub fn child(self, ordinal: u64) -> Self {
        let mut bytes = [0u8; 24];
        bytes[..16].copy_from_slice(&self.to_bytes());
        bytes[16..].copy_from_slice(&ordinal.to_be_bytes());
        Self(xxh3_128(&bytes))
    }

    /// An id made from a name that the program chooses, for calls that must be the same when the program runs again.
    pub fn named(name: &str) -> Self {
        Self(xxh3_128(name.as_bytes()))
    }

    /// The 16 bytes that go over the wire, big-endian.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| IdentityError::CallId(bytes.len()))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ActorId {
        text.parse().unwrap()
    }

    #[test]
    fn shards_match_the_committed_vectors() {
        for (text, shards, expected) in
            [("Counter/page-1", 1024, 780), ("Counter/page-2", 1024, 600), ("a.B_c/ключ", 7, 5)]
        {
            assert_eq!(id(text).shard(ShardCount::new(shards).unwrap()), Shard(expected), "{text}");
        }
    }

    #[test]
    fn call_ids_and_placement_names_match_the_committed_vectors() {
        assert_eq!(CallId(1).child(0).to_string(), "c5a60571d49cc7a9811024a911e8a1bd");
        let page = id("Counter/page-1");
        assert_eq!(page.placement_name(), "counter-hxvdxvmwyyt7dwpma4liupvy74");
        assert_eq!(ActorId::placement_hash_of(&page.placement_name()), Some(page.placement_hash()));
        assert_eq!(ActorId::placement_hash_of("counter-1"), None);
    }

    #[test]
    fn wrong_identities_say_what_to_do() {
        for (text, part) in [
            ("Counter", "TYPE/KEY"),
            ("1st/x", "beginning with a letter"),
            ("Counter/", "is empty"),
            (&format!("Counter/{}", "k".repeat(10_000)), "10000 bytes: use at most 512"),
        ] {
            let error = text.parse::<ActorId>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(error.len() < 250, "{error}");
        }
        // Also where it stands in the arguments of a call, or in what is stored.
        let read = |key| serde_json::from_value::<ActorId>(serde_json::json!({ "type": "A", "key": key }));
        assert_eq!(read("a".repeat(MAX_KEY_BYTES)).unwrap().key.len(), MAX_KEY_BYTES);
        assert!(read(String::new()).unwrap_err().to_string().contains("is empty"));
        assert!(read("k".repeat(MAX_KEY_BYTES + 1)).unwrap_err().to_string().contains("at most 512"));
    }

    #[test]
    fn a_key_may_hold_slashes() {
        assert_eq!(&*id("Path/a/b/c").key, "a/b/c");
    }
}
