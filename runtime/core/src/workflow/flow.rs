//! What a workflow's function sees: everything that it does beyond computing, it does through its [`Flow`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WorkflowError;
use super::course::{Course, Halt};
use super::instance::{decode, encode};
use super::ledger::Checkpoint;
use super::step::Step;
use crate::actor::Method;
use crate::engine::Message;
use crate::error::CallError;
use crate::filter::Way;
use crate::reference::{Call, Origin};
use crate::topics::Publication;

/// A step that failed is tried again after this long, and after twice as long each further time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a workflow's function does its work with. A cheap clone.
///
/// The function may be run many times: after a crash or a move it begins again, and what is recorded is not done again.
/// So what it does outside of its steps must come to the same each time: no clock, no chance, no calls; these go into
/// steps. Each step has a name of its own in the workflow; their order and number may change with the code.
#[derive(Clone)]
pub struct Flow {
    course: Arc<Course>,
    /// How often a step is tried; `None`: until it is answered.
    attempts: Option<u32>,
}

impl Flow {
    pub(super) fn new(course: Arc<Course>) -> Self {
        Self { course, attempts: None }
    }

    pub(super) fn course(&self) -> &Course {
        &self.course
    }

    /// The key of the workflow.
    pub fn key(&self) -> &str {
        &self.course.key
    }

    /// The same, but its steps are tried so often only (at least once): the last error of the transport is then recorded
    /// and returned, and whether the step has had an effect is not known.
    pub fn attempts(&self, attempts: u32) -> Self {
        Self { attempts: Some(attempts.max(1)), ..self.clone() }
    }

    /// Does something to other actors, once, and records what they answer.
    ///
    /// ```text
    /// flow.step("charge", |by| by.actor::<Account>(&order.account).withdraw(order.total)).await?;
    /// ```
    ///
    /// What is recorded is returned when the function is run again. A step that was interrupted before its record is
    /// begun again, with the same call ids: an actor that has applied its call answers what it answered then. Actors
    /// remember calls for 10 minutes; what must be applied once however long a node is away is for [`send`](Self::send).
    ///
    /// Errors of the transport (`Unavailable`, `Overloaded`, `Timeout`) are not recorded: the step is tried again, later
    /// each time, at most 30 s apart. Others are recorded and returned, an error of the application above all.
    pub async fn step<T, E, C>(
        &self,
        name: impl AsRef<str>,
        work: impl Fn(Step) -> C,
    ) -> Result<T, CallError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned + fmt::Display,
        C: Future<Output = Result<T, CallError<E>>>,
    {
        let (name, course) = (name.as_ref(), &self.course);
        match course.ask(name).await {
            Some(Checkpoint::Done(value)) => self.read(name, &value).await,
            Some(other) => course.other_kind(name, "step", &other).await,
            None => {
                course.may_begin().await;
                let _step = course.step();
                let again = |error: &CallError<E>| comes_and_goes(error);
                let outcome = self.try_step(name, work, again).await;
                self.keep(name, encode(&outcome)).await;
                outcome
            }
        }
    }

    /// Does something that has nothing to do with actors, and records what it gives: a request to a service outside, the
    /// time, a random number. It is done at least once: again if it was interrupted before the record, so give what is
    /// outside [the step's id](Step::id) to recognise it by.
    pub async fn run<T, F>(&self, name: impl AsRef<str>, work: impl FnOnce(Step) -> F) -> T
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = T>,
    {
        let (name, course) = (name.as_ref(), &self.course);
        match course.ask(name).await {
            Some(Checkpoint::Done(value)) => self.read(name, &value).await,
            Some(other) => course.other_kind(name, "step", &other).await,
            None => {
                course.may_begin().await;
                let _step = course.step();
                course.notes().step_begins(name);
                let value = work(self.make_step(name)).await;
                course.notes().step_ended(name);
                self.keep(name, encode(&value)).await;
                value
            }
        }
    }

    /// Sends a message: it leaves with the very commit that records it, and is applied exactly once, whatever crashes, and
    /// however long it takes. Nobody waits for it. Messages of a workflow to one actor are applied in their order.
    ///
    /// ```text
    /// flow.send("pay", |by| by.actor::<Account>("bank").deposit(5)).await?;
    /// ```
    ///
    /// # Errors
    /// `Invalid` if the key of the target is none, or the arguments cannot be encoded; what an outgoing filter says.
    pub async fn send<M: Method>(
        &self,
        name: impl AsRef<str>,
        call: impl FnOnce(Step) -> Call<M>,
    ) -> Result<(), CallError> {
        let (name, course) = (name.as_ref(), &self.course);
        match course.ask(name).await {
            Some(Checkpoint::Sent) => Ok(()),
            Some(other) => course.other_kind(name, "message", &other).await,
            None => {
                course.may_begin().await;
                let call = call(self.make_step(name)).into_encoded();
                let mut call = call.map_err(|error| {
                    error.map_app(|_| CallError::Invalid("the arguments cannot be encoded".into()))
                })?;
                course.engine.outgoing().hand_over(&mut call, Way::Reliable)?;
                let _step = course.step();
                course.record(name, Checkpoint::Sent, Some(Message::from(call))).await;
                Ok(())
            }
        }
    }

