//! What an actor type is: `#[derive(Actor)]` and `#[actor_methods]` of the macros crate implement these traits.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cx::Cx;
use crate::engine::{Hooks, MethodEntry, OldState, SharedState};
use crate::error::Result as AppResult;
use crate::index::IndexedFields;
use crate::layout::Home;
use crate::reference::ActorRef;

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no actor type",
    note = "add `#[derive(Actor, Default, Serialize, Deserialize)]` to it"
)]
/// A type of actors. Its value is the state; a new actor starts with `Default`.
pub trait Actor: Default + Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The type's name on the wire and in the store.
    const TYPE: &'static str;
    /// How its activations live.
    const OPTIONS: ActorOptions;
    /// The version of the state's form, which only grows; 0 for types that say none.
    const VERSION: u32 = 0;
    /// The fields that actors can be found by.
    const INDEXES: &'static [&'static str] = &[];
    /// The typed reference.
    type Ref: From<ActorRef<Self>> + Send + Sync + 'static;

    /// Makes the state from one that an earlier version has stored; by itself with serde's defaults for new fields.
    /// It runs at each load until the actor's next commit, so it must always make the same.
    fn migrate_state(_from: u32, old: OldState) -> AppResult<Self> {
        old.decode()
    }

    /// A copy of the state, if copying bytes makes one: quicker than encoding it.
    #[doc(hidden)]
    fn copied(&self) -> Option<Self> {
        None
    }

    /// Tells the values of the fields in [`INDEXES`](Self::INDEXES).
    fn indexed(&self, _fields: &mut IndexedFields) {}
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` has no methods that can be called",
    note = "add `#[actor_methods]` to one `impl` block of it"
)]
/// The methods of an actor type, implemented by `#[actor_methods]`.
pub trait ActorMethods: Actor {
    /// Every method, in the order of the source.
    fn methods() -> Vec<MethodEntry<Self>>;

    /// What happens when an actor comes into memory and leaves it.
    fn hooks() -> Hooks<Self> {
        Hooks::NONE
    }
}

/// How the activations of a type live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActorOptions {
    /// What a turn's commit promises.
    pub durability: Durability,
    /// An activation without calls for this long leaves memory.
    pub idle_timeout: Duration,
    /// How many calls may wait for one activation; further ones are `Overloaded`.
    pub mailbox: usize,
    /// Its calls run on workers of the node where they are made: no identity, no shard, nothing stored.
    pub stateless: bool,
    /// Every node has an activation of its own of each key, which never leaves it: no shard, nothing stored.
    pub local: bool,
    /// In which shards its actors are.
    pub home: Home,
    /// How many workers a pool of a stateless type has at most; 0: one for each core.
    pub workers: usize,
    /// What becomes of an actor after a panic, beyond the rollback.
    pub on_panic: OnPanic,
    /// For volatile types: do not encode the state before each exclusive turn; an `Err` or a panic then leaves the
    /// changes that the turn had made.
    pub no_rollback: bool,
}

impl ActorOptions {
    /// Durable, 5 minutes, 1,024 waiting calls, with rollback, and nothing more after a panic.
    pub const DEFAULT: Self = Self {
        durability: Durability::Durable,
        idle_timeout: Duration::from_secs(300),
        mailbox: 1024,
        stateless: false,
        local: false,
        home: Home::General,
        workers: 0,
        on_panic: OnPanic::Reload,
        no_rollback: false,
    };

    /// Whether the actors of the type live where their shard is. The others live on whichever node calls them.
    pub const fn is_sharded(&self) -> bool {
        !self.stateless && !self.local
    }
}

/// What becomes of an actor whose method has panicked. The turn is rolled back in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// It takes the next call with its last good state.
    Reload,
    /// It refuses calls (`Unavailable`) for 100 ms, and twice as long after each further panic in a row, up to 30 s.
    Backoff,
    /// After so many panics in a row it refuses calls (`Refused`) until it is deactivated from outside.
    Park {
        /// How many panics.
        after: u32,
    },
}

/// What a turn's commit promises, per type or per method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The reply leaves when the commit is on disk.
    Durable,
    /// The reply does not wait for the disk: a crash may lose the turns of a short time.
    Relaxed {
        /// The changes are on their way to the disk this long after the first of them, at the latest.
        within: Duration,
    },
    /// Memory only: the change is gone when the activation is, unless a later commit has carried it along.
    Volatile,
}

