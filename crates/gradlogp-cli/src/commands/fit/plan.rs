//! The plan of a fit: made from the command line, or read from a checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gradlogp::data::{Marginals, Standardization};
use gradlogp::fit::{
    CheckedTable, DensityRule, DiffusionConfig, Family, FitConfig, KernelFamilyConfig,
    NetworkConfig, PrepareConfig, Prepared, Purpose, SizedSetting, Support,
};
use gradlogp::model::Conditioning;
use gradlogp::train::{Choice, TrainConfig, Trainer};
use gradlogp::{Error, Mlp, ModelKind, Objective};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

use crate::args::{FitArgs, ModelArg, ModelArgs, ObjectiveArg, flat};
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
    /// Settings that are still to follow the size of the table.
    #[serde(default)]
    by_size: Option<Vec<SizedSetting>>,
    /// How the objective was chosen.
    pub(in crate::commands) choice: Option<Choice>,
}

impl Plan {
    pub(in crate::commands) fn new(args: &FitArgs) -> Result<Self> {
        let slices = args.objective.slices;
        let chosen = args.purpose.map(Purpose::config);
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
        let of_purpose = |setting| args.purpose.is_some() && args.open.contains(&setting);
        let scaled = args.purpose.is_some() && !args.own_scaling;
        let asked = TrainConfig {
            objective: objective.unwrap_or(Objective::SsmVr { slices }),
            slice_distribution: args.objective.slice_distribution,
            domain: None,
            steps: match of_purpose(SizedSetting::Steps) {
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
            dequantize: dequantize.or_else(|| usual.prepare.dequantize.clone()),
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
        let follows_size = args.purpose.is_some_and(Purpose::follows_size);
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
                ..usual
            },
            by_size: follows_size.then(|| args.open.clone()),
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
        let notes = prepared.notes.iter().map(|note| exit::in_options(note));
        let notes: Vec<String> = notes.collect();
        notes.iter().for_each(|note| text::warning(note));
        Ok((prepared, warnings.iter().map(warning_text).chain(notes).collect()))
    }

    /// Takes over what follows from the size of the table where that was left to us, and says so.
    fn follow_size(&mut self, rows: usize, columns: usize, show: Show) {
        let Some(open) = self.by_size.take() else { return };
        let taken = DensityRule::of(rows, columns).apply(&mut self.fit, &open);
        let said = |(setting, value): (SizedSetting, String)| {
            format!("--{} {value}", setting.name().replace('_', "-"))
        };
        let said: Vec<String> = taken.into_iter().map(said).collect();
        if !said.is_empty() {
            show.note(&format!("for a table of this size: {}", said.join(" ")));
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

/// The family of a fit without noise.
fn family(args: &FitArgs) -> Result<Family> {
    let (model, given) = (&args.model, flat(&args.prepare.given));
    let domain = args.boundary.domain();
    if let Some(family) = kernel_family(model) {
        if !given.is_empty() {
            let message = "kernel families have no condition; use --model potential or score";
            return Err(Error::config("--given", message).into());
        }
        if domain.is_some() {
            let message = "kernel families are not fitted with bounds; use potential or score";
            return Err(Error::config("--model", message).into());
        }
        if args.noise.conditioning.is_some() {
            return Err(conditioning_is_for_others());
        }
        return Ok(Family::Kernel(family));
    }
    let conditioning = args.noise.conditioning;
    let support = match (given.is_empty(), domain) {
        (false, Some(_)) => {
            let message = "models with bounds have no condition; leave one of the two out";
            return Err(Error::config("--given", message).into());
        }
        (true, _) if conditioning.is_some() => return Err(conditioning_is_for_others()),
        (true, None) => Support::Everywhere,
        (true, Some(domain)) => Support::Domain { domain, power: args.boundary.boundary_power },
        (false, None) => Support::Conditional {
            columns: given,
            conditioning: conditioning.unwrap_or(Conditioning::Concat),
        },
    };
    let kind: ModelKind = model.model.unwrap_or(ModelArg::Potential).into();
    let usual = NetworkConfig::default();
    let base = model.base_scale.or(usual.base_scale).filter(|tau| *tau != 0.0);
    Ok(Family::Network(NetworkConfig {
        kind,
        hidden: model.hidden_or(usual.hidden),
        activation: model.activation_or(usual.activation),
        residual: model.residual,
        base_scale: base.filter(|_| kind == ModelKind::LogDensity),
        support,
    }))
}

fn conditioning_is_for_others() -> anyhow::Error {
    let message = "is for models with --noise or --given; leave it out";
    Error::config("--conditioning", message).into()
}

/// The kernel family that is asked for, if one is.
fn kernel_family(args: &ModelArgs) -> Option<KernelFamilyConfig> {
    let model = args.model.filter(|model| model.is_kernel_family())?;
    let usual = KernelFamilyConfig::default();
    Some(KernelFamilyConfig {
        deep: model == ModelArg::Dkef,
        inducing: args.inducing.unwrap_or(usual.inducing),
        base_sd: args.base_scale.unwrap_or(usual.base_sd),
    })
}

/// Refuses options that have no effect on a time model.
fn check_beside_noise(args: &FitArgs, noise: Option<&DiffusionConfig>) -> Result<()> {
    let Some(noise) = noise else { return Ok(()) };
    if args.objective.objective != ObjectiveArg::Auto {
        let message = "a time model has --noise-objective instead";
        return Err(Error::config("--objective", message).into());
    }
    if !args.prepare.given.is_empty() {
        let message = "a time model has no condition; leave it out, or fit without --noise";
        return Err(Error::config("--given", message).into());
    }
    if args.boundary.domain().is_some() {
        let message = "noise moves rows across the bounds; leave them out, or fit without --noise";
        return Err(Error::config("--noise", message).into());
    }
    if args.model.model.is_some_and(ModelArg::is_kernel_family) {
        let message = "a kernel family cannot depend on time; use potential or score";
        return Err(Error::config("--model", message).into());
    }
    if args.model.base_scale.is_some() {
        let message = "the noise gives a time model its base; leave it out";
        return Err(Error::config("--base-scale", message).into());
    }
    if args.model.residual {
        let message = "time models have none; leave it out";
        return Err(Error::config("--residual", message).into());
    }
    if noise.is_custom() && args.prepare.standardize == Standardization::Whiten {
        let message = "whiten mixes the columns, and a custom process moves each by itself; use \
                       standardize, robust, common or none";
        return Err(Error::config("--standardize", message).into());
    }
    Ok(())
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
            Ok(Command::Fit(args)) => Plan::new(&args).unwrap().fit,
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
        assert_eq!(plan("--for score"), plan(""));
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
}