    /// Publishes a message to a topic: it leaves with the very commit that records it, and who listens for good applies it
    /// exactly once. It is [`send`](Self::send) to the topic.
    ///
    /// What somebody else publishes comes to a workflow by way of an actor that listens and signals it:
    ///
    /// ```
    /// # extern crate greenroom_core as greenroom;
    /// # use greenroom::{Cx, Flow, Result};
    /// # use greenroom_macros::{Actor, actor_methods, workflow};
    /// # use serde::{Deserialize, Serialize};
    /// /// Waits until somebody has paid, and then tells everybody.
    /// #[workflow]
    /// async fn order(flow: Flow) -> Result<()> {
    ///     let amount: u32 = flow.wait_for("paid").await?;
    ///     flow.publish("tell", format!("order/{}/done", flow.key()), &amount).await?;
    ///     Ok(())
    /// }
    ///
    /// /// Hears what is published to `paid/17`, and signals the order 17.
    /// #[derive(Actor, Default, Serialize, Deserialize)]
    /// struct Cashier {}
    ///
    /// #[actor_methods]
    /// impl Cashier {
    ///     #[method(topic = "paid/{key}")]
    ///     async fn paid(&mut self, cx: &Cx, amount: u32) -> Result<()> {
    ///         Ok(cx.reliable(cx.workflow::<order>(cx.key()).signal("paid", &amount))?)
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// `Invalid` if the topic is a pattern or no name, or the message cannot be encoded; what an outgoing filter says.
    pub async fn publish<T: Serialize>(
        &self,
        name: impl AsRef<str>,
        topic: impl AsRef<str>,
        message: &T,
    ) -> Result<(), CallError> {
        let publication = Publication::of(topic.as_ref(), message)?;
        self.send(name, |by| publication.publish(&Origin::Step(by))).await
    }

    /// Says how to undo a step, if the function returns an error or is cancelled later: as a step with this name. What was
    /// said last is undone first. Say it right behind the step that it undoes: one that has begun is finished before
    /// anything is undone, and what was not done is not undone.
    ///
    /// ```text
    /// flow.compensate("refund", move |by| by.actor::<Account>(&account).deposit(total));
    /// ```
    ///
    /// Of a step that was given up ([`attempts`](Self::attempts)) or cut off ([`timeout`](Self::timeout)) it is not known
    /// whether it was done: say beforehand how to undo it, in a way that does nothing if it was not.
    ///
    /// An undo that fails, whatever the error, is tried again until it succeeds; the status shows it.
    pub fn compensate<T, E, C>(
        &self,
        name: impl Into<String>,
        undo: impl Fn(Step) -> C + Send + Sync + 'static,
    ) where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Serialize + DeserializeOwned + fmt::Display + Send + Sync + 'static,
        C: Future<Output = Result<T, CallError<E>>> + Send + 'static,
    {
        let name = name.into();
        self.course.compensate(Box::new(move |flow| Box::pin(async move { flow.undo(&name, undo).await })));
    }

    async fn undo<T, E, C>(&self, name: &str, undo: impl Fn(Step) -> C)
    where
        T: Serialize + DeserializeOwned,
        E: Serialize + DeserializeOwned + fmt::Display,
        C: Future<Output = Result<T, CallError<E>>>,
    {
        let course = &self.course;
        match course.ask(name).await {
            Some(Checkpoint::Done(_)) => {}
            Some(other) => course.other_kind(name, "step", &other).await,
            None => {
                let _step = course.step();
                let outcome = self.try_step(name, undo, |_| true).await;
                self.keep(name, encode(&outcome)).await;
            }
        }
    }

    /// Tries a step until it has an outcome to keep.
    async fn try_step<T, E, C>(
        &self,
        name: &str,
        work: impl Fn(Step) -> C,
        again: impl Fn(&CallError<E>) -> bool,
    ) -> Result<T, CallError<E>>
    where
        E: fmt::Display,
        C: Future<Output = Result<T, CallError<E>>>,
    {
        let notes = self.course.notes();
        notes.step_begins(name);
        for attempt in 1u32.. {
            match work(self.make_step(name)).await {
                Err(error) if again(&error) && self.attempts.is_none_or(|most| attempt < most) => {
                    tracing::debug!(key = self.key(), name, attempt, %error, "a step failed; trying again");
                    notes.step_failed(name, error.to_string());
                    tokio::time::sleep(pause(attempt)).await;
                }
                outcome => {
                    notes.step_ended(name);
                    return outcome;
                }
            }
        }
        unreachable!("a step is tried until it has an outcome")
    }

    fn make_step(&self, name: &str) -> Step {
        let course = &self.course;
        Step::new(course.engine.clone(), Step::id_of(course.start, name), course.request.clone())
    }

    async fn keep(&self, name: &str, value: Result<Bytes, WorkflowError>) {
        match value {
            Ok(value) => self.course.record(name, Checkpoint::Done(value), None).await,
            Err(error) => self.course.halt(Halt::Broken(format!("step {name:?}: {error}"))).await,
        }
    }

    async fn read<T: DeserializeOwned>(&self, name: &str, value: &[u8]) -> T {
        match decode(value) {
            Ok(value) => value,
            Err(error) => {
                let changed =
                    format!("step {name:?}: {error}; give a step whose type has changed a new name");
                self.course.halt(Halt::Broken(changed)).await
            }
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the flow of {}", self.key())
    }
}

/// Whether the same call may well succeed later.
pub(super) fn comes_and_goes<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Unavailable(_) | CallError::Overloaded(_) | CallError::Timeout { .. })
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}
