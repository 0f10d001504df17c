//! The plan of a fit: made from the command line, or read from a checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use gradlogp::data::Marginals;
use gradlogp::fit::{
    CheckedTable, Family, FitConfig, PrepareConfig, Prepared, Purpose, SizeRule, SizedSetting,
};
use gradlogp::train::{Choice, TrainConfig, Trainer};
use gradlogp::{Error, Mlp, Objective};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

use super::family::{check_beside_noise, family, purpose_unsaid, with_gaussians};
use crate::args::{FitArgs, flat};
use crate::checkpoints::{self, Standing, resume_command};
use crate::commands::Show;
use crate::input::{Place, Source, show_warnings, warning_text};
use crate::limits::{check_memory, check_network, check_step, check_threads};
use crate::places::Places;
use crate::progress::Progress;
use crate::{exit, text};

/// Everything that a fit needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::commands) struct Plan {
    pub(in crate::commands) source: Source,
    pub(super) output: PathBuf,
    pub(super) report: Option<PathBuf>,
    pub(super) checkpoint_every: f64,
    pub(in crate::commands) fit: FitConfig,
    /// What it is for, and the settings that are still to follow the size of the table.
    #[serde(default)]
    by_size: Option<(Purpose, Vec<SizedSetting>)>,
    /// Whether the purpose is ours, since none was given.
    #[serde(default)]
    unsaid: bool,
    /// Those that did, with their values.
    #[serde(default)]
    pub(super) sized: BTreeMap<String, String>,
    /// Whether noise of rounding was asked for.
    #[serde(default)]
    asks_for_noise: bool,
    /// How the objective was chosen.
    pub(in crate::commands) choice: Option<Choice>,
}

impl Plan {
    /// Of a fit that a user keeps, for the score where nothing else is said.
    pub(super) fn of_fit(args: &FitArgs) -> Result<Self> {
        let unsaid = args.purpose.is_none();
        let purpose = args.purpose.or_else(|| purpose_unsaid(args));
        Ok(Plan { unsaid, ..Self::of_purpose(args, purpose)? })
    }

    /// Of these options alone.
    pub(in crate::commands) fn new(args: &FitArgs) -> Result<Self> {
        Self::of_purpose(args, args.purpose)
    }

    fn of_purpose(args: &FitArgs, purpose: Option<Purpose>) -> Result<Self> {
        let slices = args.objective.slices;
        let chosen = purpose.map(Purpose::config);
        let diffusion = chosen.as_ref().and_then(|config| match &config.family {
            Family::Diffusion(diffusion) => Some(diffusion.clone()),
            _ => None,
        });
        let diffusion = args.noise.diffusion(args.model.asked(), slices, diffusion)?;
        check_beside_noise(args, diffusion.as_ref().map(|(config, _)| config))?;
        let (family, objective) = match diffusion {
            Some((diffusion, objective)) => (Family::Diffusion(diffusion), Some(objective)),
            None => (family(args)?, args.objective.chosen()),
        };
        // Refused here, also where the objective has no slices.
        Objective::Ssm { slices }.validate()?;
        let training = &args.training;
        let usual = match chosen {
            Some(chosen) => FitConfig { family, ..chosen },
            None => FitConfig::of(family),
        };
        // What was not given is as the purpose has it.
        let open = |setting| purpose.is_some() && args.open.contains(&setting);
        let scaled = purpose.is_some() && !args.own_scaling;
        let asked = TrainConfig {
            objective: objective.unwrap_or(Objective::SsmVr { slices }),
            slice_distribution: args.objective.slice_distribution,
            domain: None,
            steps: match open(SizedSetting::Steps) {
                true => usual.training.steps,
                false => training.steps,
            },
            batch: training.batch,
            learning_rate: training.rate,
            schedule: training.schedule,
            warm_up: training.warm_up,
            max_gradient_norm: training.clip,
            weight_decay: training.weight_decay,
            ema_decay: training.ema,
            evaluate_every: training.evaluate_every,
            patience: training.patience.unwrap_or(usual.training.patience),
            seed: args.prepare.seed,
            threads: training.threads,
        };
        asked.validate()?;
        let dequantize = args.prepare.dequantize.as_deref().map(flat);
        // One's own process is stated in the columns as they are.
        let custom = matches!(&usual.family, Family::Diffusion(found) if found.is_custom());
        let marginals = if custom { Marginals::Keep } else { usual.prepare.marginals };
        let prepare = PrepareConfig {
            dequantize: match args.prepare.no_dequantize {
                true => None,
                false => dequantize.or_else(|| usual.prepare.dequantize.clone()),
            },
            gap_rule: args.prepare.dequantize_rule,
            standardization: match scaled {
                true => usual.prepare.standardization,
                false => args.prepare.standardize,
            },
            or_standardize: scaled && usual.prepare.or_standardize,
            marginals: args.prepare.marginals.unwrap_or(marginals),
            validation: args.prepare.validation,
            test: args.prepare.test,
        };
        let config = match &usual.family {
            Family::Kernel(family) => family.settings(&asked),
            _ => asked,
        };
        let by_size = purpose.filter(|purpose| purpose.follows_size());
        let with_gaussians = with_gaussians(args, &usual)?;
        let mut plan = Plan {
            source: Source::new(&args.source, &args.read)?,
            output: "model.safetensors".into(),
            report: None,
            checkpoint_every: 5.0,
            fit: FitConfig {
                prepare,
                training: config,
                choose_objective: objective.is_none(),
                members: training.members.unwrap_or(usual.members),
                with_gaussians,
                ..usual
            },
            by_size: by_size.map(|purpose| (purpose, args.open.clone())),
            sized: BTreeMap::new(),
            unsaid: false,
            asks_for_noise: args.prepare.dequantize.is_some(),
            choice: None,
        };
        plan.override_outputs(args)?;
        plan.check()?;
        Ok(plan)
    }

