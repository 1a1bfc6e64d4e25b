//! A node of the tests. It serves desks, which take letters while they are open and tell those who listen.

use std::time::Duration;

use greenroom::{Actor, AppError, CallError, Cx, Feed, Items, Result, Runtime, RuntimeError, actor_methods};
use serde::{Deserialize, Serialize};

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
        let door = cx.actor::<Door>("street");
        door.come().await?;
        while door.have_come().await? < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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

/// Counts who has come.
#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(volatile)]
struct Door(u32);

#[actor_methods]
impl Door {
    fn come(&mut self) {
        self.0 += 1;
    }

    fn have_come(&self) -> u32 {
        self.0
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), RuntimeError> {
    Runtime::from_env().actor::<Desk>().actor::<Door>().run().await
}
