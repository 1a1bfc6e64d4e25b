//! Schedules: of what is stored, and of cron expressions that somebody wrote. They keep the rules of the type, and say
//! in reasonable time when they are due.

use std::time::Duration;

use greenroom_core::{Missed, Schedule};

use crate::{choice, chosen, read_stored, stored};

/// A day in 2026, in milliseconds since 1970.
const NOW: u64 = 1_790_000_000_000;

/// A stored schedule, or an expression with its zone in front.
pub fn check(input: &[u8]) {
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
    // As it is due, and three days late.
    for late in [0, 3 * 24 * 3600 * 1000] {
        let Ok(step) = kept.step(due, due.saturating_add(late)) else { continue };
        assert!(step.next.is_none_or(|next| next > due), "due times only grow");
        assert!(step.tick.is_none_or(|tick| tick >= due), "no tick comes before it is due");
    }
}

/// Every kind of schedule.
pub fn seeds() -> Vec<Vec<u8>> {
    let second = Duration::from_secs(1);
    let kept = [
        Schedule::once_at(NOW + 5),
        Schedule::after(second).missed(Missed::Skip),
        Schedule::every(5 * second).first_after(second).missed(Missed::All),
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
