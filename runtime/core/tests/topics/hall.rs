//! Members who speak and listen, on a node that can be lost.

use std::sync::Arc;
use std::time::Duration;

use greenroom_core::actor::Actor;
use greenroom_core::identity::ShardCount;
use greenroom_core::journal::Journal;
use greenroom_core::reference::ActorRef;
use greenroom_core::rows::{RowRange, Space};
use greenroom_core::{AppError, Cx, Handled, Result, Topic};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use crate::support::{Disk, Node};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) from: String,
    pub(crate) text: String,
}

#[derive(Actor, Default, Serialize, Deserialize)]
#[actor(crate = "greenroom_core", idle_timeout = "20s")]
pub(crate) struct Member {
    said: u32,
    heard: Vec<String>,
    /// How often it still refuses what it hears.
    refusals: u32,
}

#[actor_methods(crate = "greenroom_core")]
impl Member {
    pub(crate) async fn listen(&mut self, cx: &Cx, pattern: String) -> Result<()> {
        Ok(cx.topic::<Line>(pattern).subscribe(MemberRef::hear).await?)
    }

    pub(crate) async fn listen_for_topics(&mut self, cx: &Cx, pattern: String) -> Result<()> {
        Ok(cx.topic::<Line>(pattern).subscribe(MemberRef::hear_about).await?)
    }

    pub(crate) async fn judge_first(&mut self, cx: &Cx, pattern: String, priority: i32) -> Result<()> {
        Ok(cx.topic::<Line>(pattern).subscribe(MemberRef::judge).priority(priority).await?)
    }

    pub(crate) async fn listen_while_active(&mut self, cx: &Cx, pattern: String) -> Result<()> {
        Ok(cx.topic::<Line>(pattern).subscribe(MemberRef::overhear).while_active().await?)
    }

    pub(crate) async fn stop_listening(&mut self, cx: &Cx, pattern: String) -> Result<()> {
        cx.topic::<Line>(&pattern).unsubscribe(MemberRef::hear).await?;
        Ok(cx.topic::<Line>(&pattern).unsubscribe(MemberRef::overhear).await?)
    }

    pub(crate) async fn say(&mut self, cx: &Cx, topic: String, text: String) -> Result<()> {
        self.said += 1;
        let line = Line { from: cx.key().to_owned(), text };
        Ok(cx.topic(topic).publish(&line).await?)
    }

    pub(crate) async fn say_then_fail(&mut self, cx: &Cx, topic: String, text: String) -> Result<()> {
        self.say(cx, topic, text).await?;
        Err(AppError::new("never mind"))
    }

    pub(crate) async fn whisper(&mut self, cx: &Cx, topic: String, text: String) -> Result<()> {
        let line = Line { from: cx.key().to_owned(), text };
        Ok(cx.topic(topic).tell(&line)?)
    }

    pub(crate) async fn hear(&mut self, line: Line) -> Result<()> {
        self.hear_or_refuse(line.text)
    }

    pub(crate) async fn hear_about(&mut self, topic: String, line: Line) -> Result<()> {
        self.hear_or_refuse(format!("{topic}: {}", line.text))
    }

    /// Keeps secrets to itself.
    pub(crate) async fn judge(&mut self, line: Line) -> Result<Handled> {
        let secret = line.text.starts_with("secret");
        self.hear_or_refuse(line.text)?;
        Ok(if secret { Handled::Consumed } else { Handled::PassOn })
    }

    pub(crate) async fn overhear(&mut self, line: Line) {
        self.heard.push(line.text);
    }

    #[method(topic = "room/{key}/said")]
    pub(crate) async fn in_my_room(&mut self, line: Line) {
        self.heard.push(line.text);
    }

    #[method(topic = "news/*")]
    pub(crate) async fn archive(&mut self, topic: String, line: Line) {
        self.heard.push(format!("{topic}: {}", line.text));
    }

    pub(crate) async fn refuse(&mut self, times: u32) {
        self.refusals = times;
    }

    pub(crate) async fn everybody(&self, cx: &Cx, text: String) -> Result<()> {
        Ok(cx.broadcast(|member: MemberRef| member.hear(Line { from: cx.key().to_owned(), text }))?)
    }

    pub(crate) async fn heard(&self) -> Vec<String> {
        self.heard.clone()
    }

    pub(crate) async fn leave(&self, cx: &Cx) {
        cx.deactivate();
    }
}

impl Member {
    fn hear_or_refuse(&mut self, text: String) -> Result<()> {
        if self.refusals > 0 {
            return Err(AppError::new("not now"));
        }
        self.heard.push(text);
        Ok(())
    }
}

/// A node with members.
pub(crate) struct Hall {
    pub(crate) node: Arc<Node>,
}

impl Hall {
    pub(crate) fn new() -> Self {
        Self::over(Arc::default())
    }

    pub(crate) fn over(disk: Arc<Disk>) -> Self {
        let node = Arc::new(Node::over::<Member>(disk));
        node.sync_always();
        Self { node }
    }

    pub(crate) fn member(&self, key: &str) -> MemberRef {
        ActorRef::<Member>::new(self.node.origin(), key).into()
    }

    /// As a program has it.
    pub(crate) fn topic(&self, name: &str) -> Topic<Line> {
        Topic::new(self.node.origin(), name)
    }

    pub(crate) async fn heard(&self, key: &str) -> Vec<String> {
        self.member(key).heard().await.unwrap()
    }

    pub(crate) fn is_active(&self, key: &str) -> bool {
        self.node.engine.placement(&format!("{}/{key}", Member::TYPE).parse().unwrap()).is_some()
    }

    /// Waits until no reliable message is left.
    pub(crate) async fn settled(&self) {
        for _ in 0..20_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut waiting = 0;
            for shard in ShardCount::new(8).unwrap().shards() {
                waiting +=
                    self.node.disk.rows(shard, RowRange::all(Space::OUTBOX), usize::MAX).await.unwrap().len();
            }
            if waiting == 0 {
                return;
            }
        }
        panic!("messages are left: {:?}", self.node.engine.list_dead_letters(9).await);
    }
}

pub(crate) fn line(text: &str) -> Line {
    Line { from: "a program".into(), text: text.into() }
}