    /// Refuses what no fit can have, whether it comes from a command line or from a checkpoint.
    pub(super) fn check(&self) -> Result<()> {
        self.source.check()?;
        check_threads(self.fit.training.threads)?;
        check_every(self.checkpoint_every)?;
        let fit = &self.fit;
        check_network(1, fit.hidden(), fit.kind(), fit.training.threads)?;
        if let Family::Kernel(family) = &fit.family {
            let inducing = family.inducing as f64;
            check_memory("--inducing", 24.0 * inducing * inducing)?;
        }
        Ok(fit.validate()?)
    }

    /// All settings that decide the result, as they were requested.
    pub(super) fn identity(&self) -> Result<serde_json::Value> {
        let (output, report, checkpoint_every) = (PathBuf::new(), None, 0.0);
        Ok(serde_json::to_value(Plan { output, report, checkpoint_every, ..self.clone() })?)
    }

    /// Takes over the output paths that are given.
    pub(super) fn override_outputs(&mut self, args: &FitArgs) -> Result<()> {
        if let Some(seconds) = args.checkpoint_every {
            // JSON knows no infinity.
            self.checkpoint_every = seconds.min(EVERY_MOST);
            check_every(self.checkpoint_every)?;
        }
        self.output = args.output.clone().unwrap_or_else(|| self.output.clone());
        self.report = args.report.clone().or_else(|| self.report.clone());
        Ok(())
    }

    pub(in crate::commands) fn is_kernel_family(&self) -> bool {
        matches!(self.fit.family, Family::Kernel(_))
    }

    pub(in crate::commands) fn is_diffusion(&self) -> bool {
        matches!(self.fit.family, Family::Diffusion(_))
    }

    /// Refuses places that cannot be written, or hold what is read or another run's checkpoint.
    pub(super) fn check_places(
        &self,
        resume: Option<&Path>,
        place: &checkpoints::Place,
        show: Show,
    ) -> Result<()> {
        // It goes on in the file that it came from.
        let keeps = !self.is_kernel_family() && !place.is_file(resume);
        Places::default()
            .reads("DATA", self.source.place.file())
            .reads("--resume", resume)
            .writes("--output", Some(&self.output))
            .writes("--report", self.report.as_deref())
            .writes("the checkpoint of --output", keeps.then_some(&place.path))
            .check()?;
        if keeps && place.check()? == Standing::Ours {
            let path = place.path.display();
            show.warning(&format!(
                "{path} holds an unfinished fit with the same settings, which this one replaces; to \
                 resume that one instead: {}",
                resume_command("fit", &place.path)
            ));
        }
        Ok(())
    }

