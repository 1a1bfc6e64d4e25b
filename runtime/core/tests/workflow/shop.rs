//! A node with one actor type whose actors list everything that is done to them, and with the workflows of a test.

use std::sync::Arc;
use std::time::Duration;

use greenroom::engine::EngineBuilder;
use greenroom::workflow::{Workflow, WorkflowRef, WorkflowState, WorkflowStatus};
use greenroom::{AppError, Result};
use greenroom_macros::{Actor, actor_methods};
use serde::{Deserialize, Serialize};

use crate::support::{Disk, Node};

/// Lists what is done to it.
#[derive(Actor, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    lines: Vec<String>,
}

#[actor_methods]
impl Book {
    /// Returns how many lines there are.
    pub(crate) async fn add(&mut self, line: String) -> usize {
        self.lines.push(line);
        self.lines.len()
    }

    pub(crate) async fn refuse(&mut self, line: String) -> Result<()> {
        Err(AppError::new(format!("no {line}")))
    }

    pub(crate) async fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }
}

/// A node whose disk is as fast as memory, unless the test says otherwise.
pub(crate) struct Shop {
    pub(crate) node: Arc<Node>,
}

impl Shop {
    pub(crate) fn open(build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::over(Arc::default(), build)
    }

    pub(crate) fn over(disk: Arc<Disk>, build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let shop = Self::slow_over(disk, build);
        shop.node.sync_always();
        shop
    }

    /// Nothing is durable before the test says so.
    pub(crate) fn slow(build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self::slow_over(Arc::default(), build)
    }

    fn slow_over(disk: Arc<Disk>, build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        Self { node: Arc::new(Node::over_with::<Book>(disk, build)) }
    }

    /// A node over what a power cut has left of this one's disk.
    pub(crate) fn crash(self, build: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        let disk = self.node.disk.after_power_cut();
        drop(self);
        Self::over(disk, build)
    }

    pub(crate) fn workflow<W: Workflow>(&self, key: &str) -> WorkflowRef<W> {
        WorkflowRef::new(self.node.origin(), key)
    }

    pub(crate) async fn lines(&self, book: &str) -> Vec<String> {
        self.node.actor::<Book>(book).lines().await.unwrap()
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn status_when<W: Workflow>(
        &self,
        key: &str,
        wanted: impl Fn(&WorkflowStatus) -> bool,
    ) -> WorkflowStatus {
        for _ in 0..1_000 {
            let status = self.workflow::<W>(key).status().await.unwrap();
            if wanted(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the status is never as wanted: {:?}", self.workflow::<W>(key).status().await)
    }

    pub(crate) async fn when<W: Workflow>(&self, key: &str, state: WorkflowState) -> WorkflowStatus {
        self.status_when::<W>(key, |status| status.state == state).await
    }
}
