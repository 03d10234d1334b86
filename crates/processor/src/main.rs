//! The `processor` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    llm_optimizer_processor::cli::main()
}
