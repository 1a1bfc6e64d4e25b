//! What clients asked and were told, and the checks of that against what the ledgers hold in the end.
//!
//! The order of a call's beginning and end is kept as numbers that count all such events, so "before" means before in
//! the one history, not at an earlier millisecond.

use std::collections::BTreeMap;

use greenroom_core::CallId;
use parking_lot::Mutex;

use super::{Checker, Violation};

/// Everything that was asked.
#[derive(Default)]
pub(crate) struct History(Mutex<Events>);

#[derive(Default)]
struct Events {
    moment: u64,
    calls: Vec<Asked>,
}

/// One call, however often it was repeated.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: CallId,
    pub(crate) ledger: String,
    /// The ledger that the value goes through first, for a relayed one.
    pub(crate) through: Option<String>,
    /// The value that it was to append; `None` for a read.
    pub(crate) value: Option<u64>,
    pub(crate) begun: u64,
    pub(crate) ended: Option<(u64, Told)>,
    pub(crate) attempts: u32,
}

/// What a client was told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// The value has been appended; so long is the ledger.
    Length(usize),
    /// These are the values.
    List(Vec<u64>),
    /// The method failed or panicked: nothing remains of any of its turns.
    RolledBack,
    /// The turn of the last attempt surely did not happen.
    NotDone,
    /// Nobody knows.
    Nothing,
}

/// A call in the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

impl History {
    /// A client begins a call.
    pub(crate) fn begin(&self, id: CallId, ledger: &str, through: Option<&str>, value: Option<u64>) -> Place {
        let mut events = self.0.lock();
        events.moment += 1;
        let begun = events.moment;
        let (ledger, through) = (ledger.to_owned(), through.map(str::to_owned));
        events.calls.push(Asked { id, ledger, through, value, begun, ended: None, attempts: 0 });
        Place(events.calls.len() - 1)
    }

    /// It sends the call once more.
    pub(crate) fn attempt(&self, call: Place) {
        self.0.lock().calls[call.0].attempts += 1;
    }

    /// It has been told something, or has given up.
    pub(crate) fn end(&self, call: Place, told: Told) {
        let mut events = self.0.lock();
        events.moment += 1;
        events.calls[call.0].ended = Some((events.moment, told));
    }

    fn calls(&self) -> Vec<Asked> {
        self.0.lock().calls.clone()
    }
}

impl Checker {
    /// Checks the whole history against what the ledgers hold in the end.
    pub(crate) fn check_history(&self, ledgers: &BTreeMap<String, Vec<u64>>) {
        let calls = self.history.calls();
        for (key, values) in ledgers {
            let of_ledger: Vec<_> = calls.iter().filter(|call| call.ledger == *key).collect();
            let sent: Vec<_> =
                calls.iter().filter(|call| call.through.as_deref() == Some(key)).cloned().collect();
            let checks: [(&'static str, Result<(), String>); 6] = [
                ("i4_once_in_the_end", i4_once_in_the_end(values)),
                ("i2_acknowledged_values_are_there", i2_acknowledged_values_are_there(values, &of_ledger)),
                ("relayed_values_are_in_both", relayed_values_are_in_both(values, &sent, ledgers)),
                ("what_was_not_done_is_not_there", self.what_was_not_done_is_not_there(values, &of_ledger)),
                ("reads_see_one_line", reads_see_one_line(values, &of_ledger)),
                ("nothing_is_older_than_what_was_told", nothing_is_older_than_what_was_told(&of_ledger)),
            ];
            for (invariant, outcome) in checks {
                if let Err(message) = outcome {
                    self.violate(invariant, format!("ledger {key}: {message}"));
                }
            }
        }
    }

    /// An application error and a panic say that nothing remains of the call, however often it was sent.
    /// `Timeout{committed: Some(false)}` speaks of one attempt, so only calls that were sent once are held to it.
    fn what_was_not_done_is_not_there(&self, values: &[u64], calls: &[&Asked]) -> Result<(), String> {
        let wrong = calls.iter().find(|call| {
            let once = call.attempts <= 1 && !self.was_duplicated(call.id);
            let not_done = match call.ended {
                Some((_, Told::RolledBack)) => true,
                Some((_, Told::NotDone)) => once,
                _ => false,
            };
            not_done && call.value.is_some_and(|value| values.contains(&value))
        });
        wrong.map_or(Ok(()), |call| {
            Err(format!("value {:?} is there, although its caller was told it is not", call.value))
        })
    }
}

/// I4, from outside: no value stands in a ledger twice, whoever repeated its call.
fn i4_once_in_the_end(values: &[u64]) -> Result<(), String> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("value {} is there twice", pair[0])),
        None => Ok(()),
    }
}

