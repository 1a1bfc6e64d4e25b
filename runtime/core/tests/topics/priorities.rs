//! Higher priorities first, and what is consumed goes no further.

use std::time::Duration;

use crate::hall::{Hall, line};

#[tokio::test(start_paused = true)]
async fn higher_priorities_come_first_and_what_is_consumed_goes_no_further() {
    let hall = Hall::new();
    for (who, priority) in [("high", 2), ("second", 1), ("equal", 1)] {
        hall.member(who).judge_first("chat/lobby".into(), priority).await.unwrap();
    }
    hall.member("low").listen("chat/lobby".into()).await.unwrap();
    hall.member("below").judge_first("chat/lobby".into(), -1).await.unwrap();
    hall.member("wild").listen("chat/*".into()).await.unwrap();
    for text in ["one", "secret two", "three"] {
        hall.member("speaker").say("chat/lobby".into(), text.into()).await.unwrap();
    }
    hall.settled().await;
    assert_eq!(hall.heard("high").await, ["one", "secret two", "three"]);
    for lower in ["second", "equal", "low", "below"] {
        assert_eq!(hall.heard(lower).await, ["one", "three"], "{lower}");
    }
    // Wildcards see everything.
    assert_eq!(hall.heard("wild").await, ["one", "secret two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn equals_get_it_together_although_one_consumes_it() {
    let hall = Hall::new();
    for who in ["a", "b"] {
        hall.member(who).judge_first("chat/lobby".into(), 1).await.unwrap();
    }
    hall.member("low").listen("chat/lobby".into()).await.unwrap();
    hall.topic("chat/lobby").tell(&line("secret")).unwrap();
    hall.topic("chat/lobby").publish(&line("open")).await.unwrap();
    hall.settled().await;
    for equal in ["a", "b"] {
        let mut heard = hall.heard(equal).await;
        heard.sort();
        assert_eq!(heard, ["open", "secret"]);
    }
    assert_eq!(hall.heard("low").await, ["open"]);
}

#[tokio::test(start_paused = true)]
async fn who_refuses_consumes_nothing_and_is_sent_the_message_again() {
    let hall = Hall::new();
    hall.member("high").judge_first("chat/lobby".into(), 1).await.unwrap();
    hall.member("low").listen("chat/lobby".into()).await.unwrap();
    hall.member("high").refuse(1).await.unwrap();
    hall.topic("chat/lobby").publish(&line("secret")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hall.heard("low").await, ["secret"]);
    hall.member("high").refuse(0).await.unwrap();
    hall.settled().await;
    assert_eq!(hall.heard("high").await, ["secret"]);
}
