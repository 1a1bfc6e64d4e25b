//! The rules of schedules, for all of them; and the two odd days of the year.

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn in_berlin(text: &str) -> u64 {
    let at: DateTime = text.parse().unwrap();
    at.to_zoned(time_zone("Europe/Berlin").unwrap()).unwrap().timestamp().as_millisecond() as u64
}

fn utc(text: &str) -> u64 {
    let at: DateTime = text.parse().unwrap();
    at.to_zoned(TimeZone::UTC).unwrap().timestamp().as_millisecond() as u64
}

/// The due times from `from` on, as UTC.
fn times(schedule: &Schedule, from: u64, count: usize) -> Vec<String> {
    let (schedule, mut due) = schedule.begin(from).unwrap();
    let schedule = schedule.missed(Missed::All);
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(zoned(due, TimeZone::UTC).strftime("%d %H:%M").to_string());
        let Some(next) = schedule.step(due, due).unwrap().next else { break };
        due = next;
    }
    times
}

#[test]
fn four_in_the_morning_is_that_on_both_sides_of_a_change_of_clocks() {
    let nightly = Schedule::cron("0 4 * * *", "Europe/Berlin");
    // Clocks go forward on 2026-03-29 and back on 2026-10-25.
    assert_eq!(times(&nightly, in_berlin("2026-03-27T12:00"), 3), ["28 03:00", "29 02:00", "30 02:00"]);
    assert_eq!(times(&nightly, in_berlin("2026-10-23T12:00"), 3), ["24 02:00", "25 03:00", "26 03:00"]);
}

#[test]
fn a_time_that_the_day_does_not_have_ticks_as_the_gap_ends_and_one_that_it_has_twice_ticks_once() {
    let half_past_two = Schedule::cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(times(&half_past_two, in_berlin("2026-03-28T00:00"), 3), ["28 01:30", "29 01:00", "30 00:30"]);
    assert_eq!(times(&half_past_two, in_berlin("2026-10-24T12:00"), 2), ["25 00:30", "26 01:30"]);
}

