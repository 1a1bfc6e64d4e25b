//! Dead letters: what is given up is kept, and can be sent again.

use std::time::Duration;

use greenroom_core::engine::DeadLetterError;
use greenroom_core::rows::Space;

use crate::town::Town;

async fn refused() -> Town {
    let town = Town::new();
    town.account("bert").close(true).await.unwrap();
    town.account("anna").pay("bert".into(), 5).await.unwrap();
    town.account("anna").pay("carl".into(), 1).await.unwrap();
    town.all_delivered().await;
    town
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_becomes_a_dead_letter_and_the_next_message_goes_on() {
    let town = refused().await;
    let (letters, all) = town.engine.list_dead_letters(9).await;
    assert_eq!((letters.len(), all), (1, 1));
    let letter = &letters[0];
    assert_eq!(letter.from.as_ref().unwrap().to_string(), "Account/anna");
    assert_eq!((letter.target.to_string(), &*letter.method), ("Account/bert".into(), "get"));
    assert_eq!((&*letter.kind, &*letter.error, letter.durable), ("app", "this account is closed", true));
    town.account("bert").close(false).await.unwrap();
    town.account("anna").pay("bert".into(), 7).await.unwrap();
    town.all_delivered().await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 7);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_outlives_a_crash_and_is_applied_once_when_it_is_sent_again() {
    let town = refused().await.crash();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let id = town.engine.list_dead_letters(9).await.0[0].id.clone();
    town.account("bert").close(false).await.unwrap();
    town.engine.resend_dead_letter(&id).await.unwrap();
    assert_eq!(town.engine.resend_dead_letter(&id).await, Err(DeadLetterError::NotFound(id)));
    town.all_delivered().await;
    assert_eq!(town.account("bert").books().await.unwrap().0, 5);
    assert!(town.engine.list_dead_letters(9).await.0.is_empty());
    let town = town.crash();
    town.all_delivered().await;
    town.check(&["anna", "bert", "carl"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_can_be_deleted() {
    let town = refused().await;
    let id = town.engine.list_dead_letters(9).await.0[0].id.clone();
    town.engine.delete_dead_letter(&id).await.unwrap();
    assert!(town.engine.list_dead_letters(9).await.0.is_empty());
    assert!(town.rows(Space::DEAD_LETTER).await.is_empty());
    let gone = town.engine.delete_dead_letter(&id).await.unwrap_err();
    assert!(gone.to_string().contains("list them again"), "{gone}");
}
