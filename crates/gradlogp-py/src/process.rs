//! Noise processes by name and numbers.

use gradlogp::diffusion::NoiseConfig;
use gradlogp::fit::{DiffusionConfig, ProcessConfig};
use gradlogp::sde::{OrnsteinUhlenbeck, Process, SubVp, Ve, Vp};
use gradlogp::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::named::Named;

/// The usual settings of a diffusion model over the process of this name, with the other numbers put in.
pub(crate) fn diffusion(given: &Map<String, Value>) -> Result<DiffusionConfig> {
    let mut given = Named(given.clone());
    let name: String = given.take("name", String::new())?;
    let usual = NoiseConfig::LEVELS;
    let levels = match name.as_str() {
        "ncsn" => Some(given.take("levels", usual)?),
        _ => None,
    };
    let mut config = DiffusionConfig::of(match name.as_str() {
        "custom" => custom(&mut given)?,
        name => ProcessConfig::Named(named(name, &mut given)?),
    });
    given.done("this process")?;
    config.noise.levels = levels;
    Ok(config)
}

fn custom(given: &mut Named) -> Result<ProcessConfig> {
    let horizon = given.take("horizon", ProcessConfig::HORIZON)?;
    Ok(ProcessConfig::Custom {
        drift: given.take("drift", Vec::new())?,
        diffusion: given.take("diffusion", String::new())?,
        horizon,
        t_min: given.take("t_min", ProcessConfig::usual_t_min(horizon))?,
    })
}

fn named(name: &str, given: &mut Named) -> Result<Process> {
    check_schedule(given)?;
    Ok(match name {
        "ve" | "ncsn" => Process::Ve(with(Ve::default(), &["sigma_min", "sigma_max"], given)?),
        "vp" => Process::Vp(with(Vp::default(), &PRESERVING, given)?),
        "sub-vp" => Process::SubVp(with(SubVp::default(), &PRESERVING, given)?),
        "ou" => {
            let usual = OrnsteinUhlenbeck::default();
            let horizon = given.take("horizon", usual.horizon)?;
            // Early in a short process, too.
            let t_min = usual.t_min.min(ProcessConfig::usual_t_min(horizon));
            let usual = OrnsteinUhlenbeck { horizon, t_min, ..usual };
            Process::OrnsteinUhlenbeck(with(usual, &["rate", "diffusion", "t_min"], given)?)
        }
        other => {
            let message = format!("is {other:?}, not ve, vp, sub-vp, ou, ncsn or custom");
            return Err(Error::config("process", message));
        }
    })
}

/// Refuses the numbers of a linear schedule beside another one.
fn check_schedule(given: &Named) -> Result<()> {
    let other = given.0.get("schedule").is_some_and(|schedule| schedule != "linear");
    match ["beta_min", "beta_max"].into_iter().find(|name| given.0.contains_key(*name)) {
        Some(name) if other => Err(Error::config(name, "is of the linear schedule")),
        _ => Ok(()),
    }
}

const PRESERVING: [&str; 4] = ["schedule", "beta_min", "beta_max", "t_min"];

/// A process with those of its numbers that are given.
fn with<T>(usual: T, names: &[&'static str], given: &mut Named) -> Result<T>
where
    T: serde::Serialize + DeserializeOwned,
{
    let mut numbers = json!(usual);
    for name in names {
        if let (Some(value), Some(numbers)) = (given.0.remove(*name), numbers.as_object_mut()) {
            numbers.insert((*name).to_string(), value);
        }
    }
    serde_json::from_value(numbers).map_err(|e| Error::config("process", e.to_string()))
}
