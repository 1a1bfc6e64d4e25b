//! By which name this program was called. kubectl finds its plugins by name: `kubectl greenroom` runs `kubectl-greenroom`
//! from the PATH, and asks `kubectl_complete-greenroom` how a line may go on. Both are links to this one program.
//!
//! Texts in the code say `greenroom …`; what is printed says what the user types.

use std::path::Path;

use clap::Command;

/// The names that the program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CalledAs {
    /// `greenroom`, or any other name.
    Greenroom,
    /// `kubectl-greenroom`.
    KubectlPlugin,
    /// `kubectl_complete-greenroom`.
    KubectlCompletion,
}

impl CalledAs {
    /// The name of this process.
    pub(crate) fn now() -> Self {
        std::env::args_os().next().map_or(Self::Greenroom, |program| Self::of(Path::new(&program)))
    }

    fn of(program: &Path) -> Self {
        match program.file_stem().and_then(|name| name.to_str()) {
            Some("kubectl-greenroom") => Self::KubectlPlugin,
            Some("kubectl_complete-greenroom") => Self::KubectlCompletion,
            _ => Self::Greenroom,
        }
    }

    /// A text with the commands in it as the user types them.
    pub(crate) fn words(self, text: &str) -> String {
        match self {
            Self::Greenroom => text.to_owned(),
            Self::KubectlPlugin | Self::KubectlCompletion => {
                text.replace("`greenroom ", "`kubectl greenroom ")
            }
        }
    }

    /// The command line with its help in the user's words.
    pub(crate) fn command(self, command: Command) -> Command {
        match self {
            Self::Greenroom => command,
            Self::KubectlPlugin | Self::KubectlCompletion => {
                self.reworded(command).bin_name("kubectl greenroom")
            }
        }
    }

    fn reworded(self, mut command: Command) -> Command {
        let words = |text: Option<&clap::builder::StyledStr>| text.map(|text| self.words(&text.to_string()));
        if let Some(about) = words(command.get_about()) {
            command = command.about(about);
        }
        if let Some(about) = words(command.get_long_about()) {
            command = command.long_about(about);
        }
        let command = command.mut_args(|arg| {
            let (help, long) = (words(arg.get_help()), words(arg.get_long_help()));
            let arg = if let Some(help) = help { arg.help(help) } else { arg };
            if let Some(long) = long { arg.long_help(long) } else { arg }
        });
        command.mut_subcommands(|command| self.reworded(command))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_file_name_decides_and_the_directory_does_not() {
        for (program, expected) in [
            ("greenroom", CalledAs::Greenroom),
            ("/kubectl-greenroom/greenroom", CalledAs::Greenroom),
            ("/home/ann/.krew/bin/kubectl-greenroom", CalledAs::KubectlPlugin),
            ("kubectl-greenroom.exe", CalledAs::KubectlPlugin),
            ("/usr/bin/kubectl_complete-greenroom", CalledAs::KubectlCompletion),
        ] {
            assert_eq!(CalledAs::of(Path::new(program)), expected, "{program}");
        }
    }

    #[test]
    fn the_plugin_speaks_of_itself_as_it_is_typed() {
        let mut command = CalledAs::KubectlPlugin.command(crate::Cli::command());
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage: kubectl greenroom <COMMAND>"), "{help}");
        command.build();
        let mut call = command.find_subcommand_mut("call").unwrap().clone().term_width(100);
        insta::assert_snapshot!(call.render_help(), @r"
        Call a method of an actor and print its reply

        Usage: kubectl greenroom call [OPTIONS] <TYPE/KEY> <METHOD> [JSON]

        Arguments:
          <TYPE/KEY>  The actor
          <METHOD>    The method
          [JSON]      The arguments as a JSON object; `-` reads them from stdin [default: {}]

        Options:
              --deadline <TIME>       How long to wait for the reply, for example 500ms or 1m [default: 10s]
              --call-id <HEX>         The identity of the call, 32 hexadecimal digits: a call with the same
                                      id is applied once. Random if not given
              --request <NAME=VALUE>  A value of the request context, which every call made from this one
                                      carries; may be given several times
              --items                 The method answers with a stream: print its items as they come, one a
                                      line, until it ends or Ctrl-C is pressed
          -o, --output <OUTPUT>       The form of the reply [default: json] [possible values: json, yaml]
          -h, --help                  Print help (see more with '--help')

        Target:
              --data <DIR>           The data directory of `kubectl greenroom dev` [default: GREENROOM_DATA,
                                     or .greenroom here, or in a parent directory]
              --name <NAME>          The name of the dev cluster, if several run on that directory
              --address <HOST:PORT>  The node to talk to instead of a cluster: its gateway for `call`, its
                                     admin address for everything else

        Target in Kubernetes:
          -c, --cluster <NAME>     The ActorCluster [default: the only one in the namespace]
          -n, --namespace <NAME>   The namespace [default: that of the context]
              --context <NAME>     The context of the kubeconfig [default: the current one]
              --kubeconfig <FILE>  The kubeconfig [default: KUBECONFIG, or ~/.kube/config]
        ");
        let help = call.render_long_help().to_string();
        assert!(help.contains("for example: `kubectl greenroom call Counter/page-1"), "{help}");
    }
}
