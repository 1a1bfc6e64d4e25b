//! The program `greenroom`. Everything is in the library, where tests and generators reach it.

fn main() -> std::process::ExitCode {
    greenroom_cli::main()
}