/// I2, from outside: an acknowledged value is there, at the place that the acknowledgement named.
///
/// The place says more than that it is there: a repeated call was given the reply of the turn that applied it.
fn i2_acknowledged_values_are_there(values: &[u64], calls: &[&Asked]) -> Result<(), String> {
    for call in calls {
        if let (Some(value), Some((_, Told::Length(length)))) = (call.value, &call.ended)
            && values.get(length.wrapping_sub(1)) != Some(&value)
        {
            let place = values.iter().position(|other| *other == value).map(|place| place + 1);
            return Err(format!("value {value} was acknowledged at place {length}, it is at {place:?}"));
        }
    }
    Ok(())
}

/// The callee of a relayed value commits before its caller does: a value that the caller has, the callee has.
fn relayed_values_are_in_both(
    values: &[u64],
    sent: &[Asked],
    ledgers: &BTreeMap<String, Vec<u64>>,
) -> Result<(), String> {
    for call in sent {
        let at_caller = ledgers
            .get(&call.ledger)
            .is_some_and(|caller| call.value.is_some_and(|value| caller.contains(&value)));
        if at_caller && !call.value.is_some_and(|value| values.contains(&value)) {
            return Err(format!("value {:?} is at {} but never came here", call.value, call.ledger));
        }
    }
    Ok(())
}

/// Every read is a beginning of the final list: ledgers have one line of states.
fn reads_see_one_line(values: &[u64], calls: &[&Asked]) -> Result<(), String> {
    for call in calls {
        if let Some((_, Told::List(list))) = &call.ended
            && !values.starts_with(list)
        {
            return Err(format!("a read showed {list:?}, which is no beginning of {values:?}"));
        }
    }
    Ok(())
}

/// I3, from outside: a call that began after another had ended sees at least what the other was told.
///
/// So no replaced owner answers from its old memory, and a value is appended behind those acknowledged before.
fn nothing_is_older_than_what_was_told(calls: &[&Asked]) -> Result<(), String> {
    let shown = |told: &Told| match told {
        Told::Length(length) => Some(*length),
        Told::List(list) => Some(list.len()),
        Told::RolledBack | Told::NotDone | Told::Nothing => None,
    };
    let mut ended: Vec<_> = calls
        .iter()
        .filter_map(|call| call.ended.as_ref().and_then(|(at, told)| Some((*at, shown(told)?))))
        .collect();
    ended.sort_unstable();
    for call in calls {
        let Some(seen) = call.ended.as_ref().and_then(|(_, told)| shown(told)) else { continue };
        let before = ended.iter().take_while(|(at, _)| *at < call.begun);
        let known = before.map(|(_, length)| *length).max().unwrap_or(0);
        let is_new = call.value.is_some();
        if seen < known + usize::from(is_new) {
            return Err(format!("a call showed length {seen} after another had been told {known}"));
        }
    }
    Ok(())
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: Option<u64>, begun: u64, ended: u64, told: Told) -> Asked {
        let (id, ledger) = (CallId(u128::from(begun)), "a".to_owned());
        Asked { id, ledger, through: None, value, begun, ended: Some((ended, told)), attempts: 1 }
    }

    #[test]
    fn an_acknowledged_value_at_another_place_is_found() {
        let call = asked(Some(7), 1, 2, Told::Length(1));
        assert!(i2_acknowledged_values_are_there(&[7, 8], &[&call]).is_ok());
        assert!(i2_acknowledged_values_are_there(&[8, 7], &[&call]).is_err());
        assert!(i2_acknowledged_values_are_there(&[], &[&call]).is_err());
    }

    #[test]
    fn a_stale_read_is_found_and_one_that_overlaps_is_not() {
        let append = asked(Some(7), 1, 4, Told::Length(1));
        let stale = asked(None, 5, 6, Told::List(Vec::new()));
        let overlapping = asked(None, 3, 6, Told::List(Vec::new()));
        assert!(nothing_is_older_than_what_was_told(&[&append, &stale]).is_err());
        assert!(nothing_is_older_than_what_was_told(&[&append, &overlapping]).is_ok());
    }
}
