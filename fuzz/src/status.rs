//! The status of a failed call, as a client gets it from whatever answers at its gateway's address.

use greenroom_core::{CallError, Payload};
use greenroom_proto::convert::{error_of, status_of};
use tonic::{Code, Status};

use crate::{choice, chosen};

/// The code, and its details.
pub fn check(input: &[u8]) {
    let (code, details) = choice(input, 17);
    let status = Status::with_details(Code::from(i32::from(code)), "no", details.to_vec().into());
    let error = error_of(&status);
    let _ = error.to_string();
    // What a client passes on is what it got.
    let again = error_of(&status_of(error.clone()));
    assert_eq!(again, error);
}

/// A status of every kind of error.
pub fn seeds() -> Vec<Vec<u8>> {
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
    statuses.iter().map(|status| chosen(status.code() as u8, status.details())).collect()
}
