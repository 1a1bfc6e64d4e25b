//! A node of the tests. It serves desks, which take letters while they are open and tell those who listen.

use greenroom::{Actor, AppError, Cx, Feed, Items, Result, Runtime, RuntimeError, actor_methods};
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

    fn letters(&self, cx: &Cx) -> Result<Items<String>> {
        Ok(LETTERS.open_with(cx, self.letters.clone())?)
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), RuntimeError> {
    Runtime::from_env().actor::<Desk>().run().await
}
