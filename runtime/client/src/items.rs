//! Reply streams by name: the items as JSON, as they come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use greenroom_core::error::CallError;
use greenroom_core::streams::{DEFAULT_BATCH_ITEMS, Handle, RawItems};
use greenroom_core::{ActorId, ContentType, Payload};

use crate::client::{CallOptions, Client};

/// The items of a stream, a JSON text each. It ends after the last one, or with an error; dropping it ends the stream at the
/// actor.
pub struct JsonItems(RawItems);

impl Client {
    /// Calls a method by name that answers with a stream; arguments and items are JSON. The options are those of the call
    /// that opens the stream, which itself has no deadline.
    ///
    /// # Errors
    /// Those of the call; `Invalid` if the method answers with something else than a stream.
    pub async fn items_json(
        &self,
        target: &ActorId,
        method: &str,
        arguments: &str,
        options: CallOptions,
    ) -> Result<JsonItems, CallError<Payload>> {
        let reply = self.call_json(target, method, arguments, options).await?;
        let handle: Handle = serde_json::from_str(&reply).map_err(|_| {
            CallError::Invalid(format!(
                "{target}.{method} does not answer with a stream; call it as any other method"
            ))
        })?;
        let transport = Arc::new(self.clone());
        Ok(JsonItems(RawItems::new(
            transport,
            target.clone(),
            handle,
            ContentType::Json,
            DEFAULT_BATCH_ITEMS,
        )))
    }
}

impl Stream for JsonItems {
    type Item = Result<String, CallError<Payload>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let text = |item: Payload| {
            String::from_utf8(item.data.into()).map_err(|_| CallError::Invalid("the item is no UTF-8".into()))
        };
        self.0.poll_next_unpin(task).map(|item| item.map(|item| item.and_then(text)))
    }
}
