//! Anomaly scores of a fitted model, for `gradlogp score --anomaly`.

use anyhow::Result;
use gradlogp::diagnose::{false_alarm_threshold, mean_over_scales, path_difference, score_norm};
use gradlogp::sde::{AnyProcess, Process, Ve};
use gradlogp::{Error, FittedModel, LogDensity, ModelKind};
use ndarray::{Array1, ArrayView2, Axis};

use crate::args::{AnomalyArg, AnomalyArgs, ReadArgs};
use crate::input::{Place, Source, in_table, show_warnings};

/// Noise levels of the scores over scales, in the model's units: those of them that the model knows.
const SCALES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// What is asked for, with the threshold found.
pub(crate) struct Anomaly {
    kind: AnomalyArg,
    /// Beyond it a row is an anomaly.
    pub(crate) threshold: Option<f64>,
}

impl Anomaly {
    /// None if no anomaly score was asked for.
    pub(crate) fn new(
        model: &FittedModel,
        args: &AnomalyArgs,
        read: &ReadArgs,
    ) -> Result<Option<Self>> {
        let Some(kind) = args.anomaly else { return Ok(None) };
        let kind = match (kind, model.kind()) {
            (AnomalyArg::Auto, ModelKind::Potential) => match known_scales(model) {
                Ok(_) => AnomalyArg::Scales,
                Err(_) => AnomalyArg::Density,
            },
            (AnomalyArg::Scales, _) => known_scales(model).map(|_| AnomalyArg::Scales)?,
            (AnomalyArg::Auto, ModelKind::Score) => AnomalyArg::Path,
            (AnomalyArg::Density, ModelKind::Score) => {
                let message = "a score field has no density; use path or norm, or fit with --model \
                               potential";
                return Err(Error::config("--anomaly", message).into());
            }
            (kind, _) => kind,
        };
        if kind != AnomalyArg::Norm && !model.given_columns().is_empty() {
            let message = "densities of a conditional model at different conditions cannot be compared; \
                           use --anomaly=norm";
            return Err(Error::config("--anomaly", message).into());
        }
        let mut anomaly = Anomaly { kind, threshold: None };
        if let (Some(rate), Some(path)) = (args.false_alarm, &args.held_out) {
            let source = Source::at(Place::File(path.clone()), read);
            let usual = source.load_for(0, model)?;
            show_warnings(&usual.warnings);
            let model = usual.model_given(model.clone())?;
            let scores = anomaly.of(&model, usual.table.rows.view())?;
            let found = false_alarm_threshold(scores.view(), rate)
                .map_err(|e| in_table(e, &usual.table.name))?;
            anomaly.threshold = Some(found);
        }
        Ok(Some(anomaly))
    }

    /// How unusual each row is.
    pub(crate) fn of(&self, model: &FittedModel, rows: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let array = |values: &[f64]| Array1::from(values.to_vec());
        let description = model.description();
        match (self.kind, model.as_log_density()) {
            (AnomalyArg::Scales, _) => over_scales(model, rows),
            (AnomalyArg::Norm, _) => {
                Ok(score_norm(model, rows, array(&description.column_scale).view())?)
            }
            (AnomalyArg::Path, _) | (_, None) => {
                Ok(path_difference(model, rows, array(&description.column_mean).view())?)
            }
            (_, Some(density)) => Ok(-density.log_density(rows)),
        }
    }
}

/// The process and the noise levels of scores over scales, or why there are none.
fn known_scales(model: &FittedModel) -> Result<(Ve, Vec<f64>), Error> {
    let refuse = |message: &str| Err(Error::config("--anomaly", message));
    if model.kind() != ModelKind::Potential {
        return refuse("scales needs densities; fit with --for anomaly, or use path or norm");
    }
    let process = model.description().noise.as_ref().map(|noise| &noise.process);
    let Some(AnyProcess::Named(Process::Ve(ve))) = process else {
        return refuse("scales needs the densities of noised data; fit with --for anomaly");
    };
    // Rounding must not lose a level at either end.
    let (low, high) = (ve.sigma_min * (1.0 - 1e-9), ve.sigma_max * (1.0 + 1e-9));
    let known: Vec<f64> = SCALES.into_iter().filter(|s| (low..=high).contains(s)).collect();
    if known.is_empty() {
        return refuse("scales needs noise of 1/2, 1, 2 or 4 scales; fit with --for anomaly");
    }
    Ok((*ve, known))
}

/// The score over scales, 0 at the centre of the model's units.
fn over_scales(model: &FittedModel, rows: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    let (ve, scales) = known_scales(model)?;
    let centre = model.description().transform.mean().insert_axis(Axis(0)).to_owned();
    let mut levels = Vec::with_capacity(scales.len());
    for sigma in scales {
        let time = (sigma / ve.sigma_min).ln() / (ve.sigma_max / ve.sigma_min).ln();
        let at = model.clone().at_time(time.clamp(0.0, 1.0))?;
        let Some(density) = at.as_log_density() else { continue };
        let at_centre = density.log_density(centre.view())[0];
        levels.push((sigma, density.log_density(rows) - at_centre));
    }
    Ok(mean_over_scales(&levels)?)
}
