//! Schedules: of what is stored, and of cron expressions that somebody wrote. They keep the rules of the type, and say
//! in reasonable time when they are due.

use std::time::Duration;

use greenroom_core::schedule::{LATEST_MS, MIN_PERIOD, ON_TIME_MS, Step};
use greenroom_core::{Missed, Schedule};

use crate::{choice, chosen, read_stored, stored};

/// A day in 2026, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

/// A stored schedule, or an expression with its zone in front.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, 2);
    let schedule = match form {
        0 => read_stored::<Schedule>(data),
        _ => {
            let text = String::from_utf8_lossy(data);
            text.split_once('|').map(|(zone, expression)| Schedule::cron(expression, zone))
        }
    };
    let Some(schedule) = schedule else { return };
    let _ = schedule.to_string();
    let Ok((kept, due)) = schedule.begin(NOW) else { return };
    let (again, _) = kept.begin(NOW).expect("what is kept is a schedule");
    assert_eq!(again, kept, "what is kept is not relative to now");
    assert!(due >= NOW || schedule.to_string() == "once", "it was due before it was set");
    for missed in [Missed::Once, Missed::All, Missed::Skip] {
        // As it is due, and three days late.
        for late in [0, 3 * 24 * 3600 * 1000] {
            keeps_its_rules(&kept.clone().missed(missed), missed, due, due.saturating_add(late));
        }
    }
}

/// The rules that stand at the head of `greenroom_core::schedule`.
fn keeps_its_rules(schedule: &Schedule, missed: Missed, due: u64, now: u64) {
    let Ok(Step { tick, next }) = schedule.step(due, now) else { return };
    let often = |next: u64| u128::from(next.saturating_sub(due)) < MIN_PERIOD.as_millis();
    assert!(next.is_none_or(|next| next > due && (next == LATEST_MS || !often(next))), "{due} {next:?}");
    match missed {
        Missed::All => assert_eq!(Ok(next), schedule.step(due, due).map(|step| step.next), "it lets one out"),
        Missed::Once | Missed::Skip => assert!(next.is_none_or(|next| next > now), "it was due already"),
    }
    match missed {
        Missed::Skip if now - due > ON_TIME_MS => {
            assert!(tick.is_none_or(|tick| (now - ON_TIME_MS..=now).contains(&tick)), "{now} {tick:?}");
        }
        _ => assert!(tick.is_some_and(|tick| (due..=now).contains(&tick)), "{due} {now} {tick:?}"),
    }
}

/// Every kind of schedule, and one that is due too often.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let second = Duration::from_secs(1);
    let kept = [
        Schedule::once_at(NOW + 5),
        Schedule::after(second).missed(Missed::Skip),
        Schedule::every(5 * second).first_after(second).missed(Missed::All),
        Schedule::every(MIN_PERIOD),
        Schedule::every(MIN_PERIOD - Duration::from_millis(1)),
        Schedule::cron("0 4 * * *", "Europe/Berlin").missed(Missed::Skip),
    ];
    let written = [
        "UTC|*/5 * * * *",
        "Europe/Berlin|30 2 * * sun#L",
        "America/New_York|0 0 12 1W jan-mar,dec mon-fri",
        "Asia/Kolkata|@daily",
        "UTC|0 0 29 2 * 2028",
    ];
    kept.iter().map(|kept| chosen(0, stored(kept))).chain(written.map(|text| chosen(1, text))).collect()
}
