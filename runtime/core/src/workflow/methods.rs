//! The methods of a workflow's actor, on the wire. What they do stands in `instance`.

use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::instance::{Instance, encode};
use super::ledger::{Known, Outcome, Question, Wish, WorkflowStatus};
use super::{Workflow, WorkflowError};
use crate::actor::{Access, ActorMethods, Concurrent, Exclusive, Method};
use crate::cx::Cx;
use crate::engine::MethodEntry;
use crate::streams::Items;

type Result<T> = std::result::Result<T, WorkflowError>;

impl<W: Workflow> ActorMethods for Instance<W> {
    fn methods() -> Vec<MethodEntry<Self>> {
        let mut methods = vec![MethodEntry::of::<Start<W>>()];
        methods.extend(entries());
        methods
    }
}

/// Starts a workflow.
pub struct Start<W>(PhantomData<fn() -> W>);

/// The arguments of [`Start`].
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct StartArguments<W: Workflow> {
    pub(super) input: W::Input,
}

impl<W: Workflow> Method for Start<W> {
    type Actor = Instance<W>;
    type Access = Exclusive;
    type Arguments = StartArguments<W>;
    type Reply = ();
    type Error = WorkflowError;
    const NAME: &'static str = "start";
    const ARGUMENTS: &'static [&'static str] = &["input"];

    async fn run(state: &mut Instance<W>, cx: &Cx, arguments: StartArguments<W>) -> Result<()> {
        let input = encode(&arguments.input);
        drop(arguments);
        state.start(cx, input?).await
    }
}

/// Writes a method of the actor: its type, its name on the wire (with an `@` if only nodes call it), its arguments and the way to the actor's function of the same name.
macro_rules! methods {
    ($(
        $(#[doc = $doc:literal])*
        $index:literal: $vis:vis $method:ident = $wire:literal, $access:ident,
        fn $name:ident($($argument:ident: $ty:ty),*) -> $reply:ty;
    )*) => {
        /// The methods in the table of their type.
        fn entries<W: Workflow>() -> Vec<MethodEntry<Instance<W>>> {
            vec![$(MethodEntry::of::<$method<W>>()),*]
        }

        $(
            $(#[doc = $doc])*
            $vis struct $method<W>(PhantomData<fn() -> W>);

            impl<W: Workflow> Method for $method<W> {
                type Actor = Instance<W>;
                type Access = $access;
                type Arguments = arguments::$method;
                type Reply = $reply;
                type Error = WorkflowError;
                const NAME: &'static str = $wire;
                const ARGUMENTS: &'static [&'static str] = &[$(stringify!($argument)),*];
                const INDEX: usize = $index;

                async fn run<'a>(
                    state: <$access as Access>::State<'a, Instance<W>>,
                    cx: &'a Cx,
                    arguments: Self::Arguments,
                ) -> Result<$reply> {
                    let arguments::$method { $($argument),* } = arguments;
                    state.$name(cx, $($argument),*).await
                }
            }
        )*

        /// The arguments, a struct for each method.
        #[allow(unreachable_pub, reason = "they are seen through the public trait `Method` only")]
        pub(super) mod arguments {
            use super::*;

            $(
                #[doc = concat!("The arguments of `", stringify!($name), "`.")]
                #[derive(Serialize, Deserialize)]
                pub struct $method { $(pub(in crate::workflow) $argument: $ty),* }
            )*
        }
    };
}

methods! {
    /// Gives a workflow something that its function waits for.
    1: pub Signal = "signal", Exclusive, fn signal(name: String, value: SignalValue) -> ();
    /// Cancels a workflow.
    2: pub Cancel = "cancel", Exclusive, fn cancel() -> ();
    /// Asks for the outcome of a workflow; `None`: it has not ended.
    3: pub GetOutcome = "outcome", Concurrent, fn outcome() -> Option<Outcome<W::Output, W::Error>>;
    /// Asks a workflow how far it is.
    4: pub GetStatus = "status", Concurrent, fn status() -> WorkflowStatus;
    /// What a run asks its workflow. Few methods, because each is compiled anew for every workflow.
    5: pub(super) Ask = "@ask", Concurrent, fn ask(question: Question) -> Known;
    /// Asks a workflow to say when it has ended: one item then, and at once if it has.
    7: pub(super) WhenEnded = "when_ended", Concurrent, fn when_ended() -> Items<()>;
    /// What a run, or a reminder, changes. Returns whether it did.
    6: pub(super) Change = "@change", Exclusive, fn change(wish: Wish) -> bool;
}

/// What a signal carries. What JSON cannot express is refused when it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalValue(std::result::Result<Value, String>);

impl SignalValue {
    pub(super) fn new<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(serde_json::to_value(value).map_err(|error| error.to_string()))
    }

    pub(super) fn into_value(self) -> Value {
        self.0.unwrap_or_default()
    }
}

impl Serialize for SignalValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(value) => value.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> Deserialize<'de> for SignalValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(Self(Ok(Value::deserialize(deserializer)?)))
    }
}
