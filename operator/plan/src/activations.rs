//! How many actors are in memory, as a status tells it: rounded to two digits, counted anew only after a change of more
//! than a tenth, and at most once a minute. Every change is a write to the API server; exact counts come from the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_crds::{ActivationStatus, TypeActivations};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::nodes::{Node, State};
use crate::status::to_seconds;

/// How long counts stand at least.
const STAND: Duration = Duration::from_secs(60);
/// How many types are listed.
const TYPES: usize = 20;

/// The counts to show. While a node that serves does not answer, the counts before are the best there are.
pub(crate) fn count(
    nodes: &[Node],
    previous: Option<ActivationStatus>,
    now: Timestamp,
) -> Option<ActivationStatus> {
    let unknown = nodes.iter().any(|node| node.state == State::Serving && node.report.is_none());
    if unknown || nodes.iter().all(|node| node.report.is_none()) {
        return previous;
    }
    let counted = sum(nodes, now);
    match previous {
        Some(previous) if !may_replace(&previous, &counted, now) => Some(previous),
        _ => Some(counted),
    }
}

fn sum(nodes: &[Node], now: Timestamp) -> ActivationStatus {
    let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
    for (actor_type, count) in
        nodes.iter().filter_map(|node| node.report).flat_map(|it| &it.activations_by_type)
    {
        *by_type.entry(actor_type).or_default() += count;
    }
    let total = by_type.values().sum();
    let mut types: Vec<_> = by_type.into_iter().filter(|(_, count)| *count > 0).collect();
    types.sort_by_key(|(actor_type, count)| (std::cmp::Reverse(*count), *actor_type));
    types.truncate(TYPES);
    // By name: which of two types has more changes more often than which types there are.
    types.sort_by_key(|(actor_type, _)| *actor_type);
    let listed = types.into_iter().map(|(actor_type, count)| TypeActivations {
        actor_type: actor_type.to_owned(),
        count: two_digits(count),
    });
    ActivationStatus {
        total: two_digits(total),
        by_type: listed.collect(),
        as_of: Some(Time(to_seconds(now))),
    }
}

fn may_replace(previous: &ActivationStatus, counted: &ActivationStatus, now: Timestamp) -> bool {
    let rested =
        previous.as_of.as_ref().is_none_or(|as_of| now.duration_since(as_of.0).unsigned_abs() >= STAND);
    let of = |status: &ActivationStatus, actor_type: &str| {
        status.by_type.iter().find(|one| one.actor_type == actor_type).map_or(0, |one| one.count)
    };
    let mut types = previous.by_type.iter().chain(&counted.by_type);
    let changed = differs(previous.total, counted.total)
        || types.any(|one| differs(of(previous, &one.actor_type), of(counted, &one.actor_type)));
    rested && changed
}

/// True for a change of more than a tenth.
fn differs(before: u64, after: u64) -> bool {
    before.abs_diff(after) > before / 10
}

fn two_digits(count: u64) -> u64 {
    let mut unit = 1;
    while count / unit >= 100 {
        unit *= 10;
    }
    (count + unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rounded_to_two_digits() {
        for (count, shown) in
            [(0, 0), (7, 7), (99, 99), (104, 100), (105, 110), (1_449, 1_400), (99_999, 100_000)]
        {
            assert_eq!(two_digits(count), shown);
        }
    }

    #[test]
    fn counts_change_after_a_minute_and_by_more_than_a_tenth() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let status =
            |total, second| ActivationStatus { total, by_type: Vec::new(), as_of: Some(Time(at(second))) };
        let previous = status(1_000, 0);
        assert!(!may_replace(&previous, &status(2_000, 59), at(59)));
        assert!(may_replace(&previous, &status(2_000, 60), at(60)));
        assert!(!may_replace(&previous, &status(1_100, 600), at(600)));
        assert!(may_replace(&previous, &status(1_200, 600), at(600)));
        assert!(may_replace(&previous, &status(0, 600), at(600)));
        // A clock that was set back does not freeze the counts.
        assert!(may_replace(&previous, &status(0, -600), at(-600)));
    }
}
