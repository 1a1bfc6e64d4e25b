//! `greenroom call`.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use futures_util::StreamExt;
use greenroom_client::{CallOptions, Client};
use greenroom_core::request::RequestContext;
use greenroom_core::streams::Handle;
use greenroom_core::{ActorId, CallError, CallId, Payload};
use greenroom_proto::convert::NO_GATEWAY;
use jiff::SignedDuration;
use serde_json::Value;

use crate::failure::{Failure, OrFail, Result};
use crate::output::{self, DataFormat};
use crate::target::TargetArgs;

/// Call a method of an actor and print its reply
///
/// The arguments are a JSON object, by name, for example: `greenroom call Counter/page-1 add '{"by":3}'`. A call that
/// cannot be delivered is repeated with the same call id until the deadline, and is applied once. With `--items` the reply
/// is a stream, which is printed as its items come.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The actor
    #[arg(value_name = "TYPE/KEY")]
    actor: ActorId,
    /// The method
    method: String,
    /// The arguments as a JSON object; `-` reads them from stdin
    #[arg(default_value = "{}", value_name = "JSON")]
    arguments: String,
    /// How long to wait for the reply, for example 500ms or 1m
    #[arg(long, default_value = "10s", value_parser = parse_deadline, value_name = "TIME")]
    deadline: Duration,
    /// The identity of the call, 32 hexadecimal digits: a call with the same id is applied once. Random if not given
    #[arg(long, value_parser = parse_call_id, value_name = "HEX")]
    call_id: Option<CallId>,
    /// A value of the request context, which every call made from this one carries; may be given several times
    #[arg(long, value_parser = parse_request, value_name = "NAME=VALUE")]
    request: Vec<(String, String)>,
    /// The method answers with a stream: print its items as they come, one a line, until it ends or Ctrl-C is pressed
    #[arg(long)]
    items: bool,
    /// The form of the reply
    #[arg(short, long, value_enum, default_value = "json")]
    output: DataFormat,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: Args) -> Result {
    let arguments = checked_arguments(&args.arguments)?;
    let target = args.target.choose().await?;
    let client = target.client()?;
    let options = CallOptions {
        deadline: Some(args.deadline),
        call_id: args.call_id,
        request: request_context(&args.request)?,
    };
    if args.items {
        let print = print_items(&client, &args, &arguments, options);
        return tokio::select! {
            printed = print => printed,
            failure = target.hopeless() => Err(failure),
        };
    }
    let call = client.call_json(&args.actor, &args.method, &arguments, options);
    let reply = output::with_spinner("waiting for the reply", async {
        tokio::select! {
            reply = call => Ok(reply),
            failure = target.hopeless() => Err(failure),
        }
    });
    let reply = reply.await?.map_err(|error| failure(&args, error))?;
    print_reply(&reply, args.output)?;
    if serde_json::from_str::<Handle>(&reply).is_ok() {
        output::remark("this is a stream, by its id; with --items the items are printed as they come");
    }
    Ok(())
}

fn request_context(entries: &[(String, String)]) -> Result<RequestContext> {
    RequestContext::of(entries.iter().cloned()).map_err(|error| Failure::new(error.to_string()))
}

/// Prints the items of a stream as they come. Dropping the future ends the stream at the actor, too.
async fn print_items(client: &Client, args: &Args, arguments: &str, options: CallOptions) -> Result {
    let items = client.items_json(&args.actor, &args.method, arguments, options).await;
    let mut items = items.map_err(|error| failure(args, error))?;
    while let Some(item) = items.next().await {
        let item = item.map_err(|error| failure(args, error))?;
        match args.output {
            DataFormat::Json => output::print(&item)?,
            format => print_reply(&item, format)?,
        }
    }
    Ok(())
}

/// For people JSON is spread over lines, for programs it stays as it came.
fn print_reply(reply: &str, format: DataFormat) -> Result {
    if format == DataFormat::Json && !std::io::stdout().is_terminal() {
        return output::print(reply);
    }
    let value: Value = serde_json::from_str(reply).or_fail("the reply is not JSON")?;
    output::print_data(&value, format)
}

/// The arguments, known to be a JSON object, so that a slip of the pen costs no round trip.
fn checked_arguments(given: &str) -> Result<String> {
    let text = match given {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).or_fail("cannot read the arguments from stdin")?;
            text
        }
        _ => given.to_owned(),
    };
    const HINT: &str = "write an object with the arguments by name, in single quotes: '{\"by\":3}'";
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => Err(Failure::new("the arguments are JSON, but not an object").hint(HINT)),
        Err(error) => Err(Failure::new(format!("the arguments are not JSON: {error}"))
            .details(pointed_at(&text, error.line(), error.column()))
            .hint(HINT)),
    }
}

/// The line with a caret under the column, both counted from 1; columns count bytes.
fn pointed_at(text: &str, line: usize, column: usize) -> String {
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before = source.bytes().take(column.saturating_sub(1)).filter(|byte| byte & 0xC0 != 0x80).count();
    format!("  {source}\n  {}^", " ".repeat(before))
}

