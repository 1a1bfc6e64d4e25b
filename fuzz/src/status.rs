//! The status of a failed call, as a client gets it from whatever answers at its gateway's address.

use greenroom_core::{CallError, Payload};
use greenroom_proto::convert::{error_of, status_of};
use greenroom_proto::v1;
use prost::Message;
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
    assert!(!carried || with_code(Code::NotFound) == error && is_named(details, &again), "{error:?}");
    assert!(
        carried || !PLAIN.contains(&status.code()) || again.code() == status.code(),
        "{status:?}: {error:?}"
    );
}

/// Whether one of the details has the name that ours has.
fn is_named(details: &[u8], ours: &Status) -> bool {
    let names = |details: &[u8]| -> Vec<String> {
        let status = v1::Status::decode(details).unwrap_or_default();
        status.details.into_iter().map(|any| any.type_url).collect()
    };
    names(details).contains(&names(ours.details())[0])
}

/// The codes that one kind of error has for itself, and that need no details.
const PLAIN: [Code; 5] = [
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
    Code::NotFound,
    Code::InvalidArgument,
    Code::Unavailable,
];

/// A status of every kind of error, and every code without details or with details of somebody else.
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
    let value = v1::CallError { kind: "refused".into(), ..Default::default() }.encode_to_vec().into();
    let foreign = v1::Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(), value };
    let foreign = v1::Status { details: vec![foreign], ..Default::default() }.encode_to_vec();
    let codes = (0..17).flat_map(|code| [chosen(code, []), chosen(code, &foreign)]);
    statuses.chain(codes).collect()
}
