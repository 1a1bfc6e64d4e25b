//! Sends every word as a call, many at a time, each applied once.
//!
//! The id of a call is made from the run and the position of the word: whoever repeats the call, the client library
//! after a node was killed or this program after it was killed itself, the word is counted once.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use greenroom::{CallId, Client};

use crate::{Word, WordRef};

/// How long one word may take; a killed node is back well within it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A count of one text.
pub struct Count<'a> {
    /// Where to.
    pub client: &'a Client,
    /// The name of this count, the first part of every key.
    pub run: &'a str,
    /// How many calls are on their way at once.
    pub in_flight: usize,
}

impl Count<'_> {
    /// Sends each word; `progress` is told after each one that has been counted.
    pub async fn send(&self, words: &[&str], progress: impl Fn()) -> Result<()> {
        let first = CallId::named(self.run);
        stream::iter(words.iter().zip(0..))
            .map(|(word, position)| {
                let call = self.word(word).see().call_id(first.child(position)).timeout(DEADLINE);
                async move { call.await.with_context(|| format!("the word {word:?} at position {position}")) }
            })
            .buffer_unordered(self.in_flight)
            .try_for_each(|_| {
                progress();
                std::future::ready(Ok(()))
            })
            .await
    }

    /// Asks every word's actor how often it was seen.
    pub async fn counts(&self, words: &[&str]) -> Result<BTreeMap<String, u64>> {
        let mut distinct = words.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        stream::iter(distinct)
            .map(async |word| {
                let seen = self.word(word).seen().timeout(DEADLINE).await;
                anyhow::Ok((word.to_owned(), seen.with_context(|| format!("the count of {word:?}"))?))
            })
            .buffer_unordered(self.in_flight)
            .try_collect()
            .await
    }

    fn word(&self, word: &str) -> WordRef {
        self.client.actor::<Word>(format!("{}/{word}", self.run))
    }
}
