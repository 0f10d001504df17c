//! Exit codes, one per class of error.

use std::process::ExitCode;

use gradlogp::{Error, ErrorClass};

/// A run stopped by Ctrl-C (128 + SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;

/// A model that `eval --strict` found not usable, or that the rows are too few to grade.
pub(crate) const REFUSED: u8 = 7;

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

/// Prints help that was asked for, or what is wrong with a command line, and returns the code.
pub(crate) fn unread(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
        Err(unwritten) => {
            report(&anyhow::Error::from(unwritten).context("standard output: cannot write"))
        }
    }
}

/// Prints an error to the terminal and returns its code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let system = || error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>());
    if system().any(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
        // The reader, such as `head`, has seen enough.
        return ExitCode::SUCCESS;
    }
    crate::text::error(&message(error));
    let class = error.chain().find_map(|e| e.downcast_ref::<Error>()).map(Error::class);
    let class = class.or(system().next().map(|_| ErrorClass::Io));
    ExitCode::from(class.map_or(1, code))
}

/// All links of the chain, without those that the link before has said already.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for link in error.chain() {
        let text = match link.downcast_ref::<Error>() {
            Some(Error::Config { option, message }) => {
                format!("{}: {}", spelled(option), in_options(message))
            }
            _ => in_options(&link.to_string()),
        };
        if parts.last().is_none_or(|last| !last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// A text of the library with its settings, which stand in backticks, as options: `drop` becomes --drop, and
/// `drop = row id` becomes --drop 'row id'. Words that are no option stay.
pub(crate) fn in_options(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        out += before;
        let Some((phrase, following)) = phrase(after) else {
            return out + "`" + after;
        };
        let (word, value) = match phrase.split_once(" = ") {
            Some((word, value)) => (word, Some(value)),
            None => (phrase.as_str(), None),
        };
        match (spelled(word), value) {
            (option, _) if option == word => out += &format!("`{phrase}`"),
            (option, None) => out += &option,
            (option, Some(value)) => out += &format!("{option} {}", in_a_shell(value)),
        }
        rest = following;
    }
    out + rest
}

/// What stands before the next backtick that is not doubled, with those that are doubled as one; and what follows.
fn phrase(text: &str) -> Option<(String, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('`')?;
        match at > from && text[at + 1..].starts_with('`') {
            true => from = at + 2,
            false => return Some((text[..at].replace("``", "`"), &text[at + 1..])),
        }
    }
}

/// An argument as a shell takes it.
fn in_a_shell(argument: &str) -> String {
    let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "_.,:-".contains(c));
    if plain { argument.to_string() } else { format!("'{}'", argument.replace('\'', "'\\''")) }
}

/// Settings of the library whose options have another name.
const OPTIONS: [(&str, &str); 4] = [
    ("learning_rate", "rate"),
    ("max_gradient_norm", "clip"),
    ("ema_decay", "ema"),
    ("base_sd", "base-scale"),
];

/// A setting of the library as the command line writes it, if it is an option there.
fn spelled(setting: &str) -> String {
    let named = OPTIONS.iter().find(|(field, _)| *field == setting);
    let long = named.map_or(setting.replace(['_', ' '], "-"), |(_, option)| option.to_string());
    let command = <crate::args::Cli as clap::CommandFactory>::command();
    let known = all_commands(&command)
        .iter()
        .any(|command| command.get_arguments().any(|a| a.get_long() == Some(&long)));
    if known { format!("--{long}") } else { setting.to_string() }
}

/// A command and all below it.
pub(crate) fn all_commands(command: &clap::Command) -> Vec<&clap::Command> {
    let below = command.get_subcommands().flat_map(all_commands);
    std::iter::once(command).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_called_by_their_options_and_reasons_said_once() {
        let text = |e: Error| message(&anyhow::Error::from(e));
        assert_eq!(text(Error::config("base_scale", "no")), "--base-scale: no");
        assert_eq!(
            text(Error::config("weight_decay", "or `learning_rate`")),
            "--weight-decay: or --rate"
        );
        assert!(OPTIONS.iter().all(|(field, option)| spelled(field) == format!("--{option}")));
        assert_eq!(text(Error::config("step_size", "no")), "--step-size: no");
        assert_eq!(text(Error::config("-n", "no")), "-n: no");
        let data =
            Error::data("a", "use `no header` or `drop missing`, not `this`; a lone ` stays");
        assert_eq!(text(data), "a: use --no-header or --drop-missing, not `this`; a lone ` stays");
        let said = |message: &str| text(Error::data("a", message));
        assert_eq!(said("use `drop = b,c_1`, or"), "a: use --drop b,c_1, or");
        assert_eq!(said("use `drop = row id`"), "a: use --drop 'row id'");
        assert_eq!(said("`drop = \"mass, kg\",it's`!"), "a: --drop '\"mass, kg\",it'\\''s'!");
        assert_eq!(said("`drop = a``b` and `no header`"), "a: --drop 'a`b' and --no-header");
        assert_eq!(said("`this = 1` stays"), "a: `this = 1` stays");
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = anyhow::Error::from(Error::io("a", "write", full)).context("on the way");
        assert_eq!(message(&error), "on the way: a: cannot write: no storage space");
    }
}
