//! One actor under many callers: how many asks it takes, how long the slowest of them wait, and whether the others
//! overtake them.
//!
//! Every call draws a number before it begins, and another one when it has to wait. A call that drew its first number
//! after the second one of a waiting call, and had its turn before it, has overtaken that call. The order of turns is
//! told by the totals that the actor replies. So time that the operating system takes from a caller before its call is
//! in the queue does not count against the framework.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::Stage;
use crate::Rig;
use crate::protocol::Sample;
use crate::stopwatch::Stopwatch;

const CALLERS: usize = 256;

/// What is known of a call when it has its reply.
struct Call {
    begun: u64,
    /// When it began to wait, if it did.
    waited: Option<u64>,
    /// The place of its turn among all turns.
    turn: u64,
    took_ns: u64,
}

impl<R: Rig> Stage<R> {
    pub(super) async fn hot(&mut self, n: u64) -> Result<Sample> {
        let actor = self.actors(1).await?[0].clone();
        let each = n.div_ceil(CALLERS as u64);
        let stopwatch = Stopwatch::start();
        try_join_all((0..CALLERS).map(|number| {
            let (rig, actor) = (self.rig.clone(), actor.clone());
            self.rig.caller(number, async move {
                for _ in 0..each {
                    rig.ask(&actor, 1).await?;
                }
                Ok(())
            })
        }))
        .await?;
        let sample = stopwatch.stop(each * CALLERS as u64);
        let calls = self.watched(actor, each).await?;
        let (p999_ns, overtaken) = (p999(&calls), most_overtaken(&calls));
        Ok(Sample { p999_ns: Some(p999_ns), overtaken: Some(overtaken), ..sample })
    }

    /// The same calls once more; looking at each of them takes time that is not the framework's.
    async fn watched(&self, actor: R::Actor, each: u64) -> Result<Vec<Call>> {
        let first = self.rig.ask(&actor, 0).await?;
        let numbers = Arc::new(AtomicU64::new(0));
        let (report, mut reports) = mpsc::unbounded_channel();
        try_join_all((0..CALLERS).map(|number| {
            let (rig, actor, numbers) = (self.rig.clone(), actor.clone(), numbers.clone());
            let report = report.clone();
            self.rig.caller(number, async move {
                let mut calls = Vec::new();
                for _ in 0..each {
                    calls.push(watch(&numbers, first, rig.ask(&actor, 1)).await?);
                }
                report.send(calls).ok().context("nobody wants the reports")
            })
        }))
        .await?;
        drop(report);
        let mut calls = Vec::new();
        while let Some(more) = reports.recv().await {
            calls.extend(more);
        }
        Ok(calls)
    }
}

async fn watch(numbers: &AtomicU64, first: u64, ask: impl Future<Output = Result<u64>>) -> Result<Call> {
    let draw = || numbers.fetch_add(1, Ordering::SeqCst);
    let mut ask = pin!(ask);
    let (started, begun, mut waited) = (Instant::now(), draw(), None);
    let total = poll_fn(|task| {
        let poll = ask.as_mut().poll(task);
        if poll.is_pending() && waited.is_none() {
            waited = Some(draw());
        }
        poll
    })
    .await?;
    let took_ns = u64::try_from(started.elapsed().as_nanos())?;
    Ok(Call { begun, waited, turn: total - first, took_ns })
}

/// All but a thousandth of the calls took no longer.
fn p999(calls: &[Call]) -> u64 {
    let mut took: Vec<_> = calls.iter().map(|call| call.took_ns).collect();
    took.sort_unstable();
    took.get(took.len() * 999 / 1_000).copied().unwrap_or_default()
}

/// By how many later calls the worst-off call was overtaken.
///
/// From the call that waited last to the first: `later` holds the turns of all calls that began after it waited, as a
/// Fenwick tree, which counts the earlier ones among them in logarithmic time.
fn most_overtaken(calls: &[Call]) -> u64 {
    let mut by_begin: Vec<_> = calls.iter().collect();
    by_begin.sort_unstable_by_key(|call| call.begun);
    let mut waiting: Vec<_> = calls.iter().filter_map(|call| Some((call.waited?, call.turn))).collect();
    waiting.sort_unstable();
    let mut later = vec![0; calls.iter().map(|call| call.turn).max().unwrap_or_default() as usize + 1];
    let mut most = 0;
    for (waited, turn) in waiting.into_iter().rev() {
        while let Some(call) = by_begin.pop_if(|call| call.begun > waited) {
            let mut i = call.turn as usize;
            while i != 0 && i < later.len() {
                later[i] += 1;
                i += i & i.wrapping_neg();
            }
        }
        let (mut i, mut before) = (turn as usize - 1, 0);
        while i != 0 {
            before += later[i];
            i &= i - 1;
        }
        most = most.max(before);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(begun: u64, waited: Option<u64>, turn: u64) -> Call {
        Call { begun, waited, turn, took_ns: turn }
    }

    #[test]
    fn a_call_is_overtaken_by_those_that_began_while_it_waited_and_ran_before_it() {
        // The one that waits from 1 on runs as the fourth: the one of 0 was earlier, two were later.
        let calls =
            [call(0, None, 1), call(0, Some(1), 4), call(2, None, 2), call(3, Some(4), 3), call(5, None, 5)];
        assert_eq!(most_overtaken(&calls), 2);
        let in_order = [call(0, Some(1), 1), call(2, Some(3), 2), call(4, Some(5), 3)];
        assert_eq!(most_overtaken(&in_order), 0);
        assert_eq!(most_overtaken(&[]), 0);
    }

    #[test]
    fn one_call_in_a_thousand_takes_longer_than_the_p999() {
        let calls: Vec<_> = (1..=10_000).map(|turn| call(turn, None, turn)).collect();
        assert_eq!(calls.iter().filter(|call| call.took_ns > p999(&calls)).count(), 9);
    }
}
