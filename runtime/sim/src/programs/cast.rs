//! Who plays: a few actors of five types. Calls inside turns go to later ones only, so that no two wait for each other.

use std::fmt;

use greenroom_core::{ActorId, ActorType};
use serde::{Deserialize, Serialize};

/// An actor of a program. The order is that in which turns may call each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) number: u8,
    pub(crate) kind: Kind,
}

/// The types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Durable, plain fields.
    Keeper,
    /// Durable, with collections and an index.
    Shelf,
    /// Relaxed, with collections.
    Scribe,
    /// Volatile.
    Ghost,
    /// Durable, plain fields, of a type that gets a new version.
    Elder,
}

impl Who {
    pub(crate) fn id(self) -> ActorId {
        let name = ActorType::new(format!("{:?}", self.kind)).expect("these names are valid");
        ActorId::new(name, self.key()).expect("numbers are valid keys")
    }

    pub(crate) fn key(self) -> String {
        self.number.to_string()
    }

    /// It is stored, and remembers its calls.
    pub(crate) fn is_durable(self) -> bool {
        self.kind != Kind::Ghost
    }

    /// It listens to topics, and calls itself: nodes of two versions do not know each other's types.
    pub(crate) fn is_of_one_version(self) -> bool {
        self.kind != Kind::Elder
    }

    /// It is stored later.
    pub(crate) fn is_relaxed(self) -> bool {
        self.kind == Kind::Scribe
    }

    /// The actor with this identity; `None` if it is none of a program.
    pub(crate) fn of(actor: &ActorId) -> Option<Self> {
        let kind = match actor.actor_type.as_str() {
            "Keeper" => Kind::Keeper,
            "Shelf" => Kind::Shelf,
            "Scribe" => Kind::Scribe,
            "Ghost" => Kind::Ghost,
            "Elder" => Kind::Elder,
            _ => return None,
        };
        Some(Self { number: actor.key.parse().ok()?, kind })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.kind, self.number)
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Evaluates `$then` with `$actor` bound to a typed reference of whoever `$who` is, made by `$make::<Type>(key)`.
macro_rules! with_actor {
    ($who:expr, $origin:expr, |$actor:ident| $then:expr) => {{
        let key = $who.key();
        match $who.kind {
            $crate::programs::cast::Kind::Keeper => {
                let $actor = $origin.actor::<$crate::programs::actors::Keeper>(&key);
                $then
            }
            $crate::programs::cast::Kind::Shelf => {
                let $actor = $origin.actor::<$crate::programs::actors::Shelf>(&key);
                $then
            }
            $crate::programs::cast::Kind::Scribe => {
                let $actor = $origin.actor::<$crate::programs::actors::Scribe>(&key);
                $then
            }
            $crate::programs::cast::Kind::Ghost => {
                let $actor = $origin.actor::<$crate::programs::actors::Ghost>(&key);
                $then
            }
            $crate::programs::cast::Kind::Elder => {
                let $actor = $origin.actor::<$crate::programs::elders::Elder>(&key);
                $then
            }
        }
    }};
}
pub(crate) use with_actor;