impl Durability {
    /// Whether a type that is kept like this can have methods that are kept like `method`: what is never stored cannot be
    /// loaded again.
    pub const fn allows(self, method: Self) -> bool {
        !matches!(self, Self::Volatile) || matches!(method, Self::Volatile)
    }
}

/// `durable`, `relaxed(50ms)` or `volatile`, as tables show it.
impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("durable"),
            Self::Relaxed { within } => write!(f, "relaxed({within:?})"),
            Self::Volatile => f.write_str("volatile"),
        }
    }
}

/// One method of an actor type; `#[actor_methods]` makes one such type per method.
pub trait Method: Send + Sync + Sized + 'static {
    /// The actor type.
    type Actor: ActorMethods;
    /// How the method takes the actor: [`Exclusive`] for `&mut self`, [`Concurrent`] for `&self`.
    type Access: Access;
    /// The arguments, a struct with a field per argument.
    type Arguments: Serialize + DeserializeOwned + Send + 'static;
    /// What it returns.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// Its application error.
    type Error: Serialize + DeserializeOwned + Send + 'static;
    /// The wire name.
    const NAME: &'static str;
    /// The names of the arguments.
    const ARGUMENTS: &'static [&'static str];
    /// Whether [`run`](Self::run) looks at its context. Making one for a method that does not costs as much as its turn.
    const TAKES_CX: bool = true;
    /// Whether [`run`](Self::run) ends when it is first polled: there is nothing in it that it could wait for.
    const IMMEDIATE: bool = false;
    /// Whether a call may come in while a turn of its own chain has lent its actor: `#[method(reentrant)]`.
    const REENTRANT: bool = false;
    /// Its place among the methods of its block.
    const INDEX: usize = 0;
    /// What its turns promise; for `&self` methods it means nothing.
    const DURABILITY: Durability = <Self::Actor as Actor>::OPTIONS.durability;

    /// Runs the body.
    fn run<'a>(
        state: <Self::Access as Access>::State<'a, Self::Actor>,
        cx: &'a Cx,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::Reply, Self::Error>> + Send + 'a;
}

/// How a method takes the actor's state. Sealed: there are two ways.
pub trait Access: sealed::Sealed + Send + Sync + 'static {
    /// `&mut A` or `&A`.
    type State<'a, A: 'a>;
    /// True for `&mut self`.
    const EXCLUSIVE: bool;

    /// Borrows the state of a turn. An exclusive turn is its only holder: the turn lock sees to that.
    #[doc(hidden)]
    fn borrow<A>(loaded: &mut SharedState<A>) -> Self::State<'_, A>;

    /// Borrows a state that its turn has lent.
    #[doc(hidden)]
    fn lend<A>(state: &mut A) -> Self::State<'_, A>;
}

/// `&mut self`: the turn has the actor for itself.
#[derive(Debug)]
pub enum Exclusive {}

/// `&self`: turns of this kind run together.
#[derive(Debug)]
pub enum Concurrent {}

impl Access for Exclusive {
    type State<'a, A: 'a> = &'a mut A;
    const EXCLUSIVE: bool = true;
    fn borrow<A>(loaded: &mut SharedState<A>) -> &mut A {
        let only = "the turn lock gives an exclusive turn the only reference to the state";
        &mut SharedState::get_mut(loaded).expect(only).state
    }
    fn lend<A>(state: &mut A) -> &mut A {
        state
    }
}

impl Access for Concurrent {
    type State<'a, A: 'a> = &'a A;
    const EXCLUSIVE: bool = false;
    fn borrow<A>(loaded: &mut SharedState<A>) -> &A {
        &loaded.state
    }
    fn lend<A>(state: &mut A) -> &A {
        state
    }
}

/// A field of a state, which may be one that can be copied: then [`copied`](Self::copied) is the inherent function below,
/// else it is that of [`NotCopied`], which gives none.
#[doc(hidden)]
#[derive(Debug)]
pub struct Field<'a, T>(pub &'a T);

impl<T: Copy> Field<'_, T> {
    /// The field's value.
    pub fn copied(&self) -> Option<T> {
        Some(*self.0)
    }
}

/// See [`Field`].
#[doc(hidden)]
pub trait NotCopied<T> {
    /// None.
    fn copied(&self) -> Option<T> {
        None
    }
}

impl<T> NotCopied<T> for Field<'_, T> {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Exclusive {}
    impl Sealed for super::Concurrent {}
}