    /// Reads the table, takes over what follows from its size, and makes it ready to train on; what is to be
    /// known of it, in words, is shown, and returned beside it.
    pub(in crate::commands) fn prepare(&mut self, show: Show) -> Result<(Prepared, Vec<String>)> {
        let loaded = self.source.load(self.fit.training.seed, None)?;
        let mut checked = CheckedTable::new(loaded.table, &self.fit)?;
        checked.drawn_from = loaded.drawn_from;
        checked.built_in = matches!(self.source.place, Place::BuiltIn { .. });
        let warnings = [loaded.warnings, checked.warnings.clone()].concat();
        show_warnings(&warnings);
        let share = self.fit.prepare.fractions().train;
        let rows = (checked.table.n_rows() as f64 * share).round() as usize;
        self.follow_size(rows, checked.table.n_columns(), show);
        let prepared = checked.prepare(&self.fit)?;
        self.say_dequantized(&prepared, show);
        let notes = prepared.notes.iter().map(|note| exit::in_options(note));
        let notes: Vec<String> = notes.collect();
        notes.iter().for_each(|note| text::warning(note));
        Ok((prepared, warnings.iter().map(warning_text).chain(notes).collect()))
    }

    /// Says which columns got noise that nobody asked for.
    fn say_dequantized(&self, prepared: &Prepared, show: Show) {
        let asked = |names: &Vec<String>| !names.is_empty() || self.asks_for_noise;
        let Some(noise) = prepared.dequantization() else { return };
        if self.fit.prepare.dequantize.as_ref().is_none_or(asked) {
            return;
        }
        let names: Vec<&str> = noise.columns().map(|j| prepared.columns()[j].as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            show.note(&format!(
                "rounded columns got noise as wide as their step: {names}; --no-dequantize leaves them as they are"
            ));
        }
    }

    /// Takes over what follows from the size of the table where that was left to us, and says so.
    fn follow_size(&mut self, rows: usize, columns: usize, show: Show) {
        let Some((purpose, open)) = self.by_size.take() else { return };
        let Some(rule) = SizeRule::of(purpose, rows, columns) else { return };
        let taken = rule.apply(&mut self.fit, &open);
        let said = |(setting, value): &(SizedSetting, String)| {
            format!("--{} {value}", setting.name().replace('_', "-"))
        };
        let said: Vec<String> = taken.iter().map(said).collect();
        let named = |(setting, value): (SizedSetting, String)| (setting.name().to_string(), value);
        self.sized = taken.into_iter().map(named).collect();
        let said = match said.is_empty() {
            true => String::new(),
            false => format!("for a table of this size: {}", said.join(" ")),
        };
        if self.unsaid {
            let scaled = match self.fit.prepare.or_standardize {
                true => " on whitened columns",
                false => "",
            };
            let said = if said.is_empty() { said } else { format!("; {said}") };
            show.note(&format!(
                "as with --for score: potentials{scaled} that add to a mixture of Gaussians{said}; --base gaussian fits \
                 without all this"
            ));
        } else if !said.is_empty() {
            show.note(&said);
        }
    }

    /// Chooses the objective where that was left to us.
    pub(in crate::commands) fn resolve_objective(
        mut self,
        prepared: &Prepared,
        show: Show,
    ) -> Result<Plan> {
        if !self.fit.choose_objective {
            return Ok(self);
        }
        if !self.is_kernel_family() {
            self.check_size(prepared)?;
        }
        let steps = gradlogp::train::PILOT;
        let mut bar = Progress::new(show.silent(), "choosing the objective", 0, steps);
        let (fit, choice) = prepared.choose_objective(&self.fit, &mut |trainer: &Trainer, _| {
            bar.at(trainer.step(), String::new);
            ControlFlow::Continue(())
        })?;
        bar.finish();
        if let Some(choice) = &choice {
            show.note(&format!(
                "objective {}",
                choice.describe(&self.fit.training.slice_distribution)
            ));
        }
        (self.fit, self.choice) = (fit, choice);
        Ok(self)
    }

    /// The network's settings, as a model file has them.
    pub(in crate::commands) fn mlp(&self, dim: usize) -> Mlp {
        self.fit.mlp(dim)
    }

    /// Refuses what this machine cannot train.
    pub(in crate::commands) fn check_size(&self, prepared: &Prepared) -> Result<()> {
        let (dim, config) = (prepared.dim(), &self.fit.training);
        let batch = config.batch.min(prepared.split.train.len());
        if let Family::Kernel(family) = &self.fit.family {
            let inducing = family.inducing as f64;
            check_memory("--inducing", 8.0 * inducing * (3.0 * inducing + batch as f64))?;
            return match config.objective.slices() {
                // Each slice of a row meets every kernel.
                Some(slices) => {
                    check_memory("--slices", 8.0 * slices as f64 * (dim as f64 + inducing))
                }
                None => Ok(()),
            };
        }
        check_network(dim, self.fit.hidden(), self.fit.kind(), config.threads)?;
        check_step(dim, self.fit.hidden(), batch, &config.objective)
    }
}

