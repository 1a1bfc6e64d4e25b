//! One message: sent until it is applied or given up.
//!
//! Nobody knows of an attempt without an answer whether it was applied, so it is made again for as long as it takes. An
//! answer that says no means that nothing was applied; after [`REFUSALS_MAX`] of them the message is given up, but not
//! before the last attempt that got no answer can have run: a dead letter has surely not been applied.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Outbox, PairId, Place, ShardBox, Waiting};
use crate::call::{CallResult, Delivery};
use crate::codec::Payload;
use crate::error::CallError;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often a target may say no.
const REFUSALS_MAX: u32 = 8;
/// The first wait between two attempts is at most this long, each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What has become of the attempts so far.
#[derive(Debug, Default)]
struct Attempts {
    made: u32,
    refused: u32,
    /// Until when an attempt without an answer may still run.
    may_run_until: Option<Instant>,
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Applied,
    Again(Duration),
    GiveUp(CallError<Payload>),
}

impl Attempts {
    /// `random` is uniform over all `u64`.
    fn after(&mut self, outcome: CallResult, deadline: Instant, random: u64) -> Verdict {
        let Err(error) = outcome else { return Verdict::Applied };
        self.made += 1;
        match error {
            CallError::App(_)
            | CallError::NotFound(_)
            | CallError::Invalid(_)
            | CallError::Panicked(_)
            | CallError::Refused(_) => {
                self.refused += 1;
                if self.refused >= REFUSALS_MAX {
                    return Verdict::GiveUp(error);
                }
            }
            CallError::Timeout { committed: Some(false) } | CallError::Overloaded(_) => {}
            _ => self.may_run_until = Some(deadline),
        }
        let ceiling = FIRST_WAIT.saturating_mul(1 << (self.made - 1).min(16)).min(LONGEST_WAIT);
        Verdict::Again(ceiling / 2 + (ceiling / 2).mul_f64(random as f64 / u64::MAX as f64))
    }
}

impl Outbox {
    /// Sends the message until it is applied, or buries it. `None` if the shard is closed.
    pub(super) async fn deliver(
        &self,
        of: &Arc<ShardBox>,
        id: &PairId,
        key: &Bytes,
        waiting: Waiting,
    ) -> Option<()> {
        let (_, Place::Numbered { lane, epoch, number }) = Place::read(key)? else { return None };
        let Waiting { message, mut again, .. } = waiting;
        let mut attempts = Attempts::default();
        loop {
            let permit = self.permits.acquire().await.ok()?;
            of.shard.gate().committed()?;
            let Some(transport) = self.core()?.transport() else {
                // The node is still being put together.
                tokio::time::sleep(FIRST_WAIT).await;
                continue;
            };
            let deadline = self.env.now() + ATTEMPT;
            let delivery = Delivery { from: id.from.clone(), lane, epoch, number, again };
            let outcome = transport.call(message.call(delivery, deadline)).await;
            drop((transport, permit));
            again = true;
            match attempts.after(outcome, deadline, self.env.random() as u64) {
                Verdict::Applied => {
                    self.applied(of, id, key.clone());
                    return Some(());
                }
                Verdict::Again(wait) => tokio::time::sleep(wait).await,
                Verdict::GiveUp(error) => {
                    if let Some(until) = attempts.may_run_until {
                        tokio::time::sleep_until(until + Duration::from_secs(1)).await;
                    }
                    return self.bury(of, id, key, message, &error).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_never_ends_the_attempts_and_refusals_do() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let mut outcome = |error: CallError<Payload>| attempts.after(Err(error), now, u64::MAX);
        assert_eq!(outcome(CallError::Unavailable("moving".into())), Verdict::Again(FIRST_WAIT));
        for _ in 0..1_000 {
            assert!(matches!(outcome(CallError::Timeout { committed: None }), Verdict::Again(_)));
        }
        assert_eq!(outcome(CallError::Overloaded("full".into())), Verdict::Again(LONGEST_WAIT));
        for _ in 1..REFUSALS_MAX {
            assert!(matches!(outcome(CallError::NotFound("no".into())), Verdict::Again(_)));
        }
        let no = CallError::Panicked("no".into());
        assert_eq!(outcome(no.clone()), Verdict::GiveUp(no));
        assert_eq!(attempts.after(Ok(Payload::default()), now, 0), Verdict::Applied);
    }
}
