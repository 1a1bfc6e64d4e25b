//! Who gets what, by which subscription.

use greenroom_core::CallError;
use greenroom_core::topics::{MAX_AUDIENCE, MAX_PUBLICATION_BYTES, MAX_WILDCARD_PATTERNS};

use crate::hall::{Hall, Line, MemberRef, line};

#[tokio::test(start_paused = true)]
async fn a_publication_reaches_the_subscriptions_that_match_it_in_order() {
    let hall = Hall::new();
    for (who, pattern) in
        [("exact", "chat/lobby"), ("star", "chat/*"), ("rest", "chat/**"), ("other", "chat/bar")]
    {
        hall.member(who).listen(pattern.into()).await.unwrap();
    }
    hall.member("named").listen_for_topics("chat/*/1".into()).await.unwrap();
    for (topic, text) in [("chat/lobby", "a"), ("chat/lobby/1", "b"), ("chat", "nobody"), ("chat/bar", "c")] {
        hall.member("speaker").say(topic.into(), text.into()).await.unwrap();
    }
    hall.settled().await;
    assert_eq!(hall.heard("exact").await, ["a"]);
    assert_eq!(hall.heard("star").await, ["a", "c"]);
    assert_eq!(hall.heard("rest").await, ["a", "b", "c"]);
    assert_eq!(hall.heard("other").await, ["c"]);
    assert_eq!(hall.heard("named").await, ["chat/lobby/1: b"]);
}

#[tokio::test(start_paused = true)]
async fn programs_publish_and_subscribe_actors() {
    let hall = Hall::new();
    let topic = hall.topic("chat/lobby");
    topic.subscribe(MemberRef::hear).actor("anna").await.unwrap();
    topic.publish(&line("hello")).await.unwrap();
    hall.settled().await;
    assert_eq!(hall.heard("anna").await, ["hello"]);
    // By name, with JSON.
    let arguments = r#"{"topic":"chat/lobby","message":{"from":"curl","text":"héllo"}}"#;
    hall.node.call_json("greenroom.Topic/chat", "publish", arguments).await.unwrap();
    hall.settled().await;
    topic.unsubscribe(MemberRef::hear).actor("anna").await.unwrap();
    topic.publish(&line("gone")).await.unwrap();
    hall.settled().await;
    assert_eq!(hall.heard("anna").await, ["hello", "héllo"]);
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_twice_gets_it_once_and_who_unsubscribes_not_at_all() {
    let hall = Hall::new();
    for pattern in ["chat/*", "chat/*", "chat/lobby"] {
        hall.member("anna").listen(pattern.into()).await.unwrap();
    }
    hall.member("bert").listen("chat/*".into()).await.unwrap();
    hall.member("anna").stop_listening("chat/lobby".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("one")).await.unwrap();
    hall.member("anna").stop_listening("chat/*".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("two")).await.unwrap();
    hall.settled().await;
    assert_eq!(hall.heard("anna").await, ["one"]);
    assert_eq!(hall.heard("bert").await, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_type_listens_with_the_actor_that_the_topic_names() {
    let hall = Hall::new();
    hall.topic("room/12/said").publish(&line("hello")).await.unwrap();
    hall.topic("room/12/13/said").publish(&line("nobody")).await.unwrap();
    hall.topic("news/today").publish(&line("sun")).await.unwrap();
    hall.settled().await;
    assert_eq!(hall.heard("12").await, ["hello"]);
    assert_eq!(hall.heard("news/today").await, ["news/today: sun"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_publishes_nothing_and_what_is_told_comes_without_a_record() {
    let hall = Hall::new();
    hall.member("anna").listen("chat/lobby".into()).await.unwrap();
    hall.member("speaker").say_then_fail("chat/lobby".into(), "no".into()).await.unwrap_err();
    hall.settled().await;
    let before = hall.node.disk.commits();
    hall.member("speaker").whisper("chat/lobby".into(), "psst".into()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(hall.heard("anna").await, ["psst"]);
    assert_eq!(hall.node.disk.commits(), before + 1, "only anna has changed");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_by_name() {
    let hall = Hall::new();
    let says = |outcome: Result<(), CallError>, words: &str| {
        let Err(CallError::Invalid(error)) = outcome else { panic!("{outcome:?}") };
        assert!(error.contains(words), "{error}");
    };
    says(hall.topic("chat/*").publish(&line("")).await, "name one topic here");
    says(hall.topic("*/chat").subscribe(MemberRef::hear).actor("a").await, "begins with a wildcard");
    says(hall.topic("chat").subscribe(MemberRef::hear).await, "is no actor that can listen");
    says(
        hall.topic("chat").subscribe(MemberRef::hear).while_active().actor("a").await,
        "a program has no activation",
    );
    says(hall.topic("chat/*").subscribe(MemberRef::hear).priority(1).actor("a").await, "has no priority");
    let elsewhere = r#"{"topic":"chat/lobby","message":1}"#;
    let error = hall.node.call_json("greenroom.Topic/other", "publish", elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("call greenroom.Topic/chat"), "{error}");

    let large = "x".repeat(MAX_PUBLICATION_BYTES / 4);
    for number in 0..4 {
        hall.topic("chat/large").subscribe(MemberRef::hear).actor(format!("{number}")).await.unwrap();
    }
    says(hall.topic("chat/large").publish(&line(&large)).await, "bytes for 4 listeners");
    for number in 0..MAX_WILDCARD_PATTERNS {
        hall.topic(&format!("many/{number}/*")).subscribe(MemberRef::hear).actor("a").await.unwrap();
    }
    says(
        hall.topic("many/more/*").subscribe(MemberRef::hear).actor("a").await,
        "1000 patterns with wildcards",
    );
    hall.topic("many/0/*").unsubscribe(MemberRef::hear).actor("a").await.unwrap();
    hall.topic("many/more/*").subscribe(MemberRef::hear).actor("a").await.unwrap();
    const { assert!(MAX_AUDIENCE >= MAX_WILDCARD_PATTERNS, "one listener of all patterns can be reached") };
}

#[tokio::test(start_paused = true)]
async fn who_listens_is_asked_of_the_store_once() {
    let hall = Hall::new();
    hall.member("anna").listen("chat/lobby".into()).await.unwrap();
    hall.topic("chat/lobby").publish(&line("0")).await.unwrap();
    hall.settled().await;
    let items = |hall: &Hall| hall.node.disk.rows_read();
    hall.topic("chat/empty").publish(&Line { from: String::new(), text: String::new() }).await.unwrap();
    let before = items(&hall);
    for _ in 0..10 {
        hall.topic("chat/empty").tell(&line("nobody")).unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(items(&hall), before);
}