#[test]
fn an_interval_ticks_through_both_passes_of_the_repeated_hour() {
    let half_hours = Schedule::cron("*/30 * * * *", "Europe/Berlin");
    let through = times(&half_hours, utc("2026-10-24T23:45"), 6);
    assert_eq!(through, ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00", "25 02:30"]);
}

#[test]
fn what_is_relative_is_kept_absolute() {
    let (kept, due) = Schedule::after(Duration::from_secs(5)).begin(NOW).unwrap();
    assert_eq!((kept, due), (Schedule::once_at(NOW + 5_000), NOW + 5_000));
    let hourly = Schedule::every(Duration::from_secs(3600)).first_after(Duration::from_secs(1));
    let (kept, due) = hourly.begin(NOW).unwrap();
    assert_eq!((kept, due), (Schedule::every(Duration::from_secs(3600)), NOW + 1_000));
    assert_eq!(Schedule::once_at(NOW - 1).begin(NOW).unwrap().1, NOW - 1);
}

#[test]
fn a_schedule_that_is_none_says_why() {
    let error = |schedule: Schedule| schedule.begin(NOW).unwrap_err().to_string();
    assert_eq!(
        error(Schedule::every(Duration::from_millis(99))),
        "a reminder every 99ms is too often: at least 100ms; use a timer for shorter periods"
    );
    assert_eq!(
        error(Schedule::cron("0 4 * * *", "Europe/Atlantis")),
        "there is no time zone \"Europe/Atlantis\"; use a name of the IANA database, for example Europe/Berlin, or UTC"
    );
    assert!(error(Schedule::cron("0 4 * *", "UTC")).starts_with("cron expression \"0 4 * *\": "));
    assert!(error(Schedule::cron("0 25 * * *", "UTC")).contains("\"0 25 * * *\""));
    assert!(error(Schedule::cron("0 0 30 2 *", "UTC")).ends_with("is never due; give it a time that comes"));
    assert!(
        error(Schedule::cron("0 0 0 1 1 * 2001", "UTC")).ends_with("is never due; give it a time that comes")
    );
}

#[test]
fn a_tick_that_is_missed_is_skipped_and_one_that_is_on_time_is_not() {
    let once = Schedule::once_at(NOW).missed(Missed::Skip);
    assert_eq!(once.step(NOW, NOW + ON_TIME_MS).unwrap(), Step { tick: Some(NOW), next: None });
    assert_eq!(once.step(NOW, NOW + ON_TIME_MS + 1).unwrap(), Step { tick: None, next: None });
    let minutes = Schedule::every(Duration::from_secs(600)).missed(Missed::Skip);
    let late = NOW + 3 * 600_000 + 5;
    let step = Step { tick: Some(NOW + 1_800_000), next: Some(NOW + 2_400_000) };
    assert_eq!(minutes.step(NOW, late).unwrap(), step);
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
    let zone = proptest::sample::select(zones.to_vec());
    let minute =
        prop_oneof![Just("*".to_owned()), Just("*/7".to_owned()), (0..60u8).prop_map(|m| m.to_string())];
    let hour =
        prop_oneof![Just("*".to_owned()), Just("*/5".to_owned()), (0..24u8).prop_map(|h| h.to_string())];
    let day = prop_oneof![Just("*"), Just("MON"), Just("FRI,SUN")];
    prop_oneof![
        (NOW..NOW + 1_000_000).prop_map(Schedule::once_at),
        (100u64..100_000_000).prop_map(|ms| Schedule::every(Duration::from_millis(ms))),
        (minute, hour, day, zone)
            .prop_map(|(minute, hour, day, zone)| Schedule::cron(format!("{minute} {hour} * * {day}"), zone)),
    ]
}

/// Any time of the year 2026, and so also those about the changes of clocks.
fn moments() -> impl Strategy<Value = u64> {
    let year = 1_767_225_600_000u64..1_798_761_600_000;
    let spring = 1_774_742_400_000u64..1_774_915_200_000;
    let autumn = 1_792_800_000_000u64..1_793_059_200_000;
    prop_oneof![year, spring, autumn]
}

proptest! {
    #[test]
    fn due_times_only_grow_and_all_ticks_each_once(
        schedule in schedules(), start in moments(), lates in prop::collection::vec(0u64..10_000_000_000, 1..20),
    ) {
        let (schedule, first) = schedule.begin(start).unwrap();
        // Whenever it is asked, the same ticks in the same order.
        let all = schedule.missed(Missed::All);
        let mut due = first;
        for late in lates {
            let punctual = all.step(due, due).unwrap();
            prop_assert_eq!(all.step(due, due + late).unwrap(), punctual);
            prop_assert_eq!(punctual.tick, Some(due));
            let Some(next) = punctual.next else { break };
            prop_assert!(next > due);
            due = next;
        }
    }

    #[test]
    fn once_stands_for_all_that_were_missed(schedule in schedules(), start in moments(), late in 0u64..10_000_000_000) {
        let (schedule, due) = schedule.begin(start).unwrap();
        let now = due + late;
        let step = schedule.step(due, now).unwrap();
        prop_assert_eq!(step.tick, Some(due));
        prop_assert!(step.next.is_none_or(|next| next > now));
    }

    #[test]
    fn skip_ticks_for_nothing_old_and_only_for_times_of_its_schedule(
        schedule in schedules(), start in moments(), late in 0u64..1_000_000_000,
    ) {
        let (schedule, due) = schedule.begin(start).unwrap();
        let (skip, now) = (schedule.clone().missed(Missed::Skip), due + late);
        let step = skip.step(due, now).unwrap();
        prop_assert!(step.next.is_none_or(|next| next > now));
        if let Some(tick) = step.tick {
            prop_assert!(due <= tick && tick <= now && now - tick <= ON_TIME_MS);
            if tick > due {
                prop_assert_eq!(schedule.next_after(due, tick - 1).unwrap(), Some(tick));
            }
        }
        // What it leaves out is old: no due time within the last minute stays without its tick.
        let within = schedule.next_after(due, due.max(now.saturating_sub(ON_TIME_MS + 1))).unwrap();
        if within.is_some_and(|within| within <= now) {
            prop_assert!(step.tick.is_some());
        }
    }
}
