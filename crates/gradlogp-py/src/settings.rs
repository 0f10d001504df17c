//! Settings by name, as JSON, put in their places in a [`FitConfig`].

use gradlogp::fit::{
    DiffusionConfig, Family, FitConfig, KernelFamilyConfig, NetworkConfig, Purpose, SizeRule,
    SizedSetting,
};
use gradlogp::train::TrainConfig;
use gradlogp::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::process;

/// Where settings are in the JSON of a configuration; `*` stands for the family, whichever it is.
const PLACES: [(&str, &[&str]); 37] = [
    ("activation", &["family", "*", "activation"]),
    ("base_scale", &["family", "*", "base_scale"]),
    ("base_sd", &["family", "*", "base_sd"]),
    ("batch", &["training", "batch"]),
    ("conditioning", &["family", "*", "conditioning"]),
    ("dequantize", &["prepare", "dequantize"]),
    ("dequantize_rule", &["prepare", "gap_rule"]),
    ("marginals", &["prepare", "marginals"]),
    ("ema_decay", &["training", "ema"]),
    ("evaluate_every", &["training", "evaluate_every"]),
    ("gaussians", &["with_gaussians"]),
    ("hidden", &["family", "*", "hidden"]),
    ("inducing", &["family", "*", "inducing"]),
    ("kind", &["family", "*", "kind"]),
    ("learning_rate", &["training", "rate"]),
    ("levels", &["family", "*", "noise", "levels"]),
    ("max_gradient_norm", &["training", "clip"]),
    ("members", &["members"]),
    ("noise_floor", &["family", "*", "floor"]),
    ("noise_weight", &["family", "*", "noise", "weight"]),
    ("objective", &["training", "objective"]),
    ("patience", &["training", "patience"]),
    ("random_state", &["training", "seed"]),
    ("residual", &["family", "*", "residual"]),
    ("schedule", &["training", "schedule"]),
    ("simulate", &["family", "*", "noise", "simulate"]),
    ("slice_distribution", &["training", "law"]),
    ("standardize", &["prepare", "standardization"]),
    ("steps", &["training", "steps"]),
    ("support", &["family", "*", "support"]),
    ("test", &["prepare", "test"]),
    ("threads", &["training", "threads"]),
    ("time_features", &["family", "*", "features"]),
    ("times", &["family", "*", "noise", "times"]),
    ("validation", &["prepare", "validation"]),
    ("warm_up", &["training", "warm_up"]),
    ("weight_decay", &["training", "decay"]),
];

/// Settings as they come from Python.
pub(crate) fn object(json: &str) -> PyResult<Map<String, Value>> {
    serde_json::from_str(json).map_err(|error| PyTypeError::new_err(error.to_string()))
}

/// The configuration that `given` asks for, of a table with so many rows and columns: the usual one of its `purpose`, or of
/// its `family` and `process`, with the other settings put in.
pub(crate) fn config(given: &Map<String, Value>, rows: usize, columns: usize) -> Result<FitConfig> {
    let purpose = word(given, "purpose").map(str::parse::<Purpose>).transpose();
    let purpose = purpose.map_err(|error| Error::config("purpose", error.to_string()))?;
    let mut config = match purpose {
        Some(purpose) => purpose.config(),
        None => usual(given)?,
    };
    for (name, value) in given {
        if let Some((name, path)) = PLACES.iter().find(|(known, _)| known == name) {
            config = with(&config, name, path, value)?;
        } else if !["family", "process", "purpose"].contains(&name.as_str()) {
            return Err(Error::config(name.clone(), "is no setting"));
        }
    }
    if given.contains_key("objective") {
        config.choose_objective = false;
    }
    // Who asks for a scaling gets that one.
    config.prepare.or_standardize &= !given.contains_key("standardize");
    let training = (rows as f64 * config.prepare.fractions().train).round() as usize;
    if let Some(rule) = purpose.and_then(|purpose| SizeRule::of(purpose, training, columns)) {
        let open = |setting: &SizedSetting| !given.contains_key(setting.name());
        let open: Vec<SizedSetting> = SizedSetting::ALL.into_iter().filter(open).collect();
        rule.apply(&mut config, &open);
    }
    config.validate()?;
    Ok(config)
}

/// The family with its usual settings.
fn usual(given: &Map<String, Value>) -> Result<FitConfig> {
    let family = match word(given, "family") {
        Some("log-density") => Family::Network(NetworkConfig::default()),
        Some("score") => Family::Network(NetworkConfig::score_field()),
        Some("kernel") => {
            Family::Kernel(KernelFamilyConfig { deep: false, ..KernelFamilyConfig::default() })
        }
        Some("deep-kernel") => Family::Kernel(KernelFamilyConfig::default()),
        Some("diffusion") => Family::Diffusion(match given.get("process") {
            Some(Value::Object(process)) => process::diffusion(process)?,
            _ => DiffusionConfig::default(),
        }),
        _ => return Err(Error::config("family", "is not known")),
    };
    Ok(FitConfig::of(family))
}

fn word<'a>(given: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    given.get(name).and_then(Value::as_str)
}

/// The configuration with one setting changed.
fn with<T>(config: &T, name: &'static str, path: &[&str], value: &Value) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let mut json = serde_json::to_value(config).map_err(|e| Error::config(name, e.to_string()))?;
    let mut at = Some(&mut json);
    for key in path {
        at = at.and_then(Value::as_object_mut).and_then(|object| match *key {
            "*" => object.values_mut().next(),
            key => object.get_mut(key),
        });
    }
    match at {
        Some(place) => *place = value.clone(),
        None => return Err(Error::config(name, "is no setting of this family; leave it out")),
    }
    read(name, json)
}

/// Settings of training alone, by the same names.
pub(crate) fn training(usual: &TrainConfig, given: &Map<String, Value>) -> Result<TrainConfig> {
    let mut config = usual.clone();
    for (name, value) in given {
        let known = PLACES.iter().find(|(known, path)| known == name && path[0] == "training");
        let Some((name, path)) = known else {
            return Err(Error::config(name.clone(), "is no setting of training"));
        };
        config = with(&config, name, &path[1..], value)?;
    }
    config.validate()?;
    Ok(config)
}

fn read<T: DeserializeOwned>(name: &'static str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::config(name, error.to_string()))
}
