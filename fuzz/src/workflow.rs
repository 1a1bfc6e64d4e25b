//! What is stored of workflows, and what their runs and their actors say to each other.

use greenroom_core::fuzzing as core;

use crate::{choice, chosen, settles};

/// One of the forms, as the first byte says.
pub(crate) fn check(input: &[u8]) {
    let (form, data) = choice(input, core::WORKFLOW_FORMS);
    settles(|data| core::workflow(form, data), data);
}

/// One of each form.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    core::workflows().into_iter().map(|(form, data)| chosen(form, data)).collect()
}
