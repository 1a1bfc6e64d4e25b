//! How a turn lends its state to the calls that come back to its actor; [`engine::windows`](crate::engine) runs them.

use crate::actor::{Actor, Method};
use crate::cx::Cx;
use crate::engine::Window;
use crate::error::CallError;
use crate::reference::Call;

impl Cx {
    /// Makes a call and lends the state meanwhile: calls that come from it back to this actor, to methods marked
    /// `#[method(reentrant)]`, run on `state` inside this turn. All others wait, as ever; what is left of an earlier call
    /// for which this turn lent its state gets `Deadlock`.
    ///
    /// `state` is the `self` of the `&mut self` method that this is the context of. When the call has ended it may be
    /// another than before. What the calls that came back have changed is committed with this turn and is gone if it
    /// fails: whoever made them has then been told something that never was, as with everything that a turn says in the
    /// middle. Dropping the future cancels the call and those that came back and are not done.
    ///
    /// # Errors
    /// Those of the call; `Invalid` if this is not the context of an exclusive turn of this type, if the turn lends
    /// its state already, or if the call has begun before.
    pub async fn reentrant<A: Actor, M: Method>(
        &self,
        state: &mut A,
        call: Call<M>,
    ) -> Result<M::Reply, CallError<M::Error>> {
        if !self.is_exclusive() || self.actor_id().actor_type.as_str() != A::TYPE {
            return Err(CallError::Invalid(format!(
                "{} can lend nothing but its own state; call `cx.reentrant(self, …)` in a `&mut self` method",
                self.actor_id()
            )));
        }
        let mut call = call;
        let Some(number) = call.lend() else {
            return Err(CallError::Invalid(
                "a call that has begun already cannot be lent a state; give it to `cx.reentrant` first"
                    .into(),
            ));
        };
        let mut window = Window::<A>::open(self, number)?;
        loop {
            let visit = tokio::select! {
                biased;
                outcome = &mut call => return outcome,
                Some(visit) = window.next() => visit,
            };
            let mut visited = visit(state, self);
            tokio::select! {
                biased;
                () = &mut visited => {}
                // Who came back is not waited for any more.
                outcome = &mut call => return outcome,
            }
        }
    }
}