fn failure(args: &Args, error: CallError<Payload>) -> Failure {
    if matches!(&error, CallError::Invalid(message) if message == NO_GATEWAY) {
        return Failure::new("there is no gateway at this address")
            .hint("an --address must be a node's gateway address (`greenroom get nodes -o wide` shows it)");
    }
    let kind = error.kind();
    let hint = match &error {
        CallError::NotFound(_) => "`greenroom get types` lists the types and their methods".to_owned(),
        CallError::Invalid(_) => {
            format!("`greenroom describe type {}` shows what the methods take", args.actor.actor_type)
        }
        CallError::Timeout { committed: None } => {
            "give more time with --deadline; use --call-id to repeat a call safely".to_owned()
        }
        CallError::Timeout { .. } => "give more time with --deadline".to_owned(),
        CallError::Unavailable(_) => "`greenroom get nodes` shows which nodes are there".to_owned(),
        CallError::Overloaded(_) => "nothing has happened; call again later".to_owned(),
        CallError::Panicked(_) => "the node's log has the place in the code".to_owned(),
        CallError::Deadlock { .. } | CallError::Refused(_) | CallError::App(_) => String::new(),
    };
    let message = match error.map_app(|payload| CallError::App(app_message(&payload))) {
        CallError::App(message) => format!("{} answered with an error: {message}", args.actor),
        other => other.to_string(),
    };
    let failure = Failure::new(format!("{message} [{kind}]"));
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

/// An application error as text: its message if that is all it has, otherwise its JSON.
fn app_message(payload: &Payload) -> String {
    match payload.decode::<Value>("the application error") {
        Ok(Value::String(message)) => message,
        Ok(Value::Object(fields)) if fields.len() == 1 && fields.contains_key("message") => {
            fields["message"].as_str().map_or_else(|| fields["message"].to_string(), str::to_owned)
        }
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    const HELP: &str = "write a time with its unit, for example 500ms, 10s or 1m";
    let span: SignedDuration = text.parse().map_err(|_| HELP.to_owned())?;
    Duration::try_from(span).ok().filter(|span| !span.is_zero()).ok_or_else(|| HELP.to_owned())
}

fn parse_request(text: &str) -> Result<(String, String), String> {
    let entry = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = entry.ok_or("write a name and its value, for example tenant=acme")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_call_id(text: &str) -> Result<CallId, String> {
    let id = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten();
    id.map(CallId).ok_or_else(|| "a call id has 32 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, String> {
        let line = ["call"].iter().chain(line);
        Line::try_parse_from(line).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn deadline_and_call_id_are_read() {
        let id = "000000000000000000000000000000ff";
        let args = parse(&["Counter/a/b", "add", "--deadline", "1m 500ms", "--call-id", id]).unwrap();
        assert_eq!(args.deadline, Duration::from_millis(60_500));
        assert_eq!(args.call_id, Some(CallId(255)));
        assert_eq!(args.arguments, "{}");
    }

    #[test]
    fn the_request_context_is_read() {
        let args = parse(&["Counter/a", "add", "--request", "tenant=acme", "--request=rule=a=b"]).unwrap();
        let context = request_context(&args.request).unwrap();
        assert_eq!(context.entries().collect::<Vec<_>>(), [("rule", "a=b"), ("tenant", "acme")]);
        let long = request_context(&[("name".into(), "x".repeat(5_000))]).unwrap_err().to_string();
        assert!(long.contains("at most 4096 are allowed"), "{long}");
    }

    #[test]
    fn a_wrong_command_line_says_what_is_right() {
        for (line, part) in [
            (&["Counter", "add"][..], "TYPE/KEY"),
            (&["Counter/a", "add", "--deadline", "10"], "with its unit"),
            (&["Counter/a", "add", "--deadline=-1s"], "with its unit"),
            (&["Counter/a", "add", "--request", "acme"], "tenant=acme"),
            (&["Counter/a", "add", "--call-id", "12"], "32 hexadecimal digits"),
            (&["Counter/a", "add", "--call-id", "+0000000000000000000000000000ff"], "32 hexadecimal digits"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn wrong_json_is_refused_with_its_place() {
        insta::assert_snapshot!(checked_arguments("{\"ключ\" 3}").unwrap_err(), @r#"
        error: the arguments are not JSON: expected `:` at line 1 column 13
          {"ключ" 3}
                  ^
        hint: write an object with the arguments by name, in single quotes: '{"by":3}'
        "#);
        insta::assert_snapshot!(checked_arguments("[3]").unwrap_err(), @r#"
        error: the arguments are JSON, but not an object
        hint: write an object with the arguments by name, in single quotes: '{"by":3}'
        "#);
    }

    #[test]
    fn a_failed_call_shows_kind_message_and_hint() {
        let args = parse(&["Counter/a", "add"]).unwrap();
        let app =
            Payload { content_type: greenroom_core::ContentType::Json, data: r#"{"message":"no"}"#.into() };
        let errors = [CallError::NotFound("there is no type Counter".into()), CallError::App(app)];
        let shown: Vec<_> = errors.into_iter().map(|error| failure(&args, error).to_string()).collect();
        insta::assert_snapshot!(shown.join("\n\n"), @r"
        error: not found: there is no type Counter [not_found]
        hint: `greenroom get types` lists the types and their methods

        error: Counter/a answered with an error: no [app]
        ");
    }
}