/// Most seconds between checkpoints.
const EVERY_MOST: f64 = 1e9;

fn check_every(seconds: f64) -> Result<()> {
    if (0.0..=EVERY_MOST).contains(&seconds) {
        return Ok(());
    }
    Err(Error::config("--checkpoint-every", "must be 0 or more seconds").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    fn plan(line: &str) -> FitConfig {
        let words = format!("gradlogp fit a.csv {line}");
        match Cli::of_words(words.split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Fit(args)) => Plan::of_fit(&args).unwrap().fit,
            other => panic!("{other:?}"),
        }
    }

    /// What `--help` says that each purpose is short for.
    #[test]
    fn a_purpose_is_short_for_options_and_given_ones_win() {
        let anomaly = "--noise ve --sigma-min 0.5 --sigma-max 4 --model potential --standardize robust \
                       --hidden 64,64 --activation softplus --steps 1500";
        assert_eq!(plan("--for anomaly"), plan(anomaly));
        let given = "--standardize none --hidden 8 --activation tanh --steps 6000 --members 3";
        assert_eq!(
            plan(&format!("--for anomaly {given}")),
            plan(&format!("--noise ve --sigma-min 0.5 --sigma-max 4 --model potential {given}"))
        );
        let score = plan("--standardize whiten --dequantize --base mixture");
        let or_standardize = PrepareConfig { or_standardize: true, ..score.prepare.clone() };
        assert_eq!(plan("--for score"), FitConfig { prepare: or_standardize, ..score });
        let own = "--standardize none --base-scale 2 --no-dequantize";
        assert_eq!(plan(&format!("--for score {own}")), plan(own));
        let density = plan("--noise vp --standardize whiten --dequantize --marginals auto");
        let or_standardize = PrepareConfig { or_standardize: true, ..density.prepare.clone() };
        let density = FitConfig { prepare: or_standardize, ..density };
        // Single columns of mixed ones cannot be held.
        let scaled = plan("--noise vp --standardize standardize --dequantize --marginals auto");
        let or_standardize = PrepareConfig { or_standardize: true, ..scaled.prepare.clone() };
        assert_eq!(plan("--for imputation"), FitConfig { prepare: or_standardize, ..scaled });
        let with_gaussians = FitConfig { with_gaussians: true, ..density };
        assert_eq!(plan("--for density"), with_gaussians);
        assert_eq!(plan("--for sampling"), with_gaussians);
        let scaled = plan("--for density --standardize standardize --dequantize=a --patience 3");
        assert!(!scaled.prepare.or_standardize);
        assert_eq!(scaled.prepare.dequantize, Some(vec!["a".to_string()]));
        assert_eq!(scaled.prepare.marginals, Marginals::Auto);
        let kept = plan("--for density --marginals keep");
        assert!(kept.prepare.marginals == Marginals::Keep && kept.with_gaussians);
        assert_eq!(scaled.training.patience, 3);
    }

    /// A fit that does not say what it is for is for the score, wherever that has settings of its own.
    #[test]
    fn a_fit_is_for_the_score_unless_it_says_otherwise() {
        let score = plan("--for score");
        assert!(score.with_gaussians && score.prepare.or_standardize);
        for options in ["", "--model potential", "--base mixture"] {
            assert_eq!(plan(options), score, "{options}");
        }
        let exact = plan("--objective exact --hidden 8");
        assert!(exact.with_gaussians && exact.prepare == score.prepare && exact.hidden() == [8]);
        for options in [
            "--base gaussian",
            "--base-scale 2",
            "--model score",
            "--model kef",
            "--given a",
            "--bounds a=0:1",
            "--domain simplex",
            "--objective dsm",
            "--noise vp",
        ] {
            let own = plan(options);
            assert!(!own.with_gaussians && own.members == 1, "{options}");
            assert_eq!(own.prepare, FitConfig::of(own.family.clone()).prepare, "{options}");
        }
        let own = plan("--standardize robust --no-dequantize --members 3 --steps 50");
        assert_eq!((own.prepare.or_standardize, own.prepare.dequantize.clone()), (false, None));
        assert!(own.with_gaussians && (own.members, own.training.steps) == (3, 50));
    }
}
