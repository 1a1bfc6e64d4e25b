//! The status of a failed call, as a client gets it from whatever answers at its gateway's address.

use greenroom_core::{CallError, Payload};
use greenroom_proto::convert::{error_of, status_of};
use tonic::{Code, Status};

use crate::{choice, chosen};

/// The code, and its details.
pub(crate) fn check(input: &[u8]) {
    let (code, details) = choice(input, 17);
    let status = Status::with_details(Code::from(i32::from(code)), "no", details.to_vec().into());
    let error = error_of(&status);
    let _ = error.to_string();
    // What a client passes on is what it got.
    let again = status_of(error.clone());
    assert_eq!(error_of(&again), error);
    // The details say it all; without them the code does, as far as gateways answer with it.
    let with_code = |code| error_of(&Status::with_details(code, "no", details.to_vec().into()));
    let carried = with_code(Code::NotFound) == with_code(Code::Unavailable);
    assert!(!carried || with_code(Code::NotFound) == error);
    assert!(
        carried || !PLAIN.contains(&status.code()) || again.code() == status.code(),
        "{status:?}: {error:?}"
    );
}

/// The codes that one kind of error has for itself, and that need no details.
const PLAIN: [Code; 5] = [
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
    Code::NotFound,
    Code::InvalidArgument,
    Code::Unavailable,
];

/// A status of every kind of error, and every code without details.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = || "it".to_owned();
    let errors = [
        CallError::Timeout { committed: Some(true) },
        CallError::Deadlock { path: vec!["A/1".into()] },
        CallError::App(Payload::default()),
        CallError::Overloaded(text()),
        CallError::NotFound(text()),
        CallError::Invalid(text()),
        CallError::Unavailable(text()),
        CallError::Panicked(text()),
        CallError::Refused(text()),
    ];
    let statuses = errors.map(status_of);
    let statuses = statuses.iter().map(|status| chosen(status.code() as u8, status.details()));
    statuses.chain((0..17).map(|code| chosen(code, []))).collect()
}
