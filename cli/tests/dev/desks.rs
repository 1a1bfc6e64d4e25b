//! A node of the tests. It serves desks, which take letters while they are open and tell those who listen.

use greenroom::{Actor, AppError, CallError, Cx, Feed, Items, Result, Runtime, RuntimeError, actor_methods};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

const LETTERS: Feed<String> = Feed::new("letters");

#[derive(Actor, Default, Serialize, Deserialize)]
struct Desk {
    open: bool,
    letters: Vec<String>,
}

#[actor_methods]
impl Desk {
    fn open(&mut self) {
        self.open = true;
    }

    /// No more letters: who listens is at the end.
    fn close(&mut self, cx: &Cx) {
        self.open = false;
        LETTERS.finish(cx);
    }

    fn send(&mut self, cx: &Cx, to: String, letter: String) -> Result<()> {
        cx.reliable(cx.actor::<Self>(to).take(letter))?;
        Ok(())
    }

    async fn take(&mut self, cx: &Cx, letter: String) -> Result<()> {
        if !self.open {
            return Err(AppError::new("this desk is closed"));
        }
        LETTERS.push(cx, letter.clone()).await?;
        self.letters.push(letter);
        Ok(())
    }

    fn taken(&self) -> usize {
        self.letters.len()
    }

    /// Waits until two desks do this, and calls the other one, which can answer when its own turn is over.
    async fn ask_when_two_have_come(&mut self, cx: &Cx, other: String) -> Result<String> {
        cx.actor::<Door>("street").come_as_two().await?;
        match cx.actor::<Self>(other).taken().await {
            Ok(_) => Ok("answered".into()),
            Err(CallError::Deadlock { path }) => Ok(path.join(" → ")),
            Err(error) => Err(error.into()),
        }
    }

    fn letters(&self, cx: &Cx) -> Result<Items<String>> {
        Ok(LETTERS.open_with(cx, self.letters.clone())?)
    }
}

/// Knows how many have come.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Door {
    #[serde(skip)]
    come: watch::Sender<u32>,
}

#[actor_methods]
impl Door {
    /// Waits for the second one.
    async fn come_as_two(&self) -> Result<()> {
        self.come.send_modify(|come| *come += 1);
        self.come.subscribe().wait_for(|come| *come >= 2).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), RuntimeError> {
    Runtime::from_env().actor::<Desk>().actor::<Door>().run().await
}
