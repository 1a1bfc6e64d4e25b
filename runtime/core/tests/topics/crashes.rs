//! Crashes at every point: who has subscribed durably applies each publication once and in order.

use crate::hall::Hall;

const SPEAKERS: [&str; 2] = ["anna", "bert"];

async fn subscribe(hall: &Hall) {
    hall.member("exact").listen("chat/lobby".into()).await.unwrap();
    hall.member("wild").listen("chat/**".into()).await.unwrap();
    hall.member("judge").judge_first("chat/court".into(), 1).await.unwrap();
    hall.member("jury").listen("chat/court".into()).await.unwrap();
}

async fn speak(hall: &Hall, round: &str) {
    for text in ["1", "2"] {
        for speaker in SPEAKERS {
            hall.member(speaker).say("chat/lobby".into(), format!("{speaker} {round}{text}")).await.unwrap();
        }
    }
    for text in ["secret", "open"] {
        hall.member("anna").say("chat/court".into(), format!("{text} {round}")).await.unwrap();
    }
}

/// What of these lines a member has heard, in the order in which it has heard them.
async fn heard(hall: &Hall, member: &str, such: impl Fn(&str) -> bool) -> Vec<String> {
    hall.heard(member).await.into_iter().filter(|text| such(text)).collect()
}

async fn check(hall: &Hall) {
    for speaker in SPEAKERS {
        let of_speaker = |text: &str| text.starts_with(speaker);
        let lines = heard(hall, "exact", of_speaker).await;
        let in_order: Vec<_> = ["1", "2", "a1", "a2"].map(|text| format!("{speaker} {text}")).into();
        // A crash may have come before some of them; then they were never said.
        let said: Vec<_> = in_order.iter().filter(|line| lines.contains(line)).cloned().collect();
        assert_eq!(lines, said, "once, and in order");
        assert!(lines.ends_with(&in_order[2..]), "what was said after the crash is heard: {lines:?}");
        assert_eq!(heard(hall, "wild", of_speaker).await, lines, "everybody hears the same");
    }
    let in_court = |text: &str| text.starts_with("secret") || text.starts_with("open");
    let judged = heard(hall, "judge", in_court).await;
    assert!(judged.ends_with(&["secret a".to_owned(), "open a".to_owned()]), "{judged:?}");
    assert_eq!(heard(hall, "wild", in_court).await, judged);
    let open: Vec<_> = judged.iter().filter(|text| text.starts_with("open")).cloned().collect();
    assert_eq!(heard(hall, "jury", in_court).await, open, "what was consumed goes no further");
}

#[tokio::test(start_paused = true)]
async fn publications_are_applied_once_and_in_order_over_a_crash_at_any_record() {
    let hall = Hall::new();
    subscribe(&hall).await;
    let from = hall.node.disk.len();
    speak(&hall, "").await;
    hall.settled().await;
    let all = hall.node.disk.len();
    assert!(all > from + 30, "{all}");
    for kept in from..=all {
        let hall = Hall::over(hall.node.disk.after_crash(kept));
        hall.settled().await;
        speak(&hall, "a").await;
        hall.settled().await;
        check(&hall).await;
    }
}
