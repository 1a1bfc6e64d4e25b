//! `greenroom get deadletters`: messages that nobody took.

use greenroom_proto::v1::DeadLetter;
use jiff::Timestamp;
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Column, Row, age};

/// List messages that nobody took, the newest first
///
/// Those that an actor sent reliably are stored: `greenroom deadletter resend ID` sends one again. Of those that were
/// told, each node remembers the last ones until it ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those for this actor
    #[arg(value_name = "TYPE/KEY")]
    target_actor: Option<String>,
    #[command(flatten)]
    common: super::Common,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LetterRow {
    id: String,
    /// Empty if it is not known.
    from: String,
    target: String,
    method: String,
    kind: String,
    error: String,
    at: Timestamp,
    /// Whether it is stored and can be sent again.
    durable: bool,
}

impl Row for LetterRow {
    const NONE: &'static str = "there are no dead letters";
    const COLUMNS: &'static [Column<Self>] = &[
        Column::text("ID", |row| row.id.clone()),
        Column::text("TARGET", |row| row.target.clone()),
        Column::text("METHOD", |row| row.method.clone()),
        Column::text("KIND", |row| row.kind.clone()),
        Column::number("AGE", |row| {
            age(Timestamp::now().duration_since(row.at).try_into().unwrap_or_default())
        }),
        Column::text("KEPT", |row| if row.durable { "stored".into() } else { "memory".into() }),
        Column::wide(Column::text("FROM", |row| row.from.clone())),
        Column::wide(Column::text("ERROR", |row| row.error.clone())),
    ];
}

impl From<DeadLetter> for LetterRow {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, from, target, method, kind, error, at_unix_ms, durable } = letter;
        let at = i64::try_from(at_unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self { id, from, target, method, kind, error, at: at.unwrap_or_default(), durable }
    }
}

pub(super) async fn run(args: Args) -> Result {
    let Args { target_actor, common } = args;
    common
        .list(async |cluster| {
            let mut rows: Vec<LetterRow> =
                cluster.dead_letters().await?.into_iter().map(LetterRow::from).collect();
            rows.retain(|row| target_actor.as_ref().is_none_or(|target| row.target == *target));
            rows.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
            Ok(rows)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{ListFormat, render_list};

    #[test]
    fn a_dead_letter_says_whether_it_can_be_sent_again() {
        let letter = DeadLetter {
            id: "17-0000018bcfe56800000000000000000000000000000004d2".into(),
            from: "Account/anna".into(),
            target: "Account/bert".into(),
            method: "get".into(),
            kind: "app".into(),
            error: "this account is closed".into(),
            at_unix_ms: 1_700_000_000_000,
            durable: true,
        };
        insta::assert_snapshot!(render_list(&[LetterRow::from(letter)], ListFormat::Yaml).unwrap(), @r#"
        items:
        - id: 17-0000018bcfe56800000000000000000000000000000004d2
          from: Account/anna
          target: Account/bert
          method: get
          kind: app
          error: this account is closed
          at: "2023-11-14T22:13:20Z"
          durable: true
        "#);
    }
}
