//! How the problems of an ActorCluster's YAML are shown: like a compiler does, with the line and a caret under the place.

use std::fmt::Write;
use std::path::Path;

use greenroom_crds::manifest::Problem;

use crate::failure::Failure;

/// The failure that tells every problem of a file.
pub(crate) fn failure(path: &Path, text: &str, problems: &[Problem]) -> Failure {
    let count = match problems.len() {
        1 => "a problem".to_owned(),
        many => format!("{many} problems"),
    };
    let details: Vec<_> = problems.iter().map(|problem| rendered(path, text, problem)).collect();
    Failure::new(format!("{} is no valid ActorCluster: {count}", path.display())).details(details.join("\n"))
}

fn rendered(path: &Path, text: &str, problem: &Problem) -> String {
    let Problem { line, column, field, message, remedy } = problem;
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().replace('\t', " ");
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(column.saturating_sub(1));
    let mut shown = format!("{gutter}--> {}:{line}:{column}\n", path.display());
    let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
    writeln!(shown, "{gutter} |\n{number} | {source}\n{gutter} | {indent}^ {place}{message}")
        .expect("a string takes everything");
    if !remedy.is_empty() {
        writeln!(shown, "{gutter} = {remedy}").expect("a string takes everything");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_point_at_line_and_field_and_say_the_remedy() {
        let text = "kind: ActorCluster\nspec:\n  replicas: three\n";
        let problem = |line, column, field: &str, remedy: &str| Problem {
            line,
            column,
            field: field.into(),
            message: "expected a number".into(),
            remedy: remedy.into(),
        };
        let problems = [
            problem(3, 13, "spec.replicas", "write how many nodes to run, for example 3"),
            problem(1, 1, "", ""),
        ];
        insta::assert_snapshot!(failure(Path::new("cluster.yaml"), text, &problems), @r"
        error: cluster.yaml is no valid ActorCluster: 2 problems
         --> cluster.yaml:3:13
          |
        3 |   replicas: three
          |             ^ spec.replicas: expected a number
          = write how many nodes to run, for example 3

         --> cluster.yaml:1:1
          |
        1 | kind: ActorCluster
          | ^ expected a number
        ");
    }

    #[test]
    fn a_place_behind_the_end_is_shown_too() {
        let problem = Problem {
            line: 9,
            column: 1,
            field: String::new(),
            message: "unexpected end".into(),
            remedy: String::new(),
        };
        insta::assert_snapshot!(failure(Path::new("c.yaml"), "", &[problem]), @r"
        error: c.yaml is no valid ActorCluster: a problem
         --> c.yaml:9:1
          |
        9 | 
          | ^ unexpected end
        ");
    }
}
