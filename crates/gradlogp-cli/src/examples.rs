//! Examples of every command and the exit codes, shown by `-h` and `--help` alike.
//!
//! Each line that begins with `gradlogp` is parsed by a test.

pub(crate) const MAIN: &str = "Examples:
  gradlogp fit my.csv --report report.html
  gradlogp score model.safetensors my.csv -o scores.csv
  gradlogp sample model.safetensors -n 1000 -o samples.csv
  gradlogp fit -h          the usual options of one command
  gradlogp fit --help      all of them, with what each value means";

/// What the program returns, for `--help`.
const EXIT_CODES: &str = "Exit codes:
  0    done
  1    a bug in gradlogp
  2    a wrong command or setting
  3    data that cannot be used
  4    a model or checkpoint file that cannot be used
  5    a file that cannot be read or written
  6    training or sampling diverged, or a computation has no solution
  7    eval --strict: the model is not usable, or the rows are too few to tell
  130  stopped by Ctrl-C or a termination signal; what was done is kept";

/// For `--help` of the whole program.
pub(crate) fn main_with_exit_codes() -> String {
    format!("{MAIN}\n\n{}", EXIT_CODES)
}

pub(crate) const FIT: &str = "Examples:
  gradlogp fit my.csv
  gradlogp fit my.csv -o my.safetensors --report report.html
  gradlogp fit my.csv --drop id --dequantize --standardize whiten
  gradlogp fit my.csv --given age,dose -o given.safetensors
  gradlogp fit my.csv --bounds wait=0:inf,share=0:1
  gradlogp fit my.csv --noise vp -o time.safetensors
  gradlogp fit my.csv --for anomaly -o usual.safetensors
  gradlogp fit --dataset eight-gaussians --model score --objective ssm-vr
  gradlogp fit --resume model.safetensors.checkpoint";

pub(crate) const COMPARE: &str = "Examples:
  gradlogp compare my.csv
  gradlogp compare my.csv --objectives ssm,ssm-vr,exact --slices 1,4 --seeds 3
  gradlogp compare my.csv --slice-distributions rademacher,gaussian --seconds 20 --report compare.html";

pub(crate) const EVAL: &str = "Examples:
  gradlogp eval model.safetensors new.csv
  gradlogp eval model.safetensors new.csv --likelihood --test-functions cube,tanh
  gradlogp eval model.safetensors new.csv --draw 2000
  gradlogp eval model.safetensors new.csv --samples samples.csv --json";

pub(crate) const LOGLIK: &str = "Examples:
  gradlogp loglik time.safetensors new.csv
  gradlogp loglik time.safetensors new.csv -o densities.csv
  gradlogp loglik time.safetensors new.csv --probes 8 --tolerance 1e-4";

pub(crate) const SCORE: &str = "Examples:
  gradlogp score model.safetensors new.csv -o scores.csv
  gradlogp score model.safetensors new.csv --hessian-diagonal -o scores.npy
  gradlogp score model.safetensors new.csv --log-z 1.25 -o scores.csv
  gradlogp score time.safetensors new.csv --at 0.1 -o scores.csv
  gradlogp score usual.safetensors new.csv --anomaly --held-out usual.csv --false-alarm 0.01 -o flags.csv";

pub(crate) const SAMPLE: &str = "Examples:
  gradlogp sample model.safetensors -n 1000 -o samples.csv
  gradlogp sample model.safetensors --sampler hmc --chains 20 -n 2000 -o samples.npy
  gradlogp sample given.safetensors --given-values age=40,dose=0.5 -n 500 -o at40.csv
  gradlogp sample time.safetensors --sampler ode --steps 50 --trace trajectories.npy -o samples.csv
  gradlogp sample --resume samples.csv.checkpoint";

pub(crate) const IMPUTE: &str = "Examples:
  gradlogp impute model.safetensors holes.csv -o full.csv
  gradlogp impute model.safetensors holes.csv --draws 5 --seed 1 -o full.csv";

pub(crate) const REPORT: &str = "Examples:
  gradlogp report model.safetensors
  gradlogp report model.safetensors new.csv -o report.html
  gradlogp report digits.safetensors --image 8x8";

pub(crate) const INFO: &str = "Examples:
  gradlogp info model.safetensors
  gradlogp info model.safetensors.checkpoint
  gradlogp info model.safetensors --json";

pub(crate) const DATASETS: &str = "Examples:
  gradlogp datasets
  gradlogp fit --dataset banana --rows 5000";

pub(crate) const BENCH: &str = "Examples:
  gradlogp bench step --dim 16
  gradlogp bench fit --dataset eight-gaussians --steps 500
  gradlogp bench score --dim 16 --trace
  gradlogp bench mala --dim 2
  gradlogp bench stein --rows 10000
  gradlogp bench read my.csv";

pub(crate) const BENCH_STEP: &str = "Examples:
  gradlogp bench step --dim 16
  gradlogp bench step --dim 784 --hidden 1024,1024 --batch 256 --objective ssm-vr
  gradlogp bench step --dim 16 --gradient-noise";

pub(crate) const BENCH_FIT: &str = "Examples:
  gradlogp bench fit --dataset eight-gaussians --steps 500
  gradlogp bench fit my.csv --objective exact --rows-to rows";

pub(crate) const BENCH_SCORE: &str = "Examples:
  gradlogp bench score --dim 16
  gradlogp bench score --dim 16 --model score --rows 100000 --trace --double";

pub(crate) const BENCH_MALA: &str = "Examples:
  gradlogp bench mala --dim 2
  gradlogp bench mala --dim 16 --chains 100 --steps 500";

pub(crate) const BENCH_STEIN: &str = "Examples:
  gradlogp bench stein --rows 10000
  gradlogp bench stein --rows 2000 --dim 16 --group 2000";

pub(crate) const BENCH_READ: &str = "Examples:
  gradlogp bench read my.csv
  gradlogp bench read my.csv.gz --columns a,b --passes 5";

pub(crate) const COMPLETIONS: &str = "Examples:
  gradlogp completions bash > ~/.local/share/bash-completion/completions/gradlogp
  gradlogp completions zsh > ~/.zfunc/_gradlogp
  gradlogp completions fish > ~/.config/fish/completions/gradlogp.fish";

pub(crate) const MAN: &str = "Examples:
  gradlogp man | man -l -
  gradlogp man ~/.local/share/man/man1";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use crate::args::Cli;

    /// The last commands of the tree, with their full names.
    fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
        let name = format!("{name} {}", command.get_name()).trim().to_string();
        let below: Vec<_> = command.get_subcommands().flat_map(|c| leaves(c, &name)).collect();
        std::iter::once((name, command.clone())).chain(below).collect()
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut command = Cli::command();
        command.build();
        for (name, command) in leaves(&command, "") {
            if name.contains(" help") {
                continue;
            }
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
            assert!(lines.len() >= 2, "{name} has no examples");
            for line in lines {
                let line = line.split(" > ").next().unwrap();
                let line = line.split(" | ").next().unwrap();
                let line = line.split("     ").next().unwrap();
                let parsed = Cli::command().try_get_matches_from(line.split_whitespace());
                if let Err(error) = parsed {
                    assert!(!error.use_stderr(), "{name}: {line}\n{error}");
                }
            }
        }
    }
}
