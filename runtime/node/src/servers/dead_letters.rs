//! Messages that nobody took, as the admin service tells them.

use greenroom_core::dead_letters::DeadLetter;
use greenroom_core::engine::{DeadLetterError, Engine};
use greenroom_proto::v1;
use tonic::{Response, Status};

/// How many letters are listed unless the request says so.
const DEFAULT_LIMIT: usize = 500;
/// How many are listed at most: with the longest errors they stay below gRPC's limit of 4 MiB.
const LIMIT_MAX: usize = 2_000;

pub(super) async fn list(engine: &Engine, limit: u32) -> v1::DeadLettersReply {
    let limit = match limit as usize {
        0 => DEFAULT_LIMIT,
        limit => limit.min(LIMIT_MAX),
    };
    let (letters, total) = engine.list_dead_letters(limit).await;
    v1::DeadLettersReply { letters: letters.into_iter().map(to_wire).collect(), total: total as u64 }
}

fn to_wire(letter: DeadLetter) -> v1::DeadLetter {
    let DeadLetter { id, from, target, method, kind, error, at_unix_ms, durable } = letter;
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    let (target, method) = (target.to_string(), method.to_string());
    v1::DeadLetter { id, from, target, method, kind, error, at_unix_ms, durable }
}

pub(super) fn done(outcome: Result<(), DeadLetterError>) -> Result<Response<v1::DeadLetterDone>, Status> {
    match outcome {
        Ok(()) => Ok(Response::new(v1::DeadLetterDone {})),
        Err(error) => {
            let message = error.to_string();
            Err(match error {
                DeadLetterError::NotFound(_) | DeadLetterError::Elsewhere(_) => Status::not_found(message),
                DeadLetterError::NotKept(_) => Status::failed_precondition(message),
                DeadLetterError::NotNow(_) => Status::unavailable(message),
            })
        }
    }
}
