//! Every form of a workflow that is stored or sent, for the fuzz targets.

use std::collections::BTreeMap;

use super::ledger::{
    Act, Begun, CancelState, Checkpoint, Ended, Known, Ledger, Outcome, Question, Recorded, Run, RunnerId,
    Wish, WorkflowState,
};
use crate::fuzzing::{bytes, resend, rewrite, whole};
use crate::identity::{CallId, Epoch};
use crate::request::RequestContext;

/// How many forms there are.
pub const WORKFLOW_FORMS: u8 = 7;

/// Reads one of the forms and writes it again; `None` if it is none.
pub fn workflow(form: u8, data: &[u8]) -> Option<Vec<u8>> {
    match form {
        0 => rewrite::<Ledger>(data),
        1 => rewrite::<Recorded>(data),
        2 => rewrite::<Run>(data),
        3 => resend::<Vec<Question>>(data),
        4 => resend::<Vec<Known>>(data),
        5 => resend::<Vec<Wish>>(data),
        _ => rewrite::<Outcome<u8, String>>(data),
    }
}

/// One of each, with its form.
pub fn workflows() -> Vec<(u8, Vec<u8>)> {
    let (id, cancel, state) = (CallId(7), CancelState::Wanted, WorkflowState::Completed);
    let ended = Some(Ended { state, at_unix_ms: 9, unused: vec!["old".into()] });
    let signals = BTreeMap::from([("go".to_owned(), 2)]);
    let request = RequestContext::of([("tenant", "acme")]).expect("it is small");
    let run = Run { id, request: request.clone(), started_unix_ms: 5, cancel, signals, ended };
    let recorded = Recorded { checkpoint: Checkpoint::Done(bytes()), at_unix_ms: 5 };
    let (name, number) = ("pay".to_owned(), 3);
    let questions = vec![
        Question::Begin,
        Question::Recorded { name: name.clone() },
        Question::Received { name: name.clone(), number },
        Question::CancelState,
    ];
    let begun = Begun { id, request, input: bytes(), recorded: 3, cancel };
    let known = vec![
        Known::Begun(Some(begun)),
        Known::Recorded(Some(Checkpoint::Until(5))),
        Known::Received(Some(serde_json::json!({ "a": [1, null] }))),
        Known::CancelState(cancel),
    ];
    let checkpoint = Checkpoint::Decided { in_time: true };
    let acts = [
        Act::Record { name, checkpoint, message: None },
        Act::Unwind,
        Act::Suspend { version: 1, until_unix_ms: Some(5) },
        Act::Finish { state, outcome: bytes(), used: 2 },
    ];
    let runner = RunnerId { epoch: Epoch(5), number };
    let acts = acts.into_iter().map(|act| Wish::Run(runner, Box::new(act)));
    let wishes: Vec<_> = acts.chain([Wish::Wake, Wish::Forget]).collect();
    let ledger = Ledger { run: Some(run.clone()), ..Ledger::default() };
    let outcome = Outcome::<u8, String>::Failed("no".into());
    vec![
        (0, whole(&ledger)),
        (1, whole(&recorded)),
        (2, whole(&run)),
        (3, whole(&questions)),
        (4, whole(&known)),
        (5, whole(&wishes)),
        (6, whole(&outcome)),
    ]
}
