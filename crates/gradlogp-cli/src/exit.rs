//! Exit codes, one per class of error.

use std::process::ExitCode;

use gradlogp::{Error, ErrorClass};

/// A run stopped by Ctrl-C (128 + SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;

/// Text for `--help`.
pub(crate) const HELP: &str = "Exit codes:
  0    done
  1    a bug in gradlogp
  2    a wrong command or setting
  3    data that cannot be used
  4    a model or checkpoint file that cannot be used
  5    a file that cannot be read or written
  6    training or sampling diverged, or a computation has no solution
  130  stopped by Ctrl-C; what was done is kept";

/// The exit code of a class.
pub(crate) fn code(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Usage => 2,
        ErrorClass::Data => 3,
        ErrorClass::Model => 4,
        ErrorClass::Io => 5,
        ErrorClass::Numerical => 6,
    }
}

/// Prints an error to the terminal and returns its code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let class = error.chain().find_map(|e| e.downcast_ref::<Error>()).map(Error::class);
    let broken_pipe = error
        .chain()
        .filter_map(|e| e.downcast_ref::<std::io::Error>())
        .any(|e| e.kind() == std::io::ErrorKind::BrokenPipe);
    if broken_pipe {
        // The reader, such as `head`, has seen enough.
        return ExitCode::SUCCESS;
    }
    crate::text::error(&format!("{error:#}"));
    ExitCode::from(class.map_or(1, code))
}
