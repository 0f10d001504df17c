//! What is fitted, by the options of a command line.

use anyhow::Result;
use gradlogp::data::Standardization;
use gradlogp::fit::{
    DiffusionConfig, Family, FitConfig, KernelFamilyConfig, NetworkConfig, Purpose, Support,
};
use gradlogp::model::Conditioning;
use gradlogp::{Error, ModelKind};

use crate::args::{BaseArg, FitArgs, ModelArg, ModelArgs, ObjectiveArg, flat};

/// What a fit is for that does not say so: the score, where its settings apply and no other base was asked for.
pub(super) fn purpose_unsaid(args: &FitArgs) -> Option<Purpose> {
    let model = &args.model;
    let applies = args.noise.noise.is_none()
        && model.model.is_none_or(|kind| kind == ModelArg::Potential)
        && args.prepare.given.is_empty()
        && args.boundary.domain().is_none()
        && args.objective.is_implicit();
    let own = args.base == Some(BaseArg::Gaussian) || model.base_scale.is_some();
    (applies && !own).then_some(Purpose::Score)
}

/// Whether Gaussians are part of the model: by its purpose, where that is possible and no other base was asked for.
pub(super) fn with_gaussians(args: &FitArgs, usual: &FitConfig) -> Result<bool> {
    let potentials = "is for potentials of the data themselves; leave it out";
    let network = match &usual.family {
        Family::Network(network) => network,
        _ if args.base.is_some() => return Err(Error::config("--base", potentials).into()),
        _ => return Ok(usual.with_gaussians),
    };
    let potential = network.kind == ModelKind::LogDensity;
    let possible =
        potential && matches!(network.support, Support::Everywhere) && args.objective.is_implicit();
    if args.base.is_some() && !potential {
        return Err(Error::config("--base", potentials).into());
    }
    match (args.base, args.model.base_scale) {
        (Some(BaseArg::Mixture), Some(_)) => {
            let message = "is for --base gaussian; leave one of the two out";
            Err(Error::config("--base-scale", message).into())
        }
        (Some(BaseArg::Mixture), None) if !possible => {
            let message = "mixture is not for --given, bounds and this --objective; use gaussian";
            Err(Error::config("--base", message).into())
        }
        (Some(BaseArg::Mixture), None) => Ok(true),
        (Some(BaseArg::Gaussian), _) | (None, Some(_)) => Ok(false),
        (None, None) => Ok(usual.with_gaussians && possible),
    }
}

/// The family of a fit without noise.
pub(super) fn family(args: &FitArgs) -> Result<Family> {
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
pub(super) fn check_beside_noise(args: &FitArgs, noise: Option<&DiffusionConfig>) -> Result<()> {
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
