//! One message to everybody who is in memory.

use std::time::Duration;

use crate::hall::{Hall, MemberRef, line};

#[tokio::test(start_paused = true)]
async fn everybody_in_memory_gets_it_once_and_nobody_else() {
    let hall = Hall::new();
    let keys: Vec<String> = (0..150).map(|number| format!("m{number}")).collect();
    for key in &keys {
        hall.heard(key).await;
    }
    hall.member("m0").leave().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    hall.member("m1").everybody("from m1".into()).await.unwrap();
    greenroom_core::broadcast(&hall.node.origin(), |member: MemberRef| member.hear(line("program"))).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!hall.is_active("m0"), "nobody is activated");
    for key in &keys[1..] {
        let mut heard = hall.heard(key).await;
        heard.sort();
        assert_eq!(heard, ["from m1", "program"], "{key}");
    }
    assert!(hall.heard("m0").await.is_empty());
}
