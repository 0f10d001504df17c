//! Anomaly scores of a fitted model, for `gradlogp score --anomaly`.

use anyhow::Result;
use gradlogp::diagnose::{false_alarm_threshold, path_difference, score_norm};
use gradlogp::{Error, FittedModel, LogDensity, ModelKind};
use ndarray::{Array1, ArrayView2};

use crate::args::{AnomalyArg, AnomalyArgs, ReadArgs};
use crate::input::{Place, Source};

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
            (AnomalyArg::Auto, ModelKind::Potential) => AnomalyArg::Density,
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
            let model = usual.model_given(model.clone())?;
            let scores = anomaly.of(&model, usual.table.rows.view())?;
            anomaly.threshold = Some(false_alarm_threshold(scores.view(), rate)?);
        }
        Ok(Some(anomaly))
    }

    /// How unusual each row is.
    pub(crate) fn of(&self, model: &FittedModel, rows: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let array = |values: &[f64]| Array1::from(values.to_vec());
        let description = &model.description;
        match (self.kind, model.as_log_density()) {
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
